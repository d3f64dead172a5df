"""Agreement and HLP; disagreements and the rulings on them; resolutions."""

from __future__ import annotations

import json
from typing import Any

from rest_framework import serializers

from consistency import adjudication, discussing, holding
from consistency.adjudication import Ruling
from consistency.measuring import figures_for
from consistency.models import Adjudication, AgreementEstimate, Disagreement, Resolution
from consistency.vocabulary import DisagreementKind, DisagreementStatus, ResolutionMethod, RunKind
from consistency.voting import enqueue_vote
from labeling.models import Batch, Membership
from labeling.refusals import NotSeen

from ...queries import figures as reads
from ...serializers import figures as bodies
from ...serializers.work import JobOut
from ...vocabulary import Scope
from . import shown
from .endpoint import Call, Endpoint, Listed, PageQuery, Reply, op, row_of
from .projects import BatchEndpoint, accepted


# --- figures --------------------------------------------------------------------------------------
class FiguresQuery(serializers.Serializer):
    batch = serializers.UUIDField(help_text="whose figures")


class AgreementQuery(FiguresQuery):
    pooled = serializers.BooleanField(
        required=False, default=False, help_text="also over all cohorts together; never done unless asked"
    )


def estimate_row(call: Call, row: AgreementEstimate) -> dict[str, Any]:
    return {
        **{
            name: getattr(row, name)
            for name in (
                "scope", "coefficient", "level", "method", "population", "reference_origin", "value", "low", "high", "se",
                "se_items", "se_raters", "items", "raters", "ratings", "excluded",
            )
        },
        "about": json.loads(row.scope_key or "{}"),
        "undefined": row.undefined_reason or None,
    }  # fmt: skip


class FiguresEndpoint(Endpoint):
    tag = "figures"

    def figures(self, call: Call, kind: str) -> Any:
        """The newest figures of a batch; 202 while they are measured for the first time."""
        rows = Batch.objects.select_related("project", "guideline_version")
        batch, seat = row_of(call, rows, call.query["batch"], "see_figures")
        if seat.project.pk != call.seat.project.pk:
            raise NotSeen("not_found", "There is no such batch in this project.")
        run, job = figures_for(by=seat, batch=batch, kind=kind, pooled=call.query.get("pooled", False), now=call.at)
        rows_of_run = reads.estimates_of(run) if run is not None else []
        data = {
            "batch": batch.uuid,
            "kind": kind,
            "run": run.uuid if run is not None else None,
            "measured_at": run.at if run is not None else None,
            "checked_at": run.checked_at if run is not None else None,
            "code_version": run.code_version if run is not None else None,
            "parameters": run.parameters if run is not None else {},
            "estimates": [estimate_row(call, row) for row in rows_of_run],
            "findings": run.findings if run is not None else {},
            "job": job.uuid if job is not None else None,
        }
        return Reply(data, 200 if run is not None else 202)


MEASURED = {202: "The batch is being measured for the first time; ask again when the job is done."}


class Agreement(FiguresEndpoint):
    @op(
        Scope.READ, "Agreement in a batch", right="see_figures", reply=bodies.FiguresOut, query=AgreementQuery, also=MEASURED,
        conflicts=("busy",),
        description="Every coefficient per cohort, between cohorts, per label, slice and rater, each with its interval. "
        "Figures older than a minute are measured again in the background.",
    )  # fmt: skip
    def get(self, call: Call) -> Any:
        return self.figures(call, RunKind.AGREEMENT)


class Hlp(FiguresEndpoint):
    @op(
        Scope.READ, "Human-level performance in a batch", right="see_figures", reply=bodies.FiguresOut, query=FiguresQuery,
        also=MEASURED, conflicts=("busy",),
        description="Pairwise, leave-one-out, and against gold by its origin; beside it the constant model and the "
        "convention ceiling.",
    )  # fmt: skip
    def get(self, call: Call) -> Any:
        return self.figures(call, RunKind.HLP)


# --- disagreements and rulings --------------------------------------------------------------------
class DisagreementsQuery(PageQuery):
    batch = serializers.UUIDField(required=False)
    status = serializers.ChoiceField(DisagreementStatus.choices, required=False)
    kind = serializers.ChoiceField(DisagreementKind.choices, required=False)
    confusion = serializers.CharField(required=False, max_length=400)


def case_row(case: Disagreement) -> dict[str, Any]:
    item = case.batch_item.item
    return {
        **{
            name: getattr(case, name)
            for name in (
                "uuid", "kind", "status", "complete", "distance", "entropy", "confusion", "cohorts_split", "input_sha256",
                "hold_until", "found_at", "changed_at",
            )
        },
        "batch": case.batch.uuid,
        "item": item.uuid,
        "external_id": item.external_id,
        "held": case.holder_id is not None,
    }  # fmt: skip


