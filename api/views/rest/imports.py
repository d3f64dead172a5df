"""Files of items and of labels, taken in by a job; their reports."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from django.urls import reverse
from rest_framework import serializers

from labeling.importing import runs, uploads
from labeling.importing.items import guess_mapping, open_item_file
from labeling.importing.label_checking import open_label_rows
from labeling.importing.label_columns import ROLES, LabelMapping, map_labels
from labeling.importing.labels import import_labels
from labeling.importing.mapping import ItemMapping, with_schema
from labeling.models import ImportRun, Job
from labeling.refusals import BadValue, Refusal
from labeling.vocabulary import ImportKind

from ...queries import work as reads
from ...serializers import work as bodies
from ...vocabulary import Scope
from .endpoint import Call, Endpoint, Listed, PageQuery, Reply, op
from .projects import accepted
from .receiving import FILES, ZIP

STARTED: dict[str, Any] = {
    "reply": bodies.ImportOut, "status": 202, "conflicts": ("archived", "started", "busy"),
    "also": {200: "The same rows were imported the same way before; nothing was changed."},
}  # fmt: skip


def started_import(
    call: Call, kind: str, mapping_of: Callable[[runs.FileSource], Any], act: Callable[..., runs.Started]
) -> Reply:
    """Store the received file and start its import; a file that does not fit is not kept."""
    file = call.file
    assert file is not None  # received before the method is called
    if "name" in call.query:
        file.name = call.query["name"] + file.name.removeprefix("rest")
    run = uploads.receive_upload(by=call.seat, kind=kind, files=[file], at=call.at)
    try:
        source = uploads.upload_of(run)
        started = act(by=call.seat, source=source, mapping=mapping_of(source), run=run, at=call.at)
    except Refusal:
        runs.discard_import(by=call.seat, run=run, at=call.at)
        raise
    started.run.refresh_from_db()
    row = import_row(call, started.run, started.job)
    return Reply(row, 200 if started.nothing_to_do else 202, {"Location": row["url"]})


# --- items ----------------------------------------------------------------------------------------
class ImportQuery(serializers.Serializer):
    mapping = serializers.CharField(
        required=False, max_length=20_000,
        help_text='JSON: {"external_id": column, "payload": {field: column}, "metadata": {name: column} or null for all '
        'others, "tags": [column]}; what is not said is guessed from the columns and the project\'s declared fields',
    )  # fmt: skip
    name = serializers.CharField(required=False, max_length=200, help_text="what the import is called")
    skip_refused = serializers.BooleanField(
        required=False, default=False, help_text="leave refused rows out instead of refusing everything"
    )
    update_metadata = serializers.BooleanField(
        required=False, default=False, help_text="correct metadata and add tags of items that are there already"
    )
    keep_duplicates = serializers.BooleanField(
        required=False, default=False, help_text="also take a payload that is there under another id"
    )


MAPPING_FIELDS: dict[str, Any] = {
    "external_id": str, "payload": dict, "metadata": (dict, type(None)), "tags": list, "environment": str, "encoding": str,
}  # fmt: skip


def read_mapping(call: Call) -> dict[str, Any]:
    """The mapping as far as the request says it. Raises BadValue naming what is wrong."""
    given: dict[str, Any] = {}
    if raw := call.query.get("mapping"):
        try:
            given = json.loads(raw)
        except (ValueError, RecursionError):
            given = None  # type: ignore[assignment]
        if not isinstance(given, dict):
            raise BadValue("bad_value", "mapping must be a JSON object.", field="mapping")
    for name, value in given.items():
        kinds = MAPPING_FIELDS.get(name)
        if kinds is None:
            raise BadValue(
                "bad_value", f"mapping has no {name!r}. Known are: {', '.join(MAPPING_FIELDS)}.", field="mapping"
            )
        inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        if not isinstance(value, kinds) or not all(isinstance(part, str) for part in inner):
            raise BadValue("bad_value", f"mapping: {name} is of the wrong kind.", field="mapping")
        if "\x00" in json.dumps(value) or "\\u0000" in json.dumps(value) or "\\ud" in json.dumps(value):
            raise BadValue("bad_value", f"mapping: {name} holds a character that cannot be stored.", field="mapping")
    if given.get("environment", "") not in ("", "training", "serving"):
        raise BadValue("bad_value", "mapping: environment is training or serving.", field="mapping")
    flags = {name: call.query[name] for name in ("skip_refused", "update_metadata", "keep_duplicates")}
    return {**given, **flags}


def complete(given: dict[str, Any], source: runs.FileSource, schema: dict[str, Any]) -> ItemMapping:
    """The given mapping with the rest guessed from the file's columns and the project's fields."""
    mapping = ItemMapping.from_json(given)
    with open_item_file(source.path, source.name, mapping) as file:
        guess = guess_mapping(schema, file)
    wanted = {
        name: getattr(guess, name) for name in ("external_id", "payload", "metadata", "tags") if name not in given
    }
    mapping = with_schema(replace(mapping, **wanted), schema)
    return mapping if schema.get("fields") else replace(mapping, kinds=guess.kinds)


# --- labels given elsewhere -----------------------------------------------------------------------
class Labels(Endpoint):
    tag = "items"

    @op(
        Scope.IMPORT, "Import labels given elsewhere", right="import", query=bodies.LabelsQuery,
        files=tuple(kind for kind in FILES if kind != ZIP), **STARTED,
        description="One label a row: item, rater, label, and what else the file says. They become a closed batch under a "
        "version marked as imported; a rater's k-th label of an item goes to a retest batch, `gold` becomes the reference. "
        "Checked as a whole before anything becomes visible.",
    )  # fmt: skip
    def post(self, call: Call) -> Any:
        return started_import(call, ImportKind.LABELS, lambda source: self._mapping(call.query, source), import_labels)

    def _mapping(self, query: dict[str, Any], source: runs.FileSource) -> LabelMapping:
        with open_label_rows(source.path, source.name, LabelMapping()) as reader:
            columns = reader.columns
        return map_labels(
            columns, given={role: query[role] for role in ROLES if role in query}, cohorts=query["cohorts"],
            labels=query["labels"], create_items=query["create_items"], skip_refused=query["skip_refused"],
        )  # fmt: skip


# --- imports --------------------------------------------------------------------------------------
NOTHING_FOUND: dict[str, Any] = {"total": 0, "counts": [], "listed": []}


def import_row(call: Call, run: ImportRun, job: Job | None) -> dict[str, Any]:
    report = run.report or {}
    return {
        **{
            name: getattr(run, name)
            for name in (
                "uuid", "kind", "status", "file_sha256", "rows_read", "rows_kept", "rows_refused", "rows_skipped", "at",
                "finished_at",
            )
        },
        "source": runs.name_of(run),
        "errors": report.get("errors") or NOTHING_FOUND,
        "left_out": report.get("left_out") or NOTHING_FOUND,
        "notes": report.get("notes", []),
        "job": job.uuid if job is not None else None,
        "url": call.url(reverse("api:rest_import", args=[run.uuid])),
    }  # fmt: skip


class Imports(Endpoint):
    tag = "items"
    order = ("-pk",)

    @op(Scope.READ, "Imports", right="import", reply=bodies.ImportOut, query=PageQuery, order=order)
    def get(self, call: Call) -> Any:
        page = self.page(call, reads.imports_for(call.seat.project), self.order)
        jobs = reads.jobs_of_imports(page.rows)
        return Listed([import_row(call, run, jobs.get(run.pk)) for run in page.rows], page.after)


class ImportEndpoint(Endpoint):
    tag = "items"
    rows = ImportRun.objects.select_related("project", "by").exclude(mapping_sha256="")


class ImportOne(ImportEndpoint):
    @op(Scope.READ, "An import and its row report", right="import", reply=bodies.ImportOut)
    def get(self, call: Call) -> Any:
        return import_row(call, call.row, runs.job_of(call.row))


class ImportDiscard(ImportEndpoint):
    @op(
        Scope.IMPORT, "Take an unfinished import back", right="import", reply=bodies.ImportOut,
        conflicts=("done", "busy", "archived"), description="Nothing of it was visible; what it wrote is removed.",
    )  # fmt: skip
    def post(self, call: Call) -> Any:
        runs.discard_import(by=call.seat, run=call.row, at=call.at)
        call.row.refresh_from_db()
        return import_row(call, call.row, runs.job_of(call.row))


class ImportResume(ImportEndpoint):
    @op(
        Scope.IMPORT, "Go on with an interrupted import", right="import", reply=bodies.JobOut, status=202,
        conflicts=("not_interrupted", "busy", "archived"),
    )  # fmt: skip
    def post(self, call: Call) -> Any:
        return accepted(call, runs.resume_import(by=call.seat, run=call.row))
