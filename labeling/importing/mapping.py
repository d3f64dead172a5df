"""Which column becomes what: payload (raters and models see it), metadata and tags (raters never do), external id."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, NamedTuple

from django.core.exceptions import ValidationError

from ..formats.rows import shorten, value_at
from ..hashing import canonical_json
from ..refusals import BadValue
from ..task_types import TaskType
from .report import Finding

ID_COLUMNS = ("external_id", "item_id", "id", "item", "uid", "uuid")
TAG_COLUMNS = ("tags", "tag")
UNDECLARED_PAYLOAD = ("text", "image")
ID_LENGTH, TAG_LENGTH, TAGS = 200, 80, 50
PAYLOAD_BYTES, METADATA_BYTES = 1_000_000, 100_000


@dataclass(frozen=True)
class ItemMapping:
    """How a file's rows become items.

    external_id: a column; empty means an id made from the payload's hash. payload: {field: column}. metadata:
    {name: column}, or None for every column without another use. tags: columns that hold tags, separated by ; or ,.
    environment: training or serving, kept as metadata of every row that does not say it itself. kinds: {payload field: text, number or image}; fields without a kind keep their JSON value. required: payload
    fields that may not be empty. images: folder or zip where image fields find their files; empty when the file itself
    is one. keep_duplicates: also take a payload that is there under another id. skip_refused: leave refused rows out
    instead of refusing the file. update_metadata: correct metadata and add tags of items that are there already.
    """

    external_id: str = ""
    payload: dict[str, str] = field(default_factory=dict)
    metadata: dict[str, str] | None = None
    tags: tuple[str, ...] = ()
    kinds: dict[str, str] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    images: str = ""
    environment: str = ""
    keep_duplicates: bool = False
    skip_refused: bool = False
    update_metadata: bool = False
    format: str = "auto"
    encoding: str = ""

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "tags": list(self.tags), "required": list(self.required)}

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> ItemMapping:
        known = {name: raw[name] for name in cls.__dataclass_fields__ if name in raw}
        return cls(**{**known, "tags": tuple(known.get("tags", ())), "required": tuple(known.get("required", ()))})


class Ready(NamedTuple):
    """An item as its columns, JSON as text."""

    external_id: str
    payload: str
    metadata: str
    payload_sha256: str
    media: str | None
    tags: list[str]


@dataclass(slots=True)
class Draft:
    """A row as an item to be. `payload_json` is canonical, and `payload_sha256` its hash."""

    row: int
    external_id: str
    metadata: dict[str, Any]
    tags: list[str]
    payload_json: str
    payload_sha256: str
    media: dict[str, Any] | None = None

    def ready(self) -> Ready:
        media = canonical_json(self.media) if self.media else None
        return Ready(
            self.external_id, self.payload_json, canonical_json(self.metadata), self.payload_sha256, media, self.tags
        )


# (payload field, file name) → (payload value, media of the field), or why not
FindImage = Callable[[str, str], tuple[str, dict[str, Any]] | Finding]


def declared_fields(schema: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The project's payload fields, [{name, kind, title, required}]; empty when it declared none."""
    return list(schema.get("fields") or [])


def suggest_mapping(schema: Mapping[str, Any], columns: Iterable[str]) -> ItemMapping:
    """The mapping a person would most likely choose; what could not be guessed is left empty.

    Payload comes from the project's declared fields, by name. Without declared fields only columns inside `payload`, or
    named text or image, become payload: a column is never shown to raters by guess.
    """
    columns = list(columns)
    by_lower = {column.lower(): column for column in reversed(columns)}

    def column_of(*names: str) -> str:
        return next((by_lower[name.lower()] for name in names if name.lower() in by_lower), "")

    fields = declared_fields(schema)
    inner = [column.removeprefix("payload.") for column in columns if column.startswith("payload.")]
    names = [spec["name"] for spec in fields] or inner or [name for name in UNDECLARED_PAYLOAD if column_of(name)]
    payload = {name: column for name in names if (column := column_of(f"payload.{name}", name))}
    external_id = column_of(*ID_COLUMNS)
    tags = tuple(column for name in TAG_COLUMNS if (column := column_of(name)) and column not in payload.values())
    return with_schema(
        ItemMapping(external_id="" if external_id in payload.values() else external_id, payload=payload, tags=tags[:1]),
        schema,
    )


def with_schema(mapping: ItemMapping, schema: Mapping[str, Any]) -> ItemMapping:
    """The mapping with kinds and required fields as the project declares them."""
    fields = declared_fields(schema)
    kinds = {spec["name"]: spec.get("kind", "text") for spec in fields}
    if not fields and "image" in mapping.payload:
        kinds = {"image": "image"}
    required = tuple(spec["name"] for spec in fields if spec.get("required", True))
    return replace(mapping, kinds=kinds, required=required)


