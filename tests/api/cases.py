"""Every call of REST version 1: what it needs of the token's scopes and of the member's role. A new address without a
case fails the rights matrix, and the table of all addresses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.utils import timezone

from api.datasets.building import define_dataset
from api.models import DatasetVersion
from api.queries.datasets import build_job
from api.vocabulary import DatasetStatus, Scope
from consistency.adjudication import Ruling, rule_on
from consistency.comparing import compare_batch
from consistency.holding import hold_disagreement
from consistency.models import Disagreement
from consistency.vocabulary import DisagreementStatus
from labeling import dispatch, jobs
from labeling.claiming import claim_next
from labeling.models import Batch, ImportRun, Job, Question
from labeling.submission import Answer, ask_question, submit_annotation
from labeling.vocabulary import ImportKind, JobStatus, RunStatus
from tests.url_table import Row
from tests.worlds import World

Make = Callable[[World], dict[str, Any]]
ALL = ("olga", "sam", "mel", "gene")
SETUP = ("olga", "sam", "mel")
OWNER, RATER = ("olga",), ("gene",)
IMPORTERS, RULERS = ("olga", "mel"), ("olga", "sam")


@dataclass(frozen=True)
class Case:
    """One call. `may`: the roles that get `status`; other members get 403, strangers 404, nobody in particular 401."""

    name: str
    method: str
    scope: Scope
    may: tuple[str, ...]
    kwargs: Make = lambda world: {}
    data: Make = lambda world: {}
    status: int = 200
    everywhere: bool = False
    # Roles that may, and get another answer: the hold is someone else's.
    but: Mapping[str, int] = field(default_factory=dict)
    # What else stands in the query.
    asks: Callable[[World], str] = lambda world: ""

    def __str__(self) -> str:
        return f"{self.name}-{self.method}"

    def wanted(self, role: str) -> int:
        """What a member of this role gets."""
        return self.but.get(role, self.status) if role in self.may else 403

    def asked(self, world: World) -> dict[str, str]:
        """What else stands in the query, as a dictionary."""
        return dict(part.split("=") for part in self.asks(world).split("&") if part)

    def query(self) -> str:
        """A list says which project: otto's own would answer him otherwise."""
        return "?project=phones"

    def row(self) -> Row:
        """The case in the table of all addresses, where roles come by their browser sessions."""
        expect = {role: self.wanted(role) for role in ALL}
        return Row(
            self.name, {"anonymous": 401, "otto": 200 if self.everywhere else 404, **expect}, kwargs=self.kwargs,
            method=self.method, data=self.data if self.method != "get" else self.asked,
            query="" if self.everywhere else self.query(), json=True, csrf=False, page=False, namespace="api",
        )  # fmt: skip


def the_batch(world: World) -> Batch:
    return Batch.objects.filter(project=world.project).first() or world.open_batch()


def batch(world: World) -> dict[str, Any]:
    return {"uuid": the_batch(world).uuid}


def a_draft(world: World) -> dict[str, Any]:
    made = Batch.objects.filter(project=world.project, name="Draft").first() or dispatch.create_batch(
        by=world.seat("olga"), name="Draft", guideline_version=world.version, quotas={"generalist": 1}
    )
    return {"uuid": made.uuid}


def project(world: World) -> dict[str, Any]:
    return {"slug": world.project.slug}


def guideline(world: World) -> dict[str, Any]:
    return {"uuid": world.version.uuid}


def item(world: World) -> dict[str, Any]:
    return {"uuid": world.items[0].uuid}


def held_by_gene(world: World) -> Any:
    return claim_next(by=world.people["gene"], batch=the_batch(world), slots=1).places[0]


def place(world: World) -> dict[str, Any]:
    return {"uuid": held_by_gene(world).uuid}


def with_token(**more: Any) -> Make:
    return lambda world: {"token": str(held_by_gene(world).claim_token), **more}


def skipped(world: World) -> dict[str, Any]:
    from labeling.submission import skip_place

    held = held_by_gene(world)
    skip_place(by=world.people["gene"], batch=the_batch(world), assignment=held.uuid, token=held.claim_token)
    return batch(world)


def answered(world: World) -> dict[str, Any]:
    held = held_by_gene(world)
    submit_annotation(
        by=world.people["gene"], batch=the_batch(world), assignment=held.uuid, token=held.claim_token,
        answer=Answer(value="defect"),
    )  # fmt: skip
    return batch(world)


def question(world: World) -> dict[str, Any]:
    asked: Question = ask_question(
        by=world.people["gene"], batch=the_batch(world), assignment=held_by_gene(world).uuid, text="Dust?"
    )
    return {"uuid": asked.uuid}


