"""One rater has claimed a place and not committed yet; prints what a second one got at once, or that they had to wait."""

from __future__ import annotations

import json
import os
import sys

import django


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    from django.conf import settings
    from django.core.management import call_command
    from django.db import OperationalError, connection, transaction

    from labeling import claiming
    from tests.worlds import World

    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    call_command("migrate", verbosity=0)
    world = World.build(items=2)
    batch = world.open_batch(quotas={"generalist": 1})
    if sys.argv[1] == "waiting":
        look = claiming._open_places
        claiming._open_places = lambda *args, free=False, **kwargs: look(*args, **kwargs)  # type: ignore[assignment]
    report: dict[str, object] = {}

    def claim(name: str) -> list[int]:
        return [place.rank for place in claiming.claim_next(by=world.people[name], batch=batch, slots=1).places]

    first = connection.copy()
    first.ensure_connection()
    with first.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute(
            "UPDATE labeling_assignment SET status='claimed', member_id=%s, slot=1, claim_token=gen_random_uuid(), "
            "claimed_at=now(), lease_until=now() + interval '1 minute' WHERE batch_id=%s AND rank=0",
            [world.member("gene").pk, batch.pk],
        )
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = '1s'")
    try:
        with transaction.atomic():
            report["second"] = claim("gina")
    except OperationalError:
        report["second"] = "waits"
    # The one place that is left is in somebody's hands who may still give up: that is to be waited for, not the end.
    Membership = type(world.member("olga"))
    Membership.objects.filter(user=world.people["olga"]).update(cohort="generalist")
    claiming.acknowledge_version(by=world.people["olga"], batch=batch)
    try:
        report["third"] = claim("olga")
    except OperationalError:
        report["third"] = "waits"
    with first.cursor() as cursor:
        cursor.execute("ROLLBACK")
    report["after"] = claim("olga")
    first.close()
    print(json.dumps(report))


if __name__ == "__main__":
    main()