def check_mapping(mapping: ItemMapping, schema: Mapping[str, Any], columns: Iterable[str]) -> None:
    """Raise BadValue naming the column or field that does not fit the file or the project."""
    columns = list(columns)
    present = set(columns)
    listed = ", ".join(columns[:20]) + (", …" if len(columns) > 20 else "")
    uses = [("external_id", mapping.external_id), *(("payload", c) for c in mapping.payload.values())]
    uses += [("metadata", c) for c in (mapping.metadata or {}).values()] + [("tags", c) for c in mapping.tags]
    for use, column in uses:
        if column and column not in present:
            raise BadValue("no_column", f"The file has no column “{column}”. Its columns are: {listed}.", field=use)
    declared = {spec["name"] for spec in declared_fields(schema)}
    for name in mapping.payload:
        if declared and name not in declared:
            raise BadValue(
                "no_field", f"The project declares no payload field “{name}”. Its fields are: {', '.join(sorted(declared))}.",
                field="payload",
            )  # fmt: skip
    missing = [name for name in mapping.required if name not in mapping.payload]
    if missing:
        raise BadValue(
            "no_column", f"Say which column holds “{missing[0]}”, which the project requires. The file's columns are: {listed}.",
            field="payload",
        )  # fmt: skip
    if not mapping.payload:
        raise BadValue(
            "empty",
            f"Say which columns raters see: nothing is shown by guess. The file's columns are: {listed}.",
            field="payload",
        )
    if mapping.keep_duplicates and not mapping.external_id:
        raise BadValue(
            "empty",
            "To keep duplicates each row needs an id of its own: choose the column that holds it.",
            field="external_id",
        )


class Mapper:
    """Turns rows into drafts, by one mapping."""

    def __init__(self, mapping: ItemMapping, task: TaskType, find_image: FindImage | None = None) -> None:
        self._mapping = mapping
        self._task = task
        self._find_image = find_image
        self._payload = [(name, column, mapping.kinds.get(name, "")) for name, column in mapping.payload.items()]
        self._required = set(mapping.required)
        self._metadata = None if mapping.metadata is None else list(mapping.metadata.items())
        self._used = {mapping.external_id, *mapping.payload.values(), *mapping.tags}
        self._parts = {
            name.removeprefix("payload.") for name in mapping.payload.values() if name.startswith("payload.")
        }

    def draft(self, number: int, row: Mapping[str, Any]) -> Draft | list[Finding]:
        """The row as a draft, or everything that is wrong with it."""
        problems: list[Finding] = []
        payload: dict[str, Any] = {}
        media: dict[str, Any] = {}
        for name, column, kind in self._payload:
            raw = row[column] if column in row else value_at(row, column)
            if raw is None or (type(raw) is str and not raw.strip()):
                if name in self._required:
                    problems.append(Finding(number, "empty", f"“{name}” is empty; the project requires it.", column))
                continue
            if kind == "image":
                found = self._image(number, name, column, raw)
                if isinstance(found, Finding):
                    problems.append(found)
                else:
                    payload[name], media[name] = found
                continue
            value = raw if type(raw) is str and kind in ("text", "") else _as_kind(raw, kind)
            if isinstance(value, _Wrong):
                problems.append(Finding(number, "bad_value", value.reason, column, shorten(raw)))
            else:
                payload[name] = value
        self._check_undeclared(number, row, problems)
        metadata = self._read_metadata(row)
        tags = self._read_tags(number, row, problems)
        if problems:
            return problems
        return self._finish(number, row, payload, metadata, tags, media)

    def _image(self, number: int, name: str, column: str, raw: Any) -> tuple[str, dict[str, Any]] | Finding:
        if not isinstance(raw, str):
            return Finding(number, "bad_value", "The name of an image file is needed here.", column, shorten(raw))
        if self._find_image is None:
            return Finding(
                number, "no_images", "There is no folder or zip to find this image in; give one with the table.", column, shorten(raw)
            )  # fmt: skip
        found = self._find_image(name, raw)
        if isinstance(found, Finding):
            return Finding(number, found.code, found.reason, column, shorten(raw))
        return found

    def _check_undeclared(self, number: int, row: Mapping[str, Any], problems: list[Finding]) -> None:
        """A key inside `payload` that nobody mapped would be lost, or worse, end up where it is not looked for."""
        inner = row.get("payload")
        if self._metadata is None and isinstance(inner, Mapping) and "payload" not in self._used:
            for key in inner:
                if key not in self._parts:
                    problems.append(
                        Finding(number, "no_field", f"The payload has a field “{shorten(key)}” that is not mapped.", f"payload.{shorten(key)}", shorten(inner[key]))
                    )  # fmt: skip

    def _read_metadata(self, row: Mapping[str, Any]) -> dict[str, Any]:
        metadata = self._mapped_metadata(row)
        if self._mapping.environment:
            metadata.setdefault("environment", self._mapping.environment)
        return metadata

    def _mapped_metadata(self, row: Mapping[str, Any]) -> dict[str, Any]:
        if self._metadata is not None:
            pairs = ((name, value_at(row, column)) for name, column in self._metadata)
            return {name: value for name, value in pairs if value is not None and value != ""}
        metadata: dict[str, Any] = {}
        for column, value in row.items():
            if column in self._used or value is None or value == "":
                continue
            if column == "metadata" and isinstance(value, Mapping):
                metadata.update(
                    (k, v) for k, v in value.items() if f"metadata.{k}" not in self._used and v not in (None, "")
                )
            elif not (column == "payload" and isinstance(value, Mapping)):
                metadata[column] = value
        return metadata

    def _read_tags(self, number: int, row: Mapping[str, Any], problems: list[Finding]) -> list[str]:
        tags: dict[str, None] = {}
        for column in self._mapping.tags:
            raw = value_at(row, column)
            parts = raw if isinstance(raw, list) else [] if raw is None else str(raw).replace(",", ";").split(";")
            for part in parts:
                if not isinstance(part, str | int | float) or len(tag := str(part).strip()) > TAG_LENGTH:
                    problems.append(
                        Finding(
                            number,
                            "bad_tag",
                            f"A tag is a word of at most {TAG_LENGTH} characters.",
                            column,
                            shorten(part),
                        )
                    )
                elif tag:
                    tags[tag] = None
        if len(tags) > TAGS:
            problems.append(Finding(number, "bad_tag", f"An item has at most {TAGS} tags; here are {len(tags)}."))
        return list(tags)

    def _finish(
        self, number: int, row: Mapping[str, Any], payload: dict[str, Any], metadata: dict[str, Any], tags: list[str],
        media: dict[str, Any],
    ) -> Draft | list[Finding]:  # fmt: skip
        try:
            text = canonical_json(payload)
            fits = _fits(metadata)
        except ValueError:
            return [Finding(number, "bad_value", "A number is too large to be kept.")]
        raw = text.encode()
        if len(raw) > PAYLOAD_BYTES:
            return [Finding(number, "too_large", f"The payload is longer than {PAYLOAD_BYTES // 1000:,} kB.")]
        if not fits:
            return [Finding(number, "too_large", f"The metadata is longer than {METADATA_BYTES // 1000} kB.")]
        try:
            self._task.check_payload(payload)
        except ValidationError as error:
            return [Finding(number, "bad_payload", error.messages[0])]
        digest = hashlib.sha256(raw).hexdigest()
        external_id = self._read_id(number, row, digest)
        if isinstance(external_id, Finding):
            return [external_id]
        return Draft(number, external_id, metadata, tags, text, digest, media or None)

    def _read_id(self, number: int, row: Mapping[str, Any], digest: str) -> str | Finding:
        column = self._mapping.external_id
        if not column:
            return f"sha-{digest[:20]}"
        value = as_text(value_at(row, column))
        if value is None:
            return Finding(number, "bad_id", "An id is text or a whole number.", column, shorten(value_at(row, column)))
        if not value:
            return Finding(number, "empty", "The id is empty.", column)
        if len(value) > ID_LENGTH:
            return Finding(number, "bad_id", f"The id is longer than {ID_LENGTH} characters.", column, shorten(value))
        return value