def ruling_row(ruling: Adjudication, authors: dict[int, Membership]) -> dict[str, Any]:
    case = ruling.disagreement
    item = case.batch_item.item
    return {
        **{
            name: getattr(ruling, name)
            for name in (
                "uuid", "revision", "value", "distribution", "borderline", "cause", "outcome", "rationale", "cluster", "at",
            )
        },
        "disagreement": case.uuid,
        "batch": case.batch.uuid,
        "item": item.uuid,
        "external_id": item.external_id,
        "by": shown.rater(authors.get(ruling.by_id)),
    }  # fmt: skip


def whole_case(call: Call, case: Disagreement) -> dict[str, Any]:
    """A case with what it is about: payload, answers without their raters, rulings."""
    rulings = list(reads.rulings_for(call.seat.project, disagreement=case.uuid).order_by("revision"))
    authors = reads.authors_of(rulings, call.seat.project)
    answers = [
        {
            "cohort": said.assignment.cohort,
            **{
                name: getattr(said, name)
                for name in ("outcome", "value", "second_value", "borderline", "reason", "comment", "confidence")
            },
        }
        for said in reads.answers_to(case)
    ]
    return {
        **case_row(case), "payload": case.batch_item.item.payload, "answers": answers,
        "rulings": [ruling_row(ruling, authors) for ruling in rulings],
    }  # fmt: skip


class Disagreements(Endpoint):
    tag = "disagreements"
    order = ("-distance", "-entropy", "pk")

    @op(
        Scope.READ, "Disagreements", right="see_figures", reply=bodies.DisagreementOut, query=DisagreementsQuery, order=order,
        description="The worst first.",
    )  # fmt: skip
    def get(self, call: Call) -> Any:
        asked = {name: call.query[name] for name in ("batch", "status", "kind", "confusion") if name in call.query}
        page = self.page(call, reads.disagreements_for(call.seat.project, **asked), self.order)
        return Listed([case_row(case) for case in page.rows], page.after)


class CaseEndpoint(Endpoint):
    tag = "disagreements"
    rows = Disagreement.objects.select_related("batch__project", "batch__guideline_version", "batch_item__item")
    project = "batch__project"


class DisagreementOne(CaseEndpoint):
    @op(
        Scope.READ, "A disagreement with its answers", right="see_figures", reply=bodies.CaseOut,
        description="The answers say their cohort, never their rater.",
    )  # fmt: skip
    def get(self, call: Call) -> Any:
        return whole_case(call, call.row)


HOLDS = ("held_by_other", "not_complete", "ruled", "dismissed", "changed_meanwhile", "archived")
RULES = (
    "hold_lost", "answers_changed", "not_complete", "ruled", "dismissed", "changed_meanwhile", "held_by_other", "archived",
)  # fmt: skip


class DisagreementHold(CaseEndpoint):
    @op(
        Scope.ADJUDICATE, "Hold a case", right="adjudicate", reply=bodies.HoldOut, conflicts=HOLDS,
        description="For ten minutes; again, it is renewed. Nobody holds a case of an item they rated (403).",
    )  # fmt: skip
    def post(self, call: Call) -> Any:
        held = holding.hold_disagreement(by=call.seat, disagreement=call.row, at=call.at)
        call.row.refresh_from_db()
        return {**whole_case(call, call.row), "token": held.hold_token}


class DisagreementRelease(CaseEndpoint):
    @op(
        Scope.ADJUDICATE, "Give a case back unruled", right="adjudicate", body=bodies.HoldTokenIn, status=204,
        conflicts=("archived",),
    )  # fmt: skip
    def post(self, call: Call) -> Any:
        holding.release_hold(by=call.seat, disagreement=call.row, token=call.body["token"], at=call.at)


def ruling_of(body: dict[str, Any]) -> Ruling:
    return Ruling(**{name: body[name] for name in Ruling.__dataclass_fields__})


def ruled(call: Call, ruling: Adjudication) -> dict[str, Any]:
    made = reads.rulings_for(call.seat.project).get(pk=ruling.pk)
    return ruling_row(made, reads.authors_of([made], call.seat.project))


class DisagreementRule(CaseEndpoint):
    @op(
        Scope.ADJUDICATE, "Rule on a held case", right="adjudicate", body=bodies.RuleIn, reply=bodies.RulingOut, status=201,
        conflicts=RULES, description="The same ruling again returns the recorded one.",
    )  # fmt: skip
    def post(self, call: Call) -> Any:
        ruling = adjudication.rule_on(
            by=call.seat, disagreement=call.row, token=call.body["token"], seen=call.body["seen"],
            ruling=ruling_of(call.body), at=call.at,
        )  # fmt: skip
        return ruled(call, ruling)


class DisagreementOverrule(CaseEndpoint):
    @op(
        Scope.ADJUDICATE, "Replace the ruling in force", right="manage", body=bodies.OverruleIn, reply=bodies.RulingOut,
        status=201, conflicts=("not_ruled", *RULES), description="For the project's owner; earlier rulings stay as history.",
    )  # fmt: skip
    def post(self, call: Call) -> Any:
        ruling = adjudication.overrule(
            by=call.seat, disagreement=call.row, revision=call.body["revision"], ruling=ruling_of(call.body), at=call.at
        )
        return ruled(call, ruling)


