"""Items, predictions, jobs, the feed of annotations, events."""

from __future__ import annotations

from typing import Any

from django.http.response import HttpResponseBase
from rest_framework import serializers

from labeling.importing.items import import_items
from labeling.importing.predictions import PredictionColumns, import_predictions, version_for
from labeling.jobs import retry_job
from labeling.models import Batch, Event, GuidelineVersion, Item, Job, Membership, Prediction
from labeling.refusals import BadValue, NotAllowed
from labeling.views.items import serve_file
from labeling.vocabulary import ImportKind, JobStatus
from labeling.withdrawing import withdraw_item

from ... import feed
from ...queries import work as reads
from ...queries.ledger import feed_after
from ...serializers import predictions as predicted
from ...serializers import work as bodies
from ...serializers.labels import FeedOut
from ...vocabulary import Scope
from . import shown
from .endpoint import Call, Endpoint, Listed, PageQuery, op, row_of
from .imports import STARTED, ImportQuery, complete, read_mapping, started_import
from .paging import LIMIT, MOST, next_url
from .projects import accepted
from .receiving import FILES


# --- items ----------------------------------------------------------------------------------------
class ItemsQuery(PageQuery):
    tag = serializers.CharField(required=False, max_length=80, help_text="only items with this tag")
    external_id = serializers.CharField(required=False, max_length=200, help_text="only the item of this id")


def item_row(call: Call, row: reads.ItemRow) -> dict[str, Any]:
    item = row.item
    return {
        **{
            name: getattr(item, name)
            for name in ("uuid", "external_id", "payload", "payload_sha256", "metadata", "withdrawn_at")
        },
        "tags": row.tags,
        "files": {field: shown.file_url(call, item, field) for field in item.media or {}},
    }


class Items(Endpoint):
    tag = "items"
    order = ("pk",)

    @op(
        Scope.READ, "Items", right="see_items", reply=bodies.ItemOut, query=ItemsQuery, order=order, maps=("metadata",),
        description="In order of import; withdrawn items are left out.",
    )  # fmt: skip
    def get(self, call: Call) -> Any:
        rows = reads.items_for(
            call.seat.project, metadata=call.query.get("metadata", {}), tag=call.query.get("tag", ""),
            external_id=call.query.get("external_id", ""),
        )  # fmt: skip
        page = self.page(call, rows, self.order)
        return Listed([item_row(call, row) for row in reads.with_tags(page.rows)], page.after)

    @op(
        Scope.IMPORT, "Import items", right="import", query=ImportQuery, files=tuple(FILES), **STARTED,
        description="A JSON array of objects, JSON lines, CSV, TSV, Parquet, or a zip of images. The body is checked as a "
        "whole before anything of it becomes visible; ask the import's address for its report.",
    )  # fmt: skip
    def post(self, call: Call) -> Any:
        given = read_mapping(call)
        return started_import(
            call,
            ImportKind.ITEMS,
            lambda source: complete(given, source, call.seat.project.payload_schema),
            import_items,
        )


class ItemEndpoint(Endpoint):
    tag = "items"
    rows = Item.objects.visible().select_related("project")


class ItemOne(ItemEndpoint):
    @op(Scope.READ, "An item", right="see_items", reply=bodies.ItemOut)
    def get(self, call: Call) -> Any:
        return item_row(call, reads.with_tags([call.row])[0])


class ItemWithdraw(ItemEndpoint):
    @op(
        Scope.MANAGE, "Withdraw an item", right="manage", body=bodies.WithdrawIn, reply=bodies.ItemOut, conflicts=("archived",),
        description="For good: nobody labels it any more and the next datasets leave it out; what was said of it stays, and "
        "datasets that hold it carry a notice.",
    )  # fmt: skip
    def post(self, call: Call) -> Any:
        withdraw_item(by=call.seat, item=call.row, reason=call.body["reason"], at=call.at)
        return item_row(call, reads.with_tags([call.row])[0])


class ItemFile(ItemEndpoint):
    @op(
        Scope.LABEL, "A picture of an item", or_scope=Scope.READ, right="view", binary=("image/*",),
        description="What is to be labeled, for every member: the address stands in claims and in items.",
    )  # fmt: skip
    def get(self, call: Call) -> HttpResponseBase:
        return serve_file(call.request._request, call.row, call.kwargs["field"])


