"""Races at the bench, run as a program of its own: `python -m tests.races.benching STORY [sabotage]` prints one JSON line.

Stories: `two_rulers` on one case; `revising`, raters who change answers while SMEs rule; `settling`, many comparisons of
the same items at once; `closing`, a batch closed while raters hold places.
"""

from __future__ import annotations

import json
import os
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import django

ITEMS = 24
RULERS = 4


def _prepare() -> Any:
    from django.conf import settings
    from django.core.management import call_command

    from labeling.models import Membership
    from labeling.vocabulary import Role
    from tests.worlds import World, make_user

    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    call_command("migrate", verbosity=0)
    world = World.build(items=ITEMS)
    world.project.settings = {"audit_share": 0}
    world.project.save()
    for number in range(RULERS):
        user = make_user(f"sme{number}")
        Membership.objects.create(project=world.project, user=user, role=Role.SME)
        world.people[user.username] = user
    return world


def _disputed(world: Any) -> Any:
    batch = world.open_batch(quotas={"generalist": 2})
    names = [item.external_id for item in world.items]
    world.say(batch, "gene", dict.fromkeys(names, "defect"))
    world.say(batch, "gina", dict.fromkeys(names, "no_defect"))
    return batch


def _together(*acts: Callable[[], None]) -> list[str]:
    """Run the acts in threads that start together; what they raised, if it was no refusal."""
    from django.db import connection

    from labeling.refusals import Refusal

    barrier, errors = threading.Barrier(len(acts), timeout=60), []

    def run(act: Callable[[], None]) -> None:
        try:
            barrier.wait()
            act()
        except Refusal:
            pass
        except Exception as error:  # the story reports it
            errors.append(f"{type(error).__name__}: {error}")
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return errors


def _sabotage(name: str) -> None:
    """Switch one guard off; `tests/races/test_bench_races.py` says where each must show."""
    from consistency import adjudication, bench, comparing, holding
    from consistency.adjudication import Refusal

    if name == "hold_without_compare":

        def move(row: Any, new: str, *, where: Any = None, old: Any = None, **values: Any) -> bool:
            type(row).objects.filter(pk=row.pk).update(status=new, **values)
            row.status = new
            for key, value in values.items():
                setattr(row, key, value)
            return True

        looked = bench.case_of

        def unlocked(by: Any, disagreement: Any, *, lock: bool = True) -> Any:
            case = looked(by, disagreement, lock=False)
            time.sleep(random.uniform(0, 0.02))
            return case

        bench.case_of = unlocked
        for acts in (adjudication, holding):
            acts.transitions = type("Loose", (), {"move": staticmethod(move)})  # type: ignore[assignment]
    elif name == "ruling_without_compare":
        bench.refuse_stale = lambda case, verdict, seen: None  # type: ignore[assignment]
    elif name == "comparing_without_lock":
        guarded = comparing.compare_items

        def loose(**given: Any) -> dict[str, int]:
            return guarded(**{**given, "unguarded": True})

        comparing.compare_items = loose  # type: ignore[assignment]
        judged = comparing.verdicts

        def slow(*args: Any) -> Any:
            found = judged(*args)
            time.sleep(random.uniform(0, 0.02))
            return found

        comparing.verdicts = slow  # type: ignore[assignment]
    elif name:
        raise SystemExit(f"unknown sabotage {name}")
    assert Refusal


def _ruling(value: str, who: str) -> Any:
    from consistency.adjudication import Ruling

    return Ruling(cause="ambiguous_definition", outcome="adjudicate", rationale=f"{who} says so.", value=value)


def two_rulers(world: Any) -> dict[str, Any]:
    """Four SMEs hold and rule every case at once: each case has one holder at a time and one ruling."""
    from consistency.adjudication import rule_on
    from consistency.holding import hold_disagreement
    from consistency.models import Adjudication, Disagreement

    batch = _disputed(world)
    cases = list(Disagreement.objects.filter(batch=batch).order_by("pk"))
    seats = {f"sme{number}": world.seat(f"sme{number}") for number in range(RULERS)}
    held: list[tuple[int, str]] = []
    acknowledged: list[tuple[int, str]] = []

    def work(who: str) -> None:
        from labeling.refusals import Refusal

        for case in cases:
            try:
                mine = hold_disagreement(by=seats[who], disagreement=case)
                held.append((case.pk, who))
                made = rule_on(
                    by=seats[who], disagreement=case, token=mine.hold_token or "", seen=case.input_sha256,
                    ruling=_ruling("defect", who),
                )  # fmt: skip
                acknowledged.append((case.pk, made.by.username))
            except Refusal:
                continue

    errors = _together(*(lambda who=who: work(who) for who in seats))  # type: ignore[misc]
    written = dict(Adjudication.objects.values_list("disagreement_id", "by__username"))
    lost = [pair for pair in acknowledged if written.get(pair[0]) != pair[1]]
    twice = [pk for pk, count in Counter(pk for pk, _ in held).items() if count > 1]
    return {"errors": errors, "held_twice": len(twice), "lost": len(lost), "ruled": len(written), **_state(batch)}


