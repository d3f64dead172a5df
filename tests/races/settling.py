"""Two raters submit the last two places of an item at the same moment; prints how many saw the item settle."""

from __future__ import annotations

import os
import sys
import threading

import django


def main() -> None:
    inside = sys.argv[1] == "inside"
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    from django.conf import settings
    from django.core.management import call_command
    from django.db import connection

    from labeling import settling, submission
    from labeling.claiming import claim_next
    from labeling.signals import item_settled
    from tests.worlds import World

    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    call_command("migrate", verbosity=0)
    world = World.build(items=1)
    batch = world.open_batch(quotas={"generalist": 2})
    barrier = threading.Barrier(2, timeout=20)
    seen: list[int] = []
    item_settled.connect(lambda batch_item_id, **_: seen.append(batch_item_id), weak=False)
    watch = submission.watch_settling

    def meet(batch_item_id: int, cohort: str) -> None:
        if inside:
            settling.tell_if_settled(batch_item_id, cohort)
        else:
            watch(batch_item_id, cohort)
        barrier.wait()  # both have submitted, neither has committed

    submission.watch_settling = meet

    def submit(name: str) -> None:
        try:
            place = claim_next(by=world.people[name], batch=batch).places[0]
            submission.submit_annotation(
                by=world.people[name], batch=batch, assignment=place.uuid, token=place.claim_token,
                answer=submission.Answer(value="defect"),
            )  # fmt: skip
        finally:
            connection.close()

    threads = [threading.Thread(target=submit, args=(name,)) for name in ("gene", "gina")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(len(seen))


if __name__ == "__main__":
    main()
