"""Dataset versions: defined, built by a job, downloaded whole or in part, compared."""

from __future__ import annotations

from typing import Any

from django.http.response import HttpResponse, HttpResponseBase
from django.urls import reverse
from rest_framework import serializers

from labeling.refusals import BadValue, Refusal

from ...datasets.building import define_dataset, rebuild_dataset
from ...datasets.comparing import compare_datasets
from ...datasets.files import path_of
from ...datasets.formats import CONTENT_TYPE
from ...datasets.manifest import card
from ...models import DatasetVersion
from ...queries import datasets as reads
from ...serializers import datasets as bodies
from ...serializers.fields import Anything
from ...serializers.work import JobOut
from ...vocabulary import DatasetFormat, DatasetStatus, Scope
from ..datasets import file_name
from ..downloads import send_file
from .endpoint import Call, Endpoint, Listed, PageQuery, Reply, op
from .projects import accepted


class DatasetsQuery(PageQuery):
    rater = serializers.CharField(
        required=False, max_length=80, help_text="only versions with labels by this pseudonym"
    )
    guideline_version = serializers.CharField(required=False, max_length=80, help_text="… given under this definition")
    import_run = serializers.CharField(required=False, max_length=80, help_text="… from this import")
    batch = serializers.CharField(required=False, max_length=80, help_text="… of this batch")


class ManifestOut(serializers.Serializer):
    """The manifest: definitions with their hashes, filters, frozen items, counts, exclusions, figures, code version."""

    manifest = Anything()


def dataset_row(call: Call, row: DatasetVersion) -> dict[str, Any]:
    job = reads.build_job(row) if row.status != DatasetStatus.READY else None
    status, error = reads.state_of(row, job)
    return {
        **{
            name: getattr(row, name)
            for name in ("uuid", "number", "name", "format", "rows", "bytes", "sha256", "created_at", "ready_at")
        },
        "status": status,
        "error": error,
        "definition": row.filter,
        "parent": row.parent.uuid if row.parent is not None else None,
        "notices": getattr(row, "notice_count", None)
        if hasattr(row, "notice_count")
        else reads.notices_of(row).count(),
        "job": job.uuid if job is not None else None,
        "url": call.url(reverse("api:rest_dataset", args=[row.uuid])),
        "content": call.url(reverse("api:rest_dataset_content", args=[row.uuid])),
    }


class Datasets(Endpoint):
    tag = "datasets"
    order = ("-number",)

    @op(
        Scope.EXPORT, "Dataset versions", right="export", reply=bodies.DatasetOut, query=DatasetsQuery, order=order,
        description="Newest first; or only those whose labels come from a rater, a definition, an import, a batch.",
    )  # fmt: skip
    def get(self, call: Call) -> Any:
        rows = reads.datasets_of(call.seat.project)
        if asked := {name: call.query[name] for name in reads.LINEAGE if name in call.query}:
            found = reads.datasets_that_hold(call.seat.project, **asked)
            rows = rows.filter(number__in=[row["number"] for row in found[:500]])
        page = self.page(call, rows, self.order)
        return Listed([dataset_row(call, row) for row in page.rows], page.after)

    @op(
        Scope.EXPORT, "Define a dataset version", right="export", body=bodies.DatasetIn, reply=bodies.DatasetOut, status=202,
        conflicts=("busy", "archived"), description="A job builds it; once it is ready it never changes.",
    )  # fmt: skip
    def post(self, call: Call) -> Any:
        asked = {name: value for name, value in call.body.items() if value is not None}
        name, parent = asked.pop("name"), None
        if "parent" in asked:
            parent = DatasetVersion.objects.filter(project=call.seat.project, uuid=asked.pop("parent")).first()
            if parent is None:
                raise BadValue("bad_value", "There is no such dataset in this project.", field="parent")
        if "batch" in asked:
            asked["batch"] = str(asked["batch"])
        dataset = define_dataset(by=call.seat, name=name, definition=asked, parent=parent, at=call.at)
        row = dataset_row(call, dataset)
        return Reply(row, 202, {"Location": row["url"]})