def an_import(world: World) -> dict[str, Any]:
    run = ImportRun.objects.create(
        project=world.project, kind=ImportKind.ITEMS, source="more.csv", file_sha256="0" * 64, mapping={},
        mapping_sha256="1" * 64, status=RunStatus.CHECKING, by=world.people["olga"],
    )  # fmt: skip
    return {"uuid": run.uuid}


def a_failed_job(world: World) -> dict[str, Any]:
    job = Job.objects.create(
        kind="top_up_places", project=world.project, parameters={"batch": the_batch(world).pk}, dedup_key="failed",
        status=JobStatus.FAILED, error="It broke.", by=world.people["olga"], created_at=timezone.now(),
    )  # fmt: skip
    return {"uuid": job.uuid}


def new_batch(world: World) -> dict[str, Any]:
    return {"name": "Next", "quotas": [{"cohort": "generalist", "raters": 2}]}


def new_items(world: World) -> Any:
    return [{"external_id": "new-1", "text": "A crack."}]


def new_predictions(world: World) -> dict[str, Any]:
    said = {"external_id": "n1", "value": "defect", "probabilities": {"defect": 0.9, "no_defect": 0.1}}
    return {"model_name": "eye", "model_version": "1", "predictions": [said]}


def a_disagreement(world: World) -> Disagreement:
    known = Disagreement.objects.filter(batch__project=world.project).first()
    if known is None:
        opened = world.open_batch("Bench", quotas={"generalist": 2})
        world.say(opened, "gene", {f"n{number}": "defect" for number in range(1, 6)})
        world.say(opened, "gina", {f"n{number}": "defect" if number > 1 else "no_defect" for number in range(1, 6)})
        compare_batch(batch=opened)
        # Others may have been drawn for audit.
        known = Disagreement.objects.get(batch=opened, batch_item__item__external_id="n1")
    return known


def a_case(world: World) -> dict[str, Any]:
    return {"uuid": a_disagreement(world).uuid}


def held_by_sam(world: World) -> Disagreement:
    return hold_disagreement(by=world.seat("sam"), disagreement=a_disagreement(world))


def with_hold(**more: Any) -> Make:
    return lambda world: {"token": str(held_by_sam(world).hold_token), **more}


RULING = {"cause": "ambiguous_definition", "outcome": "adjudicate", "value": "defect", "rationale": "The mark is long."}


def a_ruling(world: World) -> dict[str, Any]:
    case = held_by_sam(world)
    return {"token": str(case.hold_token), "seen": case.input_sha256, **RULING}


def a_cluster(world: World) -> dict[str, Any]:
    case = a_disagreement(world)
    return {"cases": [{"disagreement": str(case.uuid), "seen": case.input_sha256}], **RULING}


def the_bench(world: World) -> dict[str, Any]:
    return {"uuid": a_disagreement(world).batch.uuid}


def a_ruled_case(world: World) -> dict[str, Any]:
    case = a_disagreement(world)
    if case.status != DisagreementStatus.RULED:
        held = held_by_sam(world)
        rule_on(
            by=world.seat("sam"),
            disagreement=held,
            token=held.hold_token,
            seen=held.input_sha256,
            ruling=Ruling(**RULING),
        )
    return {"uuid": case.uuid}


def a_batch_to_measure(world: World) -> str:
    return f"&batch={a_disagreement(world).batch.uuid}"


def a_dataset(world: World, name: str = "First") -> DatasetVersion:
    known = DatasetVersion.objects.filter(project=world.project, name=name).first()
    if known is None:
        a_disagreement(world)
        known = define_dataset(by=world.seat("olga"), name=name, definition={})
        job = build_job(known)
        assert job is not None
        taken = jobs.take(job_id=job.pk)
        assert taken is not None
        assert jobs.run(taken, heartbeat=False).status == JobStatus.DONE
        known.refresh_from_db()
    return known


def dataset(world: World) -> dict[str, Any]:
    return {"uuid": a_dataset(world).uuid}


def a_failed_dataset(world: World) -> dict[str, Any]:
    made = DatasetVersion.objects.filter(project=world.project, name="Failed").first() or define_dataset(
        by=world.seat("olga"), name="Failed", definition={}
    )
    DatasetVersion.objects.filter(pk=made.pk).update(status=DatasetStatus.FAILED, error="The disk was full.")
    return {"uuid": made.uuid}