# --- the feed -------------------------------------------------------------------------------------
class FeedQuery(serializers.Serializer):
    after = serializers.IntegerField(
        required=False, default=0, min_value=0, max_value=2**62, help_text="the last number that was seen"
    )
    limit = serializers.IntegerField(required=False, default=LIMIT, min_value=1, max_value=MOST)
    batch = serializers.UUIDField(required=False, help_text="only annotations of this batch")


class Annotations(Endpoint):
    tag = "annotations"

    @op(
        Scope.READ, "The feed of annotations", right="see_figures", reply=FeedOut, query=FeedQuery,
        description="In the order of their numbers. A number is given after the annotation is safely recorded, so that "
        "nothing ever appears below a number already told. Revisions are entries of their own: the highest counts.",
    )  # fmt: skip
    def get(self, call: Call) -> Any:
        query = call.query
        if "batch" in query:
            row_of(call, Batch.objects.select_related("project"), query["batch"], "see_figures")
        asked = (call.seat.project, query["after"], query["limit"] + 1, query.get("batch"))
        rows = feed_after(*asked)
        # Whoever is not at the end yet need not wait for what is new to be numbered.
        if len(rows) <= query["limit"] and feed.number_new(call.at):
            rows = feed_after(*asked)
        more = len(rows) > query["limit"]
        rows = rows[: query["limit"]]
        last = rows[-1]["number"] if rows else query["after"]
        return {
            "results": self._told(call, rows),
            "last": last,
            "next": next_url(call.request, str(last)) if more else None,
        }

    def _told(self, call: Call, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        members = Membership.objects.select_related("user").in_bulk({row["member"] for row in rows if row["member"]})
        who = {
            pk: {"rater": shown.rater(member), "rater_name": shown.rater_name(member) if call.identifies else None}
            for pk, member in members.items()
        }
        nobody = {"rater": shown.rater(None), "rater_name": None}
        return [{**row, **who.get(row["member"], nobody)} for row in rows]


# --- predictions ----------------------------------------------------------------------------------
class PredictionsQuery(PageQuery):
    model_name = serializers.CharField(required=False, max_length=120)
    model_version = serializers.CharField(required=False, max_length=60)
    item = serializers.UUIDField(required=False)


class Predictions(Endpoint):
    tag = "predictions"
    order = ("pk",)

    @op(
        Scope.READ,
        "Predictions",
        right="see_figures",
        reply=predicted.PredictionOut,
        query=PredictionsQuery,
        order=order,
    )
    def get(self, call: Call) -> Any:
        query = call.query
        rows = reads.predictions_for(
            call.seat.project, model=query.get("model_name", ""), version=query.get("model_version", ""),
            item=query.get("item"),
        )  # fmt: skip
        page = self.page(call, rows, self.order)
        return Listed([self._row(row) for row in page.rows], page.after)

    def _row(self, row: Prediction) -> dict[str, Any]:
        return {
            **{name: getattr(row, name) for name in ("model_name", "model_version", "value", "probabilities", "at")},
            "item": row.item.uuid,
            "external_id": row.item.external_id,
            "guideline": row.guideline_version.uuid,
        }

    @op(
        Scope.IMPORT, "Store predictions", right="import", body=predicted.PredictionsIn, reply=predicted.StoredOut,
        status=201, conflicts=("not_published", "archived"),
        description="In the shadow: logged, and shown to no rater. The same prediction again changes nothing; another "
        "value under the same model version is refused.",
    )  # fmt: skip
    def post(self, call: Call) -> Any:
        body = call.body
        rows: list[tuple[int, Any]] = []
        for position, row in enumerate(body["predictions"]):
            if ("item" in row) == ("external_id" in row):
                raise BadValue(
                    "bad_value", "Name each item by `item` or by `external_id`, not by both.",
                    field=f"predictions[{position}]",
                )  # fmt: skip
            rows.append((position, {**row, "item": row["item"] if "item" in row else row["external_id"]}))
        report = import_predictions(
            by=call.seat, rows=lambda: rows, model_name=body["model_name"], model_version=body["model_version"],
            guideline_version=version_of(call, body.get("guideline")), skip_refused=True, problems_shown=len(rows),
            columns=PredictionColumns(item="item", value="value", probabilities="probabilities"), at=call.at,
        )  # fmt: skip
        return {
            "kept": report.kept,
            "unchanged": report.same,
            "refused": [{"position": at, "code": code, "reason": reason} for at, code, reason in report.problems],
        }


def version_of(call: Call, uuid: Any) -> GuidelineVersion:
    """The version of that uuid, or the newest published one, or else the newest imported one. Raises BadValue,
    `not_published`."""
    if uuid is None:
        return version_for(call.seat.project, None)
    version = GuidelineVersion.objects.filter(project=call.seat.project, uuid=uuid).first()
    if version is None:
        raise BadValue("bad_value", "There is no such version in this project.", field="guideline")
    return version


# --- jobs and events ------------------------------------------------------------------------------
class JobsQuery(PageQuery):
    status = serializers.ChoiceField(JobStatus.choices, required=False)


class Jobs(Endpoint):
    tag = "jobs"
    order = ("-pk",)

    @op(Scope.READ, "Jobs", right="see_setup", reply=bodies.JobOut, query=JobsQuery, order=order)
    def get(self, call: Call) -> Any:
        page = self.page(call, reads.jobs_for(call.seat.project, call.query.get("status", "")), self.order)
        return Listed([shown.job(call, row) for row in page.rows], page.after)


class JobEndpoint(Endpoint):
    tag = "jobs"
    rows = Job.objects.select_related("project").filter(project__isnull=False)


class JobOne(JobEndpoint):
    @op(Scope.READ, "A job", right="see_setup", reply=bodies.JobOut)
    def get(self, call: Call) -> Any:
        return shown.job(call, call.row)


class JobRetry(JobEndpoint):
    @op(
        Scope.MANAGE, "Try a failed job again", right="see_setup", reply=bodies.JobOut, status=202,
        conflicts=("not_failed", "already_queued", "archived"),
        description="For whoever asked for the job, and the project's owner.",
    )  # fmt: skip
    def post(self, call: Call) -> Any:
        if call.row.by_id != call.user.pk and not call.seat.holds("manage"):
            raise NotAllowed("no_right", "A job is tried again by whoever asked for it, or by the project's owner.")
        return accepted(call, retry_job(by=call.user, job=call.row))


class EventsQuery(PageQuery):
    verb = serializers.CharField(required=False, max_length=40)
    subject = serializers.CharField(required=False, max_length=30, help_text="the kind of thing it happened to")


# What an event about these holds may name people.
ABOUT_PEOPLE = ("membership", "user", "invite", "exclusion", "apitoken")


class Events(Endpoint):
    tag = "events"
    order = ("-pk",)

    @op(
        Scope.READ, "What happened", right="manage", reply=bodies.EventOut, query=EventsQuery, order=order,
        description="The project's audit trail, newest first, for its owner.",
    )  # fmt: skip
    def get(self, call: Call) -> Any:
        project, query = call.seat.project, call.query
        rows = reads.events_for(project, verb=query.get("verb", ""), subject=query.get("subject", ""))
        page = self.page(call, rows, self.order)
        actors = reads.members_by_user(project, [row.actor_id for row in page.rows if row.actor_id])
        return Listed([self._row(call, row, actors) for row in page.rows], page.after)

    def _row(self, call: Call, row: Event, actors: dict[int, Any]) -> dict[str, Any]:
        member = actors.get(row.actor_id) if row.actor_id else None
        actor: str | None = None
        if row.actor is not None:
            named = row.actor.name if call.identifies else None
            actor = named or (shown.rater(member) if member is not None else "someone outside the project")
        data = row.data
        if not call.identifies:
            data = None if row.subject_type in ABOUT_PEOPLE else {k: v for k, v in data.items() if k != "member"}
        return {
            "id": row.pk, "verb": row.verb, "subject": row.subject_type, "actor": actor, "implicit": row.implicit,
            "data": data, "at": row.at,
        }  # fmt: skip
