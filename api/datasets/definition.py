"""What a dataset version is asked to hold: checked once, stored as it was checked."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any
from uuid import UUID

from consistency.models import Slice
from consistency.vocabulary import ResolutionMethod
from labeling.models import Batch, GuidelineVersion, Project
from labeling.refusals import BadValue
from labeling.vocabulary import Cohort, VersionStatus

from ..vocabulary import DatasetFormat

VERSIONS = ("compatible", "exact")
LABELS = ("hard", "soft", "annotations")
SPLIT_METHODS = ("none", "random", "stratified", "grouped")
DEFAULT_SHARES = {"train": 0.6, "dev": 0.2, "test": 0.2}
# What may be accepted; a dataset without majority holds nothing that was settled by counting heads.
METHODS = tuple(method for method in ResolutionMethod.values if method != ResolutionMethod.NONE)


@dataclass(frozen=True)
class Splits:
    """How items are parted. `grouped` keeps equal payloads, or equal values of a metadata field, on one side."""

    method: str = "none"
    shares: dict[str, float] = field(default_factory=lambda: dict(DEFAULT_SHARES))
    seed: int = 0
    group_by: str = ""


@dataclass(frozen=True)
class Definition:
    """A checked request. Rows are named by what outlives the database: uuids, numbers, keys."""

    batch: str = ""
    guideline_version: int | None = None
    versions: str = "compatible"
    slice: str = ""
    cohort: str = ""
    methods: tuple[str, ...] = METHODS
    labels: str = "hard"
    include_unresolved: bool = False
    splits: Splits = field(default_factory=Splits)
    format: str = DatasetFormat.JSONL

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "methods": list(self.methods), "format": str(self.format)}

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> Definition:
        """A stored definition, as it was checked then."""
        known = {name: raw[name] for name in cls.__dataclass_fields__ if name in raw}
        known["methods"] = tuple(known.get("methods", METHODS))
        known["splits"] = Splits(**known.get("splits", {}))
        return cls(**known)


def _choice(raw: dict[str, Any], name: str, known: tuple[str, ...], default: str) -> str:
    value = raw.get(name, default)
    if value in ("", None):
        value = default
    if value not in known:
        raise BadValue("bad_value", f"{name} must be one of {', '.join(k for k in known if k)}.", field=name)
    return str(value)


def _splits(raw: Any) -> Splits:
    if raw in (None, "", {}):
        return Splits()
    if not isinstance(raw, dict):
        raise BadValue("bad_value", "splits is an object: {method, shares, seed, group_by}.", field="splits")
    if unknown := set(raw) - set(Splits.__dataclass_fields__):
        raise BadValue("bad_value", f"splits knows no {', '.join(sorted(unknown))}.", field="splits")
    method = _choice(raw, "method", SPLIT_METHODS, "none")
    shares = raw.get("shares") or DEFAULT_SHARES
    if not isinstance(shares, dict) or not all(
        isinstance(name, str) and name.isidentifier() and isinstance(share, int | float) and 0 < share <= 1
        for name, share in shares.items()
    ):
        raise BadValue(
            "bad_value", "shares names each split with its share, such as train 0.6, dev 0.2, test 0.2.", field="shares"
        )
    if abs(sum(shares.values()) - 1) > 1e-6:
        raise BadValue(
            "bad_value", f"The shares sum to {sum(shares.values()):.3f}; they must sum to 1.", field="shares"
        )
    seed = raw.get("seed", 0)
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**63:
        raise BadValue("bad_value", "seed is a whole number, 0 or more.", field="seed")
    group_by = raw.get("group_by") or ""
    if not isinstance(group_by, str) or (group_by and method != "grouped"):
        raise BadValue("bad_value", "group_by is a metadata field, for the method grouped.", field="group_by")
    return Splits(method, {name: float(share) for name, share in shares.items()}, seed, group_by)


def _version(project: Project, raw: Any) -> GuidelineVersion | None:
    versions = GuidelineVersion.objects.filter(project=project)
    if raw in (None, ""):
        newest = versions.filter(status=VersionStatus.PUBLISHED).order_by("-number").first()
        # A project that only ever imported labels has no version of its own to speak of.
        return newest or versions.filter(status=VersionStatus.AS_IMPORTED).order_by("-number").first()
    text = str(raw).removeprefix("v")
    found = versions.filter(number=int(text)).first() if text.isascii() and text.isdigit() and len(text) < 9 else None
    if found is None or found.status == VersionStatus.DRAFT:
        known = [f"{row.number}" for row in versions.exclude(status=VersionStatus.DRAFT).order_by("number")[:50]]
        raise BadValue(
            "bad_value", f"There is no published version {raw}. Known: {', '.join(known) or 'none'}.",
            field="guideline_version",
        )  # fmt: skip
    return found


def check_definition(project: Project, raw: dict[str, Any]) -> Definition:
    """The definition that a request asks for. Raises BadValue naming the field, or what the project lacks."""
    if not isinstance(raw, dict):
        raise BadValue("bad_value", "A dataset is defined by an object.", field="")
    if unknown := set(raw) - set(Definition.__dataclass_fields__):
        known = ", ".join(Definition.__dataclass_fields__)
        raise BadValue("bad_value", f"Unknown: {', '.join(sorted(unknown))}. Known: {known}.", field=sorted(unknown)[0])
    version = _version(project, raw.get("guideline_version"))
    if version is None:
        raise BadValue(
            "no_version", "Publish a definition first: a dataset states the definition its labels were given under.",
            field="guideline_version",
        )  # fmt: skip
    batch = ""
    if raw.get("batch"):
        try:
            found = Batch.objects.filter(project=project, uuid=UUID(str(raw["batch"]))).first()
        except ValueError:
            found = None
        if found is None:
            raise BadValue("bad_value", "There is no such batch in this project.", field="batch")
        batch = str(found.uuid)
    key = raw.get("slice") or ""
    if key and not Slice.objects.filter(project=project, key=str(key)).exists():
        known_slices = ", ".join(Slice.objects.filter(project=project).values_list("key", flat=True)[:50])
        raise BadValue("bad_value", f"There is no slice {key}. Known: {known_slices or 'none'}.", field="slice")
    methods = raw.get("methods") or list(METHODS)
    if not isinstance(methods, list | tuple) or any(method not in METHODS for method in methods):
        raise BadValue("bad_value", f"methods is a list of {', '.join(METHODS)}.", field="methods")
    unresolved = raw.get("include_unresolved", False)
    if not isinstance(unresolved, bool):
        raise BadValue("bad_value", "include_unresolved is true or false.", field="include_unresolved")
    return Definition(
        batch=batch,
        guideline_version=version.number,
        versions=_choice(raw, "versions", VERSIONS, "compatible"),
        slice=str(key),
        cohort=_choice(raw, "cohort", ("", *Cohort.values), ""),
        methods=tuple(method for method in METHODS if method in methods),
        labels=_choice(raw, "labels", LABELS, "hard"),
        include_unresolved=unresolved,
        splits=_splits(raw.get("splits")),
        format=_choice(raw, "format", tuple(DatasetFormat.values), DatasetFormat.JSONL),
    )