R, L, I, M, A, E = Scope.READ, Scope.LABEL, Scope.IMPORT, Scope.MANAGE, Scope.ADJUDICATE, Scope.EXPORT  # noqa: E741
CASES = [
    Case("rest_projects", "get", R, ALL, everywhere=True),
    Case("rest_project", "get", R, ALL, project),
    Case("rest_members", "get", R, SETUP),
    Case("rest_guidelines", "get", R, ALL),
    Case("rest_guideline", "get", R, ALL, guideline),
    Case("rest_guideline_labels", "get", R, ALL, guideline),
    Case("rest_guideline_acknowledge", "post", L, RATER, guideline),
    Case("rest_items", "get", R, SETUP),
    Case("rest_items", "post", I, IMPORTERS, data=new_items, status=202),
    Case("rest_item", "get", R, SETUP, item),
    Case(
        "rest_labels",
        "post",
        I,
        IMPORTERS,
        data=lambda world: [{"item": "n1", "rater": "r1", "label": "defect", "cohort": "expert"}],
        status=202,
    ),
    Case("rest_imports", "get", R, IMPORTERS),
    Case("rest_import", "get", R, IMPORTERS, an_import),
    Case("rest_import_discard", "post", I, IMPORTERS, an_import),
    Case("rest_import_resume", "post", I, IMPORTERS, an_import, status=202),
    Case("rest_batches", "get", R, ALL),
    Case("rest_batches", "post", M, OWNER, data=new_batch, status=201),
    Case("rest_batch", "get", R, ALL, batch),
    Case("rest_batch_progress", "get", R, SETUP, batch),
    Case("rest_batch_open", "post", M, OWNER, a_draft, status=202),
    Case("rest_batch_close", "post", M, OWNER, batch, status=202),
    Case("rest_batch_claim", "post", L, RATER, batch),
    Case("rest_batch_undo", "post", L, RATER, skipped),
    Case("rest_batch_mine", "get", L, RATER, batch),
    Case("rest_batch_answers", "get", L, RATER, answered),
    Case("rest_assignment_submit", "post", L, RATER, place, with_token(value="defect"), status=201),
    Case("rest_assignment_skip", "post", L, RATER, place, with_token()),
    Case("rest_assignment_release", "post", L, RATER, place, with_token(), status=204),
    Case("rest_assignment_heartbeat", "post", L, RATER, place, with_token()),
    Case("rest_assignment_ask", "post", L, RATER, place, lambda world: {"text": "Dust?"}, status=201),
    Case("rest_questions", "get", R, ALL),
    Case("rest_question_answer", "post", A, RULERS, question, lambda world: {"text": "No."}),
    Case("rest_annotations", "get", R, SETUP),
    Case("rest_predictions", "get", R, SETUP),
    Case("rest_predictions", "post", I, IMPORTERS, data=new_predictions, status=201),
    Case("rest_jobs", "get", R, SETUP),
    Case("rest_job", "get", R, SETUP, a_failed_job),
    Case("rest_job_retry", "post", M, OWNER, a_failed_job, status=202),
    Case("rest_events", "get", R, OWNER),
    Case("rest_item_withdraw", "post", M, OWNER, item, lambda world: {"reason": "Consent was withdrawn."}),
    Case("rest_agreement", "get", R, SETUP, status=202, asks=a_batch_to_measure),
    Case("rest_hlp", "get", R, SETUP, status=202, asks=a_batch_to_measure),
    Case("rest_disagreements", "get", R, SETUP),
    Case("rest_disagreement", "get", R, SETUP, a_case),
    Case("rest_disagreement_hold", "post", A, RULERS, a_case),
    Case("rest_disagreement_release", "post", A, RULERS, a_case, with_hold(), status=204),
    Case("rest_disagreement_rule", "post", A, RULERS, a_case, a_ruling, status=201, but={"olga": 409}),
    Case("rest_batch_rule", "post", A, RULERS, the_bench, a_cluster, status=201),
    Case(
        "rest_disagreement_overrule",
        "post",
        A,
        OWNER,
        a_ruled_case,
        status=201,
        data=lambda world: {"revision": 1, **RULING, "value": "no_defect"},
    ),
    Case(
        "rest_disagreement_discuss",
        "post",
        A,
        RULERS,
        a_case,
        with_hold(text="What did you see?"),
        status=201,
        but={"olga": 409},
    ),
    Case("rest_rulings", "get", R, SETUP),
    Case("rest_resolutions", "get", R, SETUP),
    Case("rest_batch_vote", "post", M, OWNER, batch, lambda world: {"method": "majority"}, status=202),
    Case("rest_datasets", "get", E, IMPORTERS),
    Case("rest_datasets", "post", E, IMPORTERS, data=lambda world: {"name": "Second"}, status=202),
    Case("rest_dataset", "get", E, IMPORTERS, dataset),
    Case("rest_dataset_content", "get", E, IMPORTERS, dataset),
    Case("rest_dataset_manifest", "get", E, IMPORTERS, dataset),
    Case("rest_dataset_card", "get", E, IMPORTERS, dataset),
    Case("rest_dataset_notices", "get", E, IMPORTERS, dataset),
    Case("rest_dataset_rebuild", "post", E, IMPORTERS, a_failed_dataset, status=202),
    Case(
        "rest_dataset_compare",
        "post",
        E,
        IMPORTERS,
        dataset,
        status=202,
        data=lambda world: {"other": str(a_dataset(world, "Other").uuid)},
    ),
]
