"""Jobs whose worker is killed, as a program of its own: real workers, `kill -9` at several points, one effect in the end.

`python -m tests.races.killed_jobs '{"items": 600}'` with DATABASE_URL set prints one JSON line: how often a worker was
killed, how far the job was each time, and each invariant that does not hold. TASKS says which transport: `worker`
(`manage.py work`) or `celery` (a Celery worker and beat on REDIS_URL). `sabotage` switches off what makes opening a
batch repeatable, for the negative control.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import django

OVERLAP = 2
DEADLINE = 240
# Kinds of jobs that are killed, and the scene of `Story` that does it.
SCENES = {
    "open_batch": "batch",
    "add_items": "batch",
    "top_up_places": "batch",
    "void_open_places": "batch",
    "import_items": "imports",
    "import_labels": "imports",
    "clear_import": "imports",
    "compare_batch": "figures",
    "resolve_by_vote": "figures",
    "measure_batch": "figures",
    "report_input": "figures",
    "build_dataset": "figures",
    "compare_datasets": "figures",
    "reopen_places": "aside",
    "give_up_spare_places": "aside",
}
# Kinds that no scene kills yet: only their handlers' own tests speak for them.
WITHOUT_SCENE = {"open_relabel_batch", "measure_gain"}


def be_a_worker(sabotage: str) -> None:
    """`manage.py work`, slowed down."""
    from django.core.management import call_command

    from tests.races.slowed import slow_down

    slow_down(sabotage)
    call_command("work", poll=0.05)


def wait_for(condition: Callable[[], bool], seconds: float = DEADLINE) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if condition():
            return True
        time.sleep(0.01)
    return False


def start(*command: str, sabotage: str = "") -> subprocess.Popen[bytes]:
    log = Path(os.environ["DATA_DIR"]) / "workers.log"
    with log.open("ab") as out:
        return subprocess.Popen(
            [sys.executable, "-m", *command],
            stdout=out,
            stderr=subprocess.STDOUT,
            env={**os.environ, "RACE_SABOTAGE": sabotage},
            # A session of its own: the worker and what it forked can be killed together.
            start_new_session=True,
        )


class PollingWorker:
    """`manage.py work`."""

    def __init__(self, sabotage: str) -> None:
        self.sabotage = sabotage
        self.process: subprocess.Popen[bytes] | None = None

    def begin(self) -> None:
        """Nothing else is needed."""

    def ensure(self) -> None:
        if self.process is None:
            plan = json.dumps({"worker": True, "sabotage": self.sabotage})
            self.process = start("tests.races.killed_jobs", plan)

    def kill(self) -> None:
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process = None

    def stop(self) -> None:
        """Ask it to stop in the usual way."""
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(DEADLINE)
            self.process = None

    def end(self) -> None:
        self.stop()


class CeleryWorker(PollingWorker):
    """A Celery worker, and beat, which stays all the time; one that ended by itself is started again, as elsewhere."""

    APP = ("celery", "-A", "tests.races.celery_worker")

    def begin(self) -> None:
        self.beat = start(*self.APP, "beat", "--loglevel", "WARNING", "--pidfile", "")

    def ensure(self) -> None:
        if self.beat.poll() is not None:
            self.begin()
        if self.process is None:
            self.process = start(*self.APP, "worker", "--loglevel", "WARNING", sabotage=self.sabotage)

    def end(self) -> None:
        super().end()
        self.beat.terminate()
        self.beat.wait(DEADLINE)


class Story:
    """The killer, what it killed, and what does not hold."""

    def __init__(self, plan: dict[str, Any]) -> None:
        from django.conf import settings

        self.plan = plan
        self.sabotage = plan.get("sabotage", "")
        self.worker = (CeleryWorker if settings.TASKS == "celery" else PollingWorker)(self.sabotage)
        self.kills: list[dict[str, Any]] = []
        self.problems: list[str] = []

    def expect(self, what: str, found: Any, wanted: Any) -> None:
        if found != wanted:
            self.problems.append(f"{what}: {found}, expected {wanted}")

    def kill_at(self, job: Any, done: int, *, what: str = "") -> None:
        """Kill the worker -9 once the job reports `done` (0: as soon as it runs), and let the lease lapse."""
        from django.utils import timezone

        from labeling.models import Job

        self.worker.ensure()
        attempts = job.attempts

        def far_enough() -> bool:
            job.refresh_from_db()
            progress = job.progress or {}
            there = progress.get("done", 0) >= done and (not what or progress.get("what") == what)
            fresh = job.status == "running" and job.attempts > attempts
            return job.status in ("done", "failed") or (fresh and (there or not done))

        reached = wait_for(far_enough)
        self.worker.kill()
        job.refresh_from_db()
        self.kills.append(
            {"job": job.kind, "wanted": done, "reached": reached, "status": job.status, "progress": job.progress}
        )
        Job.objects.filter(status="running").update(lease_until=timezone.now() - timedelta(seconds=1))

    def finish(self, job: Any) -> str:
        """A worker, asked to stop in the usual way once the job is over; the job's status then."""
        self.worker.ensure()

        def over() -> bool:
            job.refresh_from_db()
            return job.status in ("done", "failed")

        # Sabotaged, it is tried again and again with growing pauses: one of them is enough to see.
        wait_for(over, 8 if self.sabotage else DEADLINE)
        self.worker.stop()
        return str(job.status)

    def drain(self) -> None:
        """Let what the scene has queued come to its end; nothing may be left or have failed."""
        from labeling.models import Job

        waiting = Job.objects.filter(status__in=("queued", "running"))
        if waiting.exists():
            self.worker.ensure()
            wait_for(lambda: not waiting.exists())
            self.worker.stop()
        left = list(Job.objects.exclude(status="done").values_list("kind", "status", "error"))
        self.expect("jobs left", left, [])

    # --- scenes -----------------------------------------------------------------------------------

    def batch(self) -> int:
        """A batch is opened, filled up, and closed; returns how many attempts the opening took."""
        from django.db.models import Count

        from labeling import dispatch
        from labeling.models import Assignment, Batch, BatchItem, Event
        from labeling.selection import Selection
        from tests.worlds import World

        expect, items = self.expect, self.plan["items"]
        world = World.build(items=items)
        olga = world.seat("olga")
        batch = dispatch.create_batch(
            by=olga, name="Killed", guideline_version=world.version, quotas={"generalist": OVERLAP}, seed=5
        )
        job = dispatch.open_batch(by=olga, batch=batch)
        for done in self.plan.get("kills", (0, items // 2, items)):
            self.kill_at(job, done)
        expect("opening ended", self.finish(job), "done")
        batch = Batch.objects.get(pk=batch.pk)
        places = Assignment.objects.filter(batch=batch)
        expect("batch", batch.status, "open")
        expect("items", BatchItem.objects.filter(batch=batch).count(), items)
        expect("places", places.count(), items * OVERLAP)
        spread = set(places.values("batch_item").annotate(n=Count("pk")).values_list("n", flat=True))
        expect("places per item", spread, {OVERLAP})
        expect("opened once", Event.objects.filter(verb="opened").count(), 1)
        attempts: int = job.attempts
        if self.sabotage:
            return attempts

        world.add_items(items // 2)
        adding = dispatch.add_items(by=olga, batch=batch, selection=Selection(order="as_listed"))
        self.kill_at(adding, 1)
        expect("adding ended", self.finish(adding), "done")
        items += items // 2
        expect("items after adding", BatchItem.objects.filter(batch=batch).count(), items)
        expect("ranks are one each", BatchItem.objects.filter(batch=batch).values("rank").distinct().count(), items)
        expect("places after adding", places.count(), items * OVERLAP)

        more = dispatch.raise_overlap(by=olga, batch=batch, quotas={"generalist": OVERLAP + 1})
        self.kill_at(more, 200)
        twin = dispatch.raise_overlap(by=olga, batch=batch, quotas={"generalist": OVERLAP + 2})
        expect("a second request while the first is half done is its own job", twin.pk != more.pk, True)
        expect("raising ended", (self.finish(more), self.finish(twin)), ("done", "done"))
        expect("places after raising", places.count(), items * (OVERLAP + 2))

        closing = dispatch.close_batch(by=olga, batch=batch)
        self.kill_at(closing, 1)
        expect("closing ended", self.finish(closing), "done")
        expect("open places after closing", places.filter(status="open").count(), 0)
        self.drain()
        return attempts

    def imports(self) -> None:
        """Items and labels are imported; an import half written is taken back."""
        from labeling.importing.items import import_items
        from labeling.importing.label_columns import LabelMapping
        from labeling.importing.labels import import_labels
        from labeling.importing.mapping import ItemMapping
        from labeling.importing.runs import FileSource, discard_import
        from labeling.models import Annotation, Event, Item
        from tests.worlds import World

        expect, rows = self.expect, self.plan["items"]
        world = World.build(slug="imported", items=0, with_otto=False)
        mel, folder = world.seat("mel"), Path(os.environ["DATA_DIR"])

        def items_file(name: str) -> FileSource:
            path = folder / f"{name}.jsonl"
            path.write_text(
                "".join(json.dumps({"id": f"{name}{n}", "text": f"{name} {n}"}) + "\n" for n in range(rows))
            )
            return FileSource.in_place(path)

        mapping = ItemMapping(external_id="id", payload={"text": "text"})
        kept = Item.objects.filter(project=world.project)
        started = import_items(by=mel, source=items_file("a"), mapping=mapping)
        self.kill_at(started.job, 1)
        self.kill_at(started.job, 200, what="writing")
        expect("import of items ended", self.finish(started.job), "done")
        expect("imported items", kept.count(), rows)

        labels = folder / "labels.csv"
        labels.write_text(
            "item_id,rater_id,label\n" + "".join(f"a{n // 3},w{n % 3},{'xy'[n % 5 == 0]}\n" for n in range(rows))
        )
        named = LabelMapping(item="item_id", rater="rater_id", label="label", all_cohort="generalist")
        given = import_labels(by=mel, source=FileSource.in_place(labels), mapping=named)
        self.kill_at(given.job, 200, what="writing")
        expect("import of labels ended", self.finish(given.job), "done")
        expect("imported labels", Annotation.objects.filter(assignment__batch__project=world.project).count(), rows)

        undone = import_items(by=mel, source=items_file("b"), mapping=mapping)
        self.kill_at(undone.job, 100, what="writing")
        half = kept.filter(external_id__startswith="b").count()
        expect("half of it is written", (0 < half < rows) or half, True)
        clearing = discard_import(by=mel, run=undone.run)
        self.kill_at(clearing, 1)
        expect("clearing ended", (self.finish(clearing), self.finish(undone.job)), ("done", "done"))
        expect("items after taking back", kept.count(), rows)
        expect("imports told once", Event.objects.filter(verb="import_done").count(), 2)
        self.drain()

    def figures(self) -> None:
        """What was imported is compared, voted on, measured, and made into two datasets that are compared."""
        from api.datasets import comparing as diffs
        from api.datasets import files
        from api.datasets.building import define_dataset
        from consistency import comparing, input_reporting, measuring, voting
        from consistency.models import AgreementRun, Disagreement, Resolution
        from labeling import access, exclusions
        from labeling.models import Batch, Exclusion, Job, Membership, Project, User

        expect = self.expect
        project = Project.objects.get(slug="imported")
        batch = Batch.objects.get(project=project)
        olga = access.project_for(User.objects.get(username="olga"), "imported")
        items = self.plan["items"] // 3

        def job_of(kind: str) -> Job:
            return Job.objects.filter(kind=kind).latest("pk")

        # Without one of three raters every item reads otherwise, so each gets another row.
        rater = Membership.objects.get(project=project, imported_id="w0")
        exclusions.set_aside(by=olga, member=rater, reason="a test of comparing")
        self.kill_at(job_of("compare_batch"), 100)
        expect("comparing ended", self.finish(job_of("compare_batch")), "done")
        seen = (Resolution.objects.count(), Disagreement.objects.count())
        expect("every item is compared", Resolution.objects.values("batch_item").distinct().count() > 0, True)
        comparing.compare_batch(batch=batch)
        expect("comparing once more changes nothing", (Resolution.objects.count(), Disagreement.objects.count()), seen)

        exclusions.lift(by=olga, exclusion=Exclusion.objects.get(member=rater))
        expect("comparing again ended", self.finish(job_of("compare_batch")), "done")
        vote = voting.enqueue_vote(by=olga, batch=batch, method="majority", release=True)
        self.kill_at(vote, 50)
        expect("voting ended", self.finish(vote), "done")
        voted = Resolution.objects.filter(method="majority")
        expect("voted once on an item", voted.count(), voted.values("batch_item").distinct().count())
        expect("something was voted on", voted.count() > items // 2, True)

        measured = measuring.measure_batch(by=olga, batch=batch)
        self.kill_at(measured, 1, what="measuring")
        expect("measuring ended", self.finish(measured), "done")
        _, report = input_reporting.report_for(by=olga, batch=batch)
        self.kill_at(report, 0)
        expect("the input report ended", self.finish(report), "done")
        runs = sorted(AgreementRun.objects.values_list("kind", flat=True))
        expect("one run of each kind", runs, ["agreement", "hlp", "input"])

        # Labels given elsewhere are read when their definition is asked for by its number.
        asked = {"batch": str(batch.uuid), "guideline_version": batch.guideline_version.number}
        made = []
        for name, form in (("First", "jsonl"), ("Second", "csv")):
            dataset = define_dataset(by=olga, name=name, definition={**asked, "format": form})
            build = job_of("build_dataset")
            if not made:
                self.kill_at(build, 0)
                self.kill_at(build, 1, what="Writing the manifest")
            expect(f"building {name} ended", self.finish(build), "done")
            dataset.refresh_from_db()
            expect(f"{name} is ready", dataset.status, "ready")
            content = files.path_of(dataset).read_bytes()
            expect(f"rows of {name}", dataset.rows, items)
            expect(f"{name} has its hash", hashlib.sha256(content).hexdigest(), dataset.sha256)
            made.append(dataset)
        diff = diffs.compare_datasets(by=olga, old=made[0], new=made[1])
        self.kill_at(diff, 0)
        expect("comparing datasets ended", self.finish(diff), "done")
        self.drain()

    def aside(self) -> None:
        """A rater is set aside, with places for others in their stead, and back."""
        from labeling import claiming, dispatch, exclusions
        from labeling.models import Assignment, Batch, Exclusion, Job
        from labeling.submission import Answer, submit_annotation
        from tests.worlds import World

        answers, expect = 130, self.expect
        world = World.build(slug="aside", items=220, with_otto=False)
        olga, gene = world.seat("olga"), world.people["gene"]
        batch = dispatch.create_batch(
            by=olga, name="Aside", guideline_version=world.version, quotas={"generalist": 1}, seed=4
        )
        expect("opened", self.finish(dispatch.open_batch(by=olga, batch=batch)), "done")
        batch = Batch.objects.select_related("project", "guideline_version").get(pk=batch.pk)
        claiming.acknowledge_version(by=gene, batch=batch)
        for _ in range(answers):
            place = claiming.claim_next(by=gene, batch=batch, slots=1).places[0]
            submit_annotation(
                by=gene, batch=batch, assignment=place.uuid, token=place.claim_token, answer=Answer(value="defect")
            )
        places = Assignment.objects.filter(batch=batch, origin="replacement")

        def last(kind: str) -> Job:
            return Job.objects.filter(kind=kind).latest("pk")

        exclusions.set_aside(by=olga, member=world.member("gene"), reason="a test of places", reopen_places=True)
        self.kill_at(last("reopen_places"), 100)
        expect("half of them are there", 0 < places.count() < answers, True)
        expect("opening places ended", self.finish(last("reopen_places")), "done")
        expect("a place in the stead of each answer", places.filter(status="open").count(), answers)
        expect("one each", places.values("batch_item").distinct().count(), answers)
        exclusions.lift(by=olga, exclusion=Exclusion.objects.get(member=world.member("gene")))
        self.kill_at(last("give_up_spare_places"), 100)
        expect("giving up ended", self.finish(last("give_up_spare_places")), "done")
        expect("all are given up", places.filter(status="void").count(), answers)
        expect("compared", self.finish(last("compare_batch")), "done")
        self.drain()

    def poison(self) -> None:
        """A job that kills every worker that takes it ends as failed, and says why; the others go on."""
        from labeling import jobs
        from labeling.models import Job
        from tests.races.slowed import register_poison

        register_poison()
        poison = jobs.enqueue(kind="test_poison", by=None, dedup_key="poison")
        until = time.monotonic() + DEADLINE
        while poison.status != "failed" and time.monotonic() < until:
            self.worker.ensure()
            time.sleep(0.1)
            process = self.worker.process
            if process is not None and process.poll() is not None:
                self.worker.process = None  # whoever watches over the worker starts it again
            poison.refresh_from_db()
        self.worker.stop()
        self.expect("poison ended", poison.status, "failed")
        self.expect("attempts", poison.attempts, jobs.MAX_ATTEMPTS)
        self.expect("says why", f"stopped {jobs.MAX_ATTEMPTS} times during this job" in poison.error, True)
        self.expect("jobs left", Job.objects.filter(status__in=("queued", "running")).count(), 0)

    def tell(self) -> dict[str, Any]:
        from django.core.management import call_command

        from labeling.ledger import verify

        call_command("migrate", verbosity=0)
        attempts = 0
        self.worker.begin()
        try:
            for scene in self.plan.get("scenes", ["batch", "imports", "figures", "aside"]):
                attempts = getattr(self, scene)() or attempts
        finally:
            self.worker.end()
        self.problems += [f"ledger: {problem}" for problem in verify()]
        if self.problems:
            log = Path(os.environ["DATA_DIR"]) / "workers.log"
            self.problems.append(f"the workers' last lines: {log.read_text(errors='replace')[-4000:]}")
        return {"kills": self.kills, "problems": self.problems, "attempts": attempts}


if __name__ == "__main__":
    plan = json.loads(sys.argv[1])
    django.setup()
    if plan.get("worker"):
        be_a_worker(plan["sabotage"])
    else:
        print(json.dumps(Story(plan).tell()))