class DisagreementDiscuss(CaseEndpoint):
    @op(
        Scope.ADJUDICATE, "Ask the raters of a held case", right="adjudicate", body=bodies.DiscussIn,
        reply=bodies.MessageOut, status=201, conflicts=RULES,
        description="What they change after this is no longer blind, and no longer counts for agreement.",
    )  # fmt: skip
    def post(self, call: Call) -> Any:
        message = discussing.open_discussion(
            by=call.seat, disagreement=call.row, token=call.body["token"], text=call.body["text"], at=call.at
        )
        return {"uuid": message.uuid, "disagreement": call.row.uuid, "text": message.text, "at": message.at}


class RulingsQuery(PageQuery):
    batch = serializers.UUIDField(required=False)
    disagreement = serializers.UUIDField(required=False)


class Rulings(Endpoint):
    tag = "disagreements"
    order = ("-pk",)

    @op(
        Scope.READ, "Rulings", right="see_figures", reply=bodies.RulingOut, query=RulingsQuery, order=order,
        description="Newest first, with those that were overruled: the highest revision of a case is in force.",
    )  # fmt: skip
    def get(self, call: Call) -> Any:
        asked = {name: call.query[name] for name in ("batch", "disagreement") if name in call.query}
        page = self.page(call, reads.rulings_for(call.seat.project, **asked), self.order)
        authors = reads.authors_of(list(page.rows), call.seat.project)
        return Listed([ruling_row(ruling, authors) for ruling in page.rows], page.after)


# --- resolutions ----------------------------------------------------------------------------------
class ResolutionsQuery(PageQuery):
    batch = serializers.UUIDField(required=False)
    method = serializers.ChoiceField(ResolutionMethod.choices, required=False)
    every_revision = serializers.BooleanField(
        required=False, default=False, help_text="also those that are no longer in force"
    )


class Resolutions(Endpoint):
    tag = "resolutions"
    order = ("pk",)

    @op(
        Scope.READ, "Resolutions", right="see_figures", reply=bodies.ResolutionOut, query=ResolutionsQuery, order=order,
        description="The value in force for each item of a batch, in the order in which they were reached.",
    )  # fmt: skip
    def get(self, call: Call) -> Any:
        query = call.query
        rows = reads.resolutions_for(
            call.seat.project, batch=query.get("batch"), method=query.get("method", ""),
            every_revision=query["every_revision"],
        )  # fmt: skip
        page = self.page(call, rows, self.order)
        return Listed([self._row(row) for row in page.rows], page.after)

    def _row(self, row: Resolution) -> dict[str, Any]:
        batch, item = row.batch_item.batch, row.batch_item.item
        return {
            **{
                name: getattr(row, name)
                for name in ("uuid", "revision", "value", "method", "confidence", "distribution", "raters", "at")
            },
            "batch": batch.uuid,
            "item": item.uuid,
            "external_id": item.external_id,
            "guideline": batch.guideline_version.uuid,
            "guideline_number": batch.guideline_version.number,
            "ruling": row.adjudication.uuid if row.adjudication is not None else None,
        }


class BatchRule(BatchEndpoint):
    tag = "disagreements"

    @op(
        Scope.ADJUDICATE, "Rule on a cluster of cases", right="adjudicate", body=bodies.ClusterIn, reply=bodies.ClusterOut,
        status=201, conflicts=("archived",),
        description="One ruling and one rationale for cases of the same confusion. What stands against a case by itself "
        "(another holds it, its answers changed, you rated it) leaves that case out and is told.",
    )  # fmt: skip
    def post(self, call: Call) -> Any:
        cases = [(case["disagreement"], case["seen"]) for case in call.body["cases"]]
        report = adjudication.rule_on_cluster(
            by=call.seat, batch=call.row, cases=cases, ruling=ruling_of(call.body), at=call.at
        )
        made = list(reads.rulings_for(call.seat.project).filter(cluster=report.cluster).order_by("pk"))
        authors = reads.authors_of(made, call.seat.project)
        return {
            "cluster": report.cluster,
            "rulings": [ruling_row(ruling, authors) for ruling in made],
            "refused": [
                {"disagreement": one.disagreement, "code": one.code, "message": one.message} for one in report.refused
            ],
        }


class BatchVote(BatchEndpoint):
    @op(
        Scope.MANAGE, "Fill items by vote", right="manage", body=bodies.VoteIn, reply=JobOut, status=202,
        conflicts=("busy", "archived"),
        description="The last resort: items inside the threshold, and with `release` disputed ones too. Ties stay ties.",
    )  # fmt: skip
    def post(self, call: Call) -> Any:
        body = call.body
        job = enqueue_vote(
            by=call.seat, batch=call.row, method=body["method"], cohort=body["cohort"], release=body["release"]
        )
        return accepted(call, job)