def as_text(value: Any) -> str | None:
    """An id or label as text, without spaces around it: whole numbers without a point; None for anything nested.

    >>> as_text(" a "), as_text(3.0), as_text(True), as_text(None), as_text([1])
    ('a', '3', 'true', '', None)
    """
    if isinstance(value, str):
        return value.strip()
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    return None


def _fits(metadata: Mapping[str, Any]) -> bool:
    """Whether the metadata's JSON is within bounds; raises ValueError for what JSON cannot hold."""
    size = 0
    for name, value in metadata.items():
        if type(value) is not str:
            return len(canonical_json(metadata)) <= METADATA_BYTES
        size += len(name) + len(value) + 6
    return size <= METADATA_BYTES


@dataclass(frozen=True)
class _Wrong:
    reason: str


def _as_kind(raw: Any, kind: str) -> Any:
    """The value as its kind wants it, or _Wrong."""
    if kind == "text":
        text = as_text(raw)
        return _Wrong("Text is needed here, not a list or an object.") if text is None else text
    if kind == "number":
        if isinstance(raw, bool) or not isinstance(raw, str | int | float):
            return _Wrong("A number is needed here.")
        if isinstance(raw, str):
            try:
                raw = int(raw)
            except ValueError:
                try:
                    raw = float(raw)
                except ValueError:
                    return _Wrong("A number is needed here, such as 12 or 0.35 (with a point).")
        return raw if math.isfinite(raw) else _Wrong("A finite number is needed here.")
    return raw


def parse_pairs(text: str) -> dict[str, str]:
    """{name: column} from `a,b` (name and column alike) or `name=column,…`.

    >>> parse_pairs("text=question, camera")
    {'text': 'question', 'camera': 'camera'}
    """
    pairs: dict[str, str] = {}
    for part in text.split(","):
        name, equals, column = (piece.strip() for piece in part.partition("="))
        if name:
            if name in pairs:
                raise BadValue("twice", f"“{name}” is named twice.", field=name)
            pairs[name] = column if equals else name
    return pairs
