"""What `make run` seeds: three projects that teach. Everything simulated is marked as simulated."""

from __future__ import annotations

from .people import accounts, seed_people


def seed_demo() -> list[tuple[str, str, str]]:
    """Make what is not there yet, through the real acts; returns (username, password, what they do) to print.

    Doing it again changes nothing; stopped half-way, the next time goes on.
    """
    from .anaesthetists import seed_anaesthetists
    from .digits import seed_digits
    from .phones import seed_phones

    users = seed_people()
    for seed in (seed_phones, seed_digits, seed_anaesthetists):
        seed(users)
    return accounts()
