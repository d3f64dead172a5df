"""Projects, members, definitions and batches."""

from __future__ import annotations

from typing import Any

from labeling import dispatch
from labeling.models import Batch, GuidelineVersion, Membership
from labeling.queries.definitions import definitions_for_desk
from labeling.queries.guideline_content import newest_published
from labeling.queries.home import seats_of
from labeling.queries.progress import cohort_progress, count_items, rater_progress
from labeling.refusals import BadValue, NotSeen, Refusal
from labeling.selection import Selection
from labeling.vocabulary import BatchStatus

from ...queries import work as reads
from ...serializers import projects as bodies
from ...serializers.work import JobOut
from ...vocabulary import Scope
from . import shown
from .endpoint import Call, Endpoint, Listed, PageQuery, Reply, op


class Projects(Endpoint):
    tag = "projects"
    order = ("pk",)

    @op(
        Scope.READ, "My projects", reply=bodies.ProjectOut, query=PageQuery, order=order, everywhere=True,
        description="A token sees the one project it belongs to.",
    )  # fmt: skip
    def get(self, call: Call) -> Any:
        if call.token is not None:
            return Listed([shown.seat_row(call.token.membership)], None)
        rows = Membership.objects.filter(pk__in=[seat.pk for seat in seats_of(call.user)])
        page = self.page(call, rows.select_related("project"), self.order)
        return Listed([shown.seat_row(member) for member in page.rows], page.after)


class Project(Endpoint):
    tag = "projects"

    @op(Scope.READ, "A project", reply=bodies.ProjectOut)
    def get(self, call: Call) -> Any:
        return shown.seat_row(call.seat)


class Members(Endpoint):
    tag = "projects"
    order = ("pk",)

    @op(
        Scope.READ, "Members", right="see_figures", reply=bodies.MemberOut, query=PageQuery, order=order,
        description="Under pseudonyms; `raters:identify` adds `uuid` and `name`.",
    )  # fmt: skip
    def get(self, call: Call) -> Any:
        page = self.page(call, reads.members_for(call.seat.project), self.order)
        return Listed([self._row(call, row) for row in reads.with_labels(page.rows)], page.after)

    def _row(self, call: Call, row: reads.MemberRow) -> dict[str, Any]:
        member = row.member
        return {
            "rater": shown.rater(member), "role": member.role, "cohort": member.cohort, "active": member.active,
            "simulated": member.user.simulated, "imported": bool(member.imported_id), "labels": row.labels,
            "uuid": member.uuid if call.identifies else None,
            "name": shown.rater_name(member) if call.identifies else None,
        }  # fmt: skip


# --- definitions ----------------------------------------------------------------------------------
def guideline_row(version: GuidelineVersion, read: set[int]) -> dict[str, Any]:
    return {
        **{
            name: getattr(version, name)
            for name in ("uuid", "number", "status", "change_note", "body_sha256", "published_at")
        },
        "parent": version.parent.uuid if version.parent is not None else None,
        "acknowledged": version.pk in read,
    }


class Guidelines(Endpoint):
    tag = "definitions"
    order = ("-number",)

    @op(
        Scope.READ, "Versions of the definitions", reply=bodies.GuidelineOut, query=PageQuery, order=order,
        description="Newest first. Raters see published versions.",
    )  # fmt: skip
    def get(self, call: Call) -> Any:
        page = self.page(call, reads.versions_for(call.seat), self.order)
        read = reads.read_versions(call.seat.membership, page.rows)
        return Listed([guideline_row(version, read) for version in page.rows], page.after)


class GuidelineEndpoint(Endpoint):
    tag = "definitions"
    rows = GuidelineVersion.objects.select_related("project", "parent")

    def version(self, call: Call) -> GuidelineVersion:
        """The version, if the member may read it."""
        if not reads.versions_for(call.seat).filter(pk=call.row.pk).exists():
            raise NotSeen("not_found", "There is no such version for you.")
        version: GuidelineVersion = call.row
        return version


def label_rows(version: GuidelineVersion) -> list[dict[str, Any]]:
    return definitions_for_desk(version, version.project)


class Guideline(GuidelineEndpoint):
    @op(Scope.READ, "A version with its labels", reply=bodies.GuidelineWhole)
    def get(self, call: Call) -> Any:
        version = self.version(call)
        read = reads.read_versions(call.seat.membership, [version])
        return {
            **guideline_row(version, read), "body": version.body, "task_settings": version.task_settings,
            "labels": label_rows(version),
        }  # fmt: skip


class GuidelineLabels(GuidelineEndpoint):
    @op(Scope.READ, "The labels of a version", reply=bodies.LabelsOut)
    def get(self, call: Call) -> Any:
        return {"labels": label_rows(self.version(call))}