class DatasetEndpoint(Endpoint):
    tag = "datasets"
    rows = DatasetVersion.objects.select_related("project", "parent", "by")

    def ready(self, call: Call) -> DatasetVersion:
        """The dataset, when its file is there. Raises `not_ready` until then."""
        row: DatasetVersion = call.row
        if row.status != DatasetStatus.READY or not path_of(row).exists():
            raise Refusal("not_ready", "This dataset is still being built.", status=row.status)
        return row


class DatasetOne(DatasetEndpoint):
    @op(Scope.EXPORT, "A dataset version", right="export", reply=bodies.DatasetOut)
    def get(self, call: Call) -> Any:
        return dataset_row(call, call.row)


class DatasetContent(DatasetEndpoint):
    @op(
        Scope.EXPORT, "The content of a dataset version", right="export", binary=tuple(CONTENT_TYPE.values()),
        also={206: "A part, as `Range` asks.", 416: "The range lies outside."}, conflicts=("not_ready",),
        description="As JSON lines, CSV or Parquet. The ETag is the sha256 of the bytes. `Range`, `If-Range` and HEAD are "
        "honoured: a cut download is told by its length, and resumed.",
    )  # fmt: skip
    def get(self, call: Call) -> HttpResponseBase:
        row = self.ready(call)
        kind = CONTENT_TYPE[DatasetFormat(row.format)]
        return send_file(call.request._request, path_of(row), sha256=row.sha256, content_type=kind, name=file_name(row))


class DatasetManifest(DatasetEndpoint):
    @op(Scope.EXPORT, "The manifest of a dataset version", right="export", reply=ManifestOut, conflicts=("not_ready",))
    def get(self, call: Call) -> Any:
        return {"manifest": self.ready(call).manifest}


class DatasetCard(DatasetEndpoint):
    @op(
        Scope.EXPORT, "The card of a dataset version", right="export", binary=("text/markdown",), conflicts=("not_ready",),
        description="A README.md for the folder that holds the content.",
    )  # fmt: skip
    def get(self, call: Call) -> HttpResponseBase:
        row = self.ready(call)
        text = card(row, data_files={"train": file_name(row)})
        return HttpResponse(text, content_type="text/markdown; charset=utf-8")


class DatasetNotices(DatasetEndpoint):
    @op(
        Scope.EXPORT, "Notices beside a dataset version", right="export", reply=bodies.NoticesOut,
        description="What became known since it was built; its bytes and manifest stay.",
    )  # fmt: skip
    def get(self, call: Call) -> Any:
        rows = [
            {
                "reason": notice.reason, "at": notice.at,
                "item": notice.item.uuid if notice.item is not None else None,
                "external_id": notice.item.external_id if notice.item is not None else None,
            }
            for notice in reads.notices_of(call.row)[:10_000]
        ]  # fmt: skip
        return {"notices": rows}


class DatasetRebuild(DatasetEndpoint):
    @op(
        Scope.EXPORT, "Build a failed dataset version again", right="export", reply=bodies.DatasetOut, status=202,
        conflicts=("not_failed", "busy", "archived"),
    )  # fmt: skip
    def post(self, call: Call) -> Any:
        rebuild_dataset(by=call.seat, dataset=call.row)
        call.row.refresh_from_db()
        return dataset_row(call, call.row)


class DatasetCompare(DatasetEndpoint):
    @op(
        Scope.EXPORT, "Compare with another dataset version", right="export", body=bodies.CompareIn, reply=JobOut, status=202,
        conflicts=("not_ready", "busy", "archived"),
        description="A job tells which items came, left, or changed label, definition or split: see its `result`.",
    )  # fmt: skip
    def post(self, call: Call) -> Any:
        other = DatasetVersion.objects.filter(project=call.seat.project, uuid=call.body["other"]).first()
        if other is None:
            raise BadValue("bad_value", "There is no such dataset in this project.", field="other")
        old, new = (call.row, other) if call.row.number < other.number else (other, call.row)
        return accepted(call, compare_datasets(by=call.seat, old=old, new=new))