def revising(world: Any) -> dict[str, Any]:
    """gina changes each answer while SMEs rule on what they saw: no ruling is over answers its SME did not see."""
    from consistency.adjudication import rule_on
    from consistency.holding import hold_disagreement
    from consistency.models import Adjudication, Disagreement
    from labeling.models import Annotation, Assignment
    from labeling.refusals import Refusal
    from labeling.submission import Answer, submit_annotation

    batch = _disputed(world)
    cases = list(Disagreement.objects.filter(batch=batch).order_by("pk"))
    places = {
        place.batch_item_id: place for place in Assignment.objects.filter(batch=batch, member=world.member("gina"))
    }
    changed: list[int] = []
    ruled: list[int] = []
    errors: list[str] = []
    for case in cases:
        sam = world.seat("sam")
        token = hold_disagreement(by=sam, disagreement=case).hold_token or ""

        def rule(case: Any = case, token: Any = token, sam: Any = sam) -> None:
            time.sleep(random.uniform(0, 0.02))
            rule_on(by=sam, disagreement=case, token=token, seen=case.input_sha256, ruling=_ruling("defect", "sam"))
            ruled.append(case.pk)

        def revise(case: Any = case) -> None:
            place = places[case.batch_item_id]
            time.sleep(random.uniform(0, 0.02))
            submit_annotation(
                by=world.people["gina"], batch=batch, assignment=place.uuid, token=place.claim_token or "",
                answer=Answer(outcome="cannot_label", reason="Now I am not sure."), revises=True,
            )  # fmt: skip
            changed.append(case.pk)

        errors += _together(rule, revise)
    blind_side = 0
    for made in Adjudication.objects.select_related("disagreement__batch_item"):
        place = places[made.disagreement.batch_item_id]
        if Annotation.objects.filter(assignment=place, revision=2).exists():
            blind_side += 1
    written = set(Adjudication.objects.values_list("disagreement_id", flat=True))
    assert Refusal
    return {
        "errors": errors, "over_unseen_answers": blind_side, "lost": len(set(ruled) - written),
        "both": len(set(ruled) & set(changed)), "settled": len(written | set(changed)), **_state(batch),
    }  # fmt: skip


def settling(world: Any) -> dict[str, Any]:
    """Six comparisons of the same items at once: each item has one case or one resolution."""
    from consistency import comparing
    from labeling.signals import item_settled

    item_settled.disconnect(dispatch_uid="compare_settled_item")
    batch = world.open_batch(quotas={"generalist": 2})
    names = [item.external_id for item in world.items]
    world.say(batch, "gene", dict.fromkeys(names, "defect"))
    world.say(batch, "gina", {name: "defect" if number % 2 else "no_defect" for number, name in enumerate(names)})
    errors = _together(*[lambda: comparing.compare_batch(batch=batch) and None for _ in range(6)])
    return {"errors": errors, **_state(batch)}


def closing(world: Any) -> dict[str, Any]:
    """The owner closes the batch while both raters submit what they hold: every answered item is compared."""
    from consistency.comparing import compare_batch, sweep_uncompared
    from labeling import dispatch, jobs
    from labeling.claiming import claim_next
    from labeling.models import Assignment
    from labeling.submission import Answer, submit_annotation

    batch = world.open_batch(quotas={"generalist": 2})
    names = [item.external_id for item in world.items]
    world.say(batch, "gene", dict.fromkeys(names[:12], "defect"))

    def label() -> None:
        for _ in range(ITEMS):
            hand = claim_next(by=world.people["gina"], batch=batch, slots=1)
            if not hand.places:
                return
            place = hand.places[0]
            submit_annotation(
                by=world.people["gina"], batch=batch, assignment=place.uuid, token=place.claim_token or "",
                answer=Answer(value="no_defect"),
            )  # fmt: skip

    def close() -> None:
        time.sleep(random.uniform(0.02, 0.1))
        dispatch.close_batch(by=world.seat("olga"), batch=batch)
        while (job := jobs.take()) is not None:
            jobs.run(job, heartbeat=False)

    errors = _together(label, close)
    while (job := jobs.take()) is not None:
        jobs.run(job, heartbeat=False)
    answered = set(Assignment.objects.filter(batch=batch, status="submitted").values_list("batch_item_id", flat=True))
    left = Assignment.objects.filter(batch=batch, status__in=("open", "claimed")).count()
    state = _state(batch)
    again = compare_batch(batch=batch)
    assert sweep_uncompared
    return {"errors": errors, "answered": len(answered), "left": left, "missed": again, **state}


def _state(batch: Any) -> dict[str, Any]:
    """What must hold after every story."""
    from django.db.models import Count, F, Max

    from consistency.models import Disagreement, Resolution
    from labeling.ledger import verify

    doubled = (
        Resolution.objects.filter(batch_item__batch=batch)
        .values("batch_item")
        .annotate(count=Count("pk"), last=Max("revision"), bodies=Count("input_sha256", distinct=True))
        .filter(count__gt=F("bodies"))
        .count()
    )
    return {
        "cases": Disagreement.objects.filter(batch=batch).count(),
        "resolved": Resolution.objects.filter(batch_item__batch=batch).values("batch_item").distinct().count(),
        "resolutions": Resolution.objects.filter(batch_item__batch=batch).count(),
        "doubled": doubled,
        "ledger": [str(problem) for problem in verify()],
    }


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    story = {"two_rulers": two_rulers, "revising": revising, "settling": settling, "closing": closing}[sys.argv[1]]
    world = _prepare()
    _sabotage(sys.argv[2] if len(sys.argv) > 2 else "")
    print(json.dumps(story(world)))


if __name__ == "__main__":
    main()