# --- batches --------------------------------------------------------------------------------------
def batch_row(call: Call, batch: Batch) -> dict[str, Any]:
    setup = call.seat.holds("see_progress")
    return {
        **{
            name: getattr(batch, name)
            for name in (
                "uuid", "name", "kind", "status", "guideline_version", "priority", "lease_minutes", "created_at",
                "opened_at", "closed_at",
            )
        },
        "quotas": list(batch.quotas.all()),
        "parent": batch.parent.uuid if batch.parent is not None else None,
        "seed": batch.seed if setup else None,
        "selection": batch.selection if setup else None,
    }  # fmt: skip


class Batches(Endpoint):
    tag = "batches"
    order = ("-pk",)

    @op(
        Scope.READ, "Batches", reply=bodies.BatchOut, query=PageQuery, order=order,
        description="Newest first. Raters see those that were opened and ask for their cohort.",
    )  # fmt: skip
    def get(self, call: Call) -> Any:
        page = self.page(call, reads.batches_for(call.seat), self.order)
        return Listed([batch_row(call, batch) for batch in page.rows], page.after)

    @op(
        Scope.MANAGE, "Create a batch", right="dispatch", body=bodies.BatchIn, reply=bodies.BatchOut, status=201,
        conflicts=("not_published", "archived"), description="In draft: nothing is served until it is opened.",
    )  # fmt: skip
    def post(self, call: Call) -> Any:
        body, project = call.body, call.seat.project
        if "guideline" in body:
            version = GuidelineVersion.objects.filter(project=project, uuid=body["guideline"]).first()
            if version is None:
                raise BadValue("bad_value", "There is no such version in this project.", field="guideline")
        elif (version := newest_published(project)) is None:
            raise Refusal("not_published", "Publish a definition first; a batch needs a published version.")
        quotas = {quota["cohort"]: (quota["raters"], quota.get("max_raters")) for quota in body["quotas"]}
        if len(quotas) < len(body["quotas"]):
            raise BadValue("bad_value", "A cohort stands twice in quotas.", field="quotas")
        more = {name: body[name] for name in ("priority", "lease_minutes", "seed") if name in body}
        batch = dispatch.create_batch(
            by=call.seat, name=body["name"], guideline_version=version, quotas=quotas,
            selection=Selection.from_json(body.get("selection") or {}), at=call.at, **more,
        )  # fmt: skip
        return Reply(batch_row(call, batch), 201, {"Location": call.url(f"/api/v1/batches/{batch.uuid}")})


class BatchEndpoint(Endpoint):
    tag = "batches"
    rows = Batch.objects.select_related("project", "guideline_version", "parent").prefetch_related("quotas")


class BatchOne(BatchEndpoint):
    @op(Scope.READ, "A batch", reply=bodies.BatchOut)
    def get(self, call: Call) -> Any:
        if not reads.batches_for(call.seat).filter(pk=call.row.pk).exists():
            raise NotSeen("not_found", "There is no such batch for you.")
        return batch_row(call, call.row)


class BatchProgress(BatchEndpoint):
    @op(Scope.READ, "How far a batch is", right="see_progress", reply=bodies.ProgressOut)
    def get(self, call: Call) -> Any:
        batch = call.row
        cohorts = cohort_progress(batch)
        raters = rater_progress(batch, sum(row.total + row.skipped + row.void for row in cohorts))
        return {
            "batch": batch.uuid, "status": batch.status, "items": count_items(batch), "cohorts": cohorts,
            "raters": [
                {
                    "rater": shown.rater(row.member), "cohort": row.member.cohort, "done": row.done,
                    "in_hand": row.in_hand, "skipped": row.skipped, "last_at": row.last_at,
                }
                for row in raters
            ],
        }  # fmt: skip


class BatchOpen(BatchEndpoint):
    @op(
        Scope.MANAGE, "Open a batch", right="dispatch", reply=JobOut, status=202,
        conflicts=("not_draft", "no_items", "not_closed", "imported", "busy", "archived"),
        description="A job lays out its places; it is open once that is done. A closed batch is opened again.",
    )  # fmt: skip
    def post(self, call: Call) -> Any:
        act = dispatch.reopen_batch if call.row.status == BatchStatus.CLOSED else dispatch.open_batch
        return accepted(call, act(by=call.seat, batch=call.row, at=call.at))


class BatchClose(BatchEndpoint):
    @op(
        Scope.MANAGE, "Close a batch", right="dispatch", reply=JobOut, status=202,
        conflicts=("not_open", "busy", "archived"),
        description="Nothing more is served; what is in hand is honoured until its lease ends.",
    )  # fmt: skip
    def post(self, call: Call) -> Any:
        return accepted(call, dispatch.close_batch(by=call.seat, batch=call.row, at=call.at))


def accepted(call: Call, job: Any) -> Reply:
    """202 with the job that does it, and where to ask for it."""
    row = shown.job(call, job)
    return Reply(row, 202, {"Location": row["url"]})
