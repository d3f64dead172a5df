"""One race, run as a program of its own: many real processes label one batch through the desk's own addresses.

`python -m tests.races.driver '{"raters": 8, "tabs": 2, …}'` with DATABASE_URL set prints one JSON line: what was
acknowledged, what the database holds, and each invariant that does not hold. `sabotage` names a guard to switch off,
for the negative controls.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import django

OVERLAP = 3


def _prepare(plan: dict[str, Any]) -> Any:
    """Migrate the database, build the world, open the batch; returns the batch."""
    from django.core.management import call_command

    from labeling import claiming, dispatch, jobs
    from labeling.models import Batch, Membership
    from labeling.vocabulary import Cohort, Role
    from tests.worlds import World, make_user

    call_command("migrate", verbosity=0)
    world = World.build(items=plan["items"])
    for number in range(plan["raters"]):
        user = make_user(f"rater{number}")
        Membership.objects.create(project=world.project, user=user, role=Role.RATER, cohort=Cohort.GENERALIST)
        world.people[user.username] = user
    batch = dispatch.create_batch(
        by=world.seat("olga"), name="Race", guideline_version=world.version, quotas={"generalist": OVERLAP}, seed=1
    )
    dispatch.open_batch(by=world.seat("olga"), batch=batch)
    while (job := jobs.take()) is not None:
        jobs.run(job, heartbeat=False)
    batch = Batch.objects.select_related("project", "guideline_version").get(pk=batch.pk)
    for number in range(plan["raters"]):
        claiming.acknowledge_version(by=world.people[f"rater{number}"], batch=batch)
    return batch


def _sabotage(name: str) -> None:
    """Switch one guard off. Each of these must make the race visible; `tests/races/test_races.py` says where."""
    from django.db import connection, transaction

    from labeling import claiming, submission
    from labeling.models import Assignment, Membership

    def no_lock(by: Any, batch: Any) -> Any:
        return Membership.objects.select_related("user", "project").get(user_id=by.pk, project_id=batch.project_id)

    def drop_unique() -> None:
        with connection.cursor() as cursor:
            cursor.execute("DROP INDEX a_rater_has_one_place_per_item")

    # Widen the gap between look and claim that compare and lock close: how fast the machine is must not decide whether
    # a control shows the failure.
    look = claiming._open_places

    def slow_look(*args: Any, free: bool = False, **kwargs: Any) -> Any:
        # Without `free`: the lock on a place that nobody else is claiming would stand in for the guard that is off.
        found = look(*args, **kwargs)
        time.sleep(random.uniform(0, pause))
        return found

    pause = 0.02
    if name == "claim_without_compare":
        pause = 0.15  # long enough for someone else to claim and to answer
        claiming._open_places = slow_look  # type: ignore[assignment]
        guarded = claiming._claim
        claiming._claim = lambda *args, **kwargs: guarded(*args, **{**kwargs, "unguarded": True})  # type: ignore[assignment]
    elif name == "no_member_lock_no_unique":
        claiming.lock_member = submission.lock_member = no_lock  # type: ignore[assignment]
        if not connection.in_atomic_block:
            with contextlib.suppress(Exception):
                drop_unique()
        claiming._open_places = slow_look  # type: ignore[assignment]
    elif name == "autocommit_no_unique":
        # Each statement its own transaction: what IMMEDIATE transactions protect on SQLite.
        with contextlib.suppress(Exception):
            drop_unique()

        @contextlib.contextmanager
        def nothing(*args: Any, **kwargs: Any) -> Iterator[None]:
            yield

        for module in (claiming, submission):
            module.transaction = type(
                "Loose", (), {"atomic": staticmethod(nothing), "on_commit": transaction.on_commit}
            )  # type: ignore[attr-defined]
        claiming.lock_member = submission.lock_member = no_lock  # type: ignore[assignment]
        claiming._claim = _claim_before_looking(Assignment)  # type: ignore[assignment]
    elif name:
        raise SystemExit(f"unknown sabotage {name}")


def _claim_before_looking(assignment: Any) -> Callable[..., Any]:
    """A claim as one autocommitted statement, with the compare but without a transaction around look and claim."""
    from labeling.claiming import UNSHOWN_LEASE

    def claim(place_id: int, member: Any, slot: int, at: Any, **_: Any) -> Any:
        token = uuid.uuid4()
        # So long that two tabs of one rater do meet between look and claim: how fast the machine is must not decide
        # whether this control shows the failure.
        time.sleep(random.uniform(0, 0.06))
        taken = assignment.objects.filter(pk=place_id, status="open").update(
            status="claimed", member=member, slot=slot, claim_token=token, claimed_at=at, lease_until=at + UNSHOWN_LEASE
        )
        return token if taken else None

    return claim


class Tab:
    """One browser tab of a rater: claims, answers, skips, gives back, undoes, sometimes sleeps over its lease."""

    def __init__(self, username: str, batch: Any, log: Path, seed: int) -> None:
        from django.test import Client

        from labeling.models import User

        self.rng = random.Random(seed)
        self.client = Client(raise_request_exception=False)
        self.client.force_login(User.objects.get(username=username))
        self.base = f"/batches/{batch.uuid}/desk/"
        self.log = log.open("a", buffering=1)
        self.statuses: Counter[int] = Counter()
        self.sent: list[tuple[str, dict[str, Any]]] = []

    def post(self, what: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        response = self.client.post(self.base + what, json.dumps(body), content_type="application/json")
        self.statuses[response.status_code] += 1
        try:
            return response.status_code, response.json()
        except ValueError:
            return response.status_code, {}

    def answer(self, place: dict[str, Any]) -> dict[str, Any]:
        body = {
            "assignment": place["assignment"], "token": place["token"], "idempotency_key": uuid.uuid4().hex,
            "value": self.rng.choice(["defect", "no_defect"]), "second_value": None, "outcome": "labeled", "reason": "",
            "borderline": False, "comment": "", "seconds": 1.0, "shown_next": None,
        }  # fmt: skip
        copies = 2 if self.rng.random() < 0.15 else 1  # a double press, or a reply lost on the way
        reply: dict[str, Any] = {}
        for _ in range(copies):
            status, reply = self.post("submit", body)
            if status in (200, 201):
                self.log.write(json.dumps({"assignment": place["assignment"], "value": body["value"]}) + "\n")
        return reply

    def work(self, deadline: float) -> None:
        idle = 0
        while time.monotonic() < deadline and idle < 12:
            status, reply = self.post("claim", {})
            hand = reply.get("hand") or []
            if status != 200 or not hand:
                idle = idle + 1 if (reply.get("empty") or {}).get("reason") in ("done", "waiting") else idle
                time.sleep(self.rng.uniform(0.02, 0.1))
                continue
            idle = 0
            place = self.rng.choice(hand)
            dice = self.rng.random()
            if dice < 0.06:
                self.post("skip", {"assignment": place["assignment"], "token": place["token"]})
            elif dice < 0.09:
                self.post("undo", {})
            elif dice < 0.14:
                time.sleep(self.rng.uniform(0.1, 0.5))  # over the shortened lease
                self.answer(place)
            else:
                self.answer(place)
        self.log.write(json.dumps({"statuses": {str(k): v for k, v in self.statuses.items()}}) + "\n")


def _invariants(batch: Any, acknowledged: dict[str, list[str]], statuses: Counter[str]) -> list[str]:
    """Each invariant that does not hold, as a sentence."""
    from django.db.models import Count

    from labeling.ledger import verify
    from labeling.models import Annotation, Assignment

    broken = []
    alive = Assignment.objects.filter(batch=batch).exclude(status__in=("skipped", "void"))
    over = alive.values("batch_item", "cohort").annotate(n=Count("pk")).filter(n__gt=OVERLAP).count()
    if over:
        broken.append(f"{over} items have more places than their overlap")
    double = (
        Assignment.objects.filter(batch=batch, status="submitted")
        .values("batch_item", "member").annotate(n=Count("pk")).filter(n__gt=1).count()
    )  # fmt: skip
    if double:
        broken.append(f"{double} items were answered twice by one rater")
    recorded = {
        str(place): value
        for place, value in Annotation.objects.filter(assignment__batch=batch, revision=1).values_list(
            "assignment__uuid", "value"
        )
    }
    lost = [place for place in acknowledged if place not in recorded]
    if lost:
        broken.append(f"{len(lost)} acknowledged answers are not in the ledger")
    changed = [place for place, values in acknowledged.items() if place in recorded and recorded[place] not in values]
    if changed:
        broken.append(f"{len(changed)} acknowledged answers stand otherwise in the ledger")
    contradicting = [place for place, values in acknowledged.items() if len(set(values)) > 1]
    if contradicting:
        broken.append(f"{len(contradicting)} places acknowledged two different answers")
    if errors := sum(count for status, count in statuses.items() if status.startswith("5")):
        broken.append(f"{errors} answers were 5xx")
    unfinished = Assignment.objects.filter(batch=batch, status__in=("open", "claimed")).count()
    if unfinished:
        broken.append(f"{unfinished} places never finished")
    broken += [f"ledger: {problem}" for problem in verify()]
    return broken


def main() -> None:
    plan = {
        "raters": 8,
        "tabs": 2,
        "items": 60,
        "seconds": 60,
        "sabotage": "",
        "kill": 2,
        "finish_seconds": 150,
        **json.loads(sys.argv[1]),
    }
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    from django.conf import settings
    from django.db import connections

    from labeling import claiming
    from labeling.models import Assignment, Batch

    settings.ALLOWED_HOSTS = ["testserver"]
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    settings.STORAGES["staticfiles"]["BACKEND"] = "django.contrib.staticfiles.storage.StaticFilesStorage"
    batch = _prepare(plan)
    _sabotage(plan["sabotage"])
    # Leases that lapse while people hesitate, so that places change hands all the time.
    claiming.UNSHOWN_LEASE = timedelta(seconds=0.3)
    claiming.RENEW_BELOW = timedelta(seconds=0.05)
    folder = Path(os.environ["DATA_DIR"]) / f"race-{uuid.uuid4().hex[:8]}"
    folder.mkdir(parents=True)
    connections.close_all()
    children: list[int] = []
    for number in range(plan["raters"]):
        for tab in range(plan["tabs"]):
            pid = os.fork()
            if pid == 0:
                code = 0
                try:
                    log = folder / f"{number}-{tab}.jsonl"
                    Tab(f"rater{number}", batch, log, seed=number * 10 + tab).work(time.monotonic() + plan["seconds"])
                except BaseException:
                    import traceback

                    traceback.print_exc()
                    code = 1
                finally:
                    connections.close_all()
                    os._exit(code)
            children.append(pid)
    # kill -9 in the middle of the work: what these held lapses and is answered by others.
    for victim in children[: plan["kill"]]:
        time.sleep(0.7)
        with contextlib.suppress(ProcessLookupError):
            os.kill(victim, signal.SIGKILL)
    crashed = 0
    for position, pid in enumerate(children):
        _, status = os.waitpid(pid, 0)
        if status != 0 and position >= plan["kill"]:
            crashed += 1
    # Everybody has gone home; what the killed ones still held lapses, and one more rater finishes it.
    batch = Batch.objects.select_related("project", "guideline_version").get(pk=batch.pk)
    deadline = time.monotonic() + plan["finish_seconds"]
    unfinished = Assignment.objects.filter(batch=batch, status__in=("open", "claimed"))
    while unfinished.exists() and time.monotonic() < deadline:
        time.sleep(0.4)
        for number in range(plan["raters"]):
            Tab(f"rater{number}", batch, folder / "end.jsonl", seed=99 + number).work(deadline)
    acknowledged: dict[str, list[str]] = {}
    statuses: Counter[str] = Counter()
    for file in folder.glob("*.jsonl"):
        for line in file.read_text().splitlines():
            entry = json.loads(line) if line.endswith("}") else {}
            if "assignment" in entry:
                acknowledged.setdefault(entry["assignment"], []).append(entry["value"])
            statuses.update(entry.get("statuses", {}))
    broken = _invariants(batch, acknowledged, statuses)
    if crashed:
        broken.append(f"{crashed} processes crashed")
    print(json.dumps({"acknowledged": len(acknowledged), "statuses": statuses, "broken": broken}))


if __name__ == "__main__":
    main()
