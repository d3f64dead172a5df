"""What a dataset says about itself: the manifest for programs, the card for people and for `datasets.load_dataset`."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from consistency.models import AgreementEstimate, AgreementRun, Slice
from consistency.vocabulary import RunKind, Scope
from labeling.models import GuidelineVersion
from labeling.version import CODE_VERSION

from ..models import DatasetVersion
from ..vocabulary import DatasetFormat
from .definition import Definition
from .reading import Reader

HEADLINE = {
    RunKind.AGREEMENT: ("krippendorff_alpha", "percent_agreement", "gwet_ac"),
    RunKind.HLP: ("pairwise", "leave_one_out", "against_gold", "constant_model", "convention_ceiling"),
}
WHY = {
    "in_no_batch": "in no batch under this version",
    "waits_for_a_ruling": "people disagree, and nobody has ruled yet",
    "not_settled": "not all places are answered yet",
    "not_enough_information": "the item does not show enough",
    "distribution_kept": "a ruling left the distribution as the answer",
    "method_not_accepted": "settled by a method that was not asked for",
    "definition_changed": "the definition of its label has changed since",
    "no_answer_of_the_cohort": "nobody of the cohort answered",
    "tie": "a tie within the cohort",
}


def version_of(version: GuidelineVersion) -> dict[str, Any]:
    return {
        "number": version.number,
        "uuid": str(version.uuid),
        "sha256": version.body_sha256,
        "status": version.status,
        "published_at": version.published_at.isoformat() if version.published_at else None,
    }


def agreement_now(reader: Reader) -> list[dict[str, Any]]:
    """The newest figures of each batch the dataset reads, for all raters and per cohort, with intervals."""
    found = []
    for batch in sorted(reader.batches.values(), key=lambda row: row.pk):
        for kind, names in HEADLINE.items():
            run = AgreementRun.objects.filter(batch=batch, kind=kind).order_by("-pk").first()
            if run is None:
                continue
            estimates = AgreementEstimate.objects.filter(
                run=run, scope__in=(Scope.BATCH, Scope.COHORT), coefficient__in=names, compared_run__isnull=True
            ).order_by("scope", "scope_key", "coefficient", "pk")
            found += [
                {
                    "batch": str(batch.uuid), "run": str(run.uuid), "at": run.checked_at.isoformat(),
                    "scope": row.scope, "scope_key": json.loads(row.scope_key or "{}"), "coefficient": row.coefficient,
                    "value": row.value, "low": row.low, "high": row.high, "population": row.population,
                    "reference_origin": row.reference_origin or None, "items": row.items, "raters": row.raters,
                    "ratings": row.ratings, "undefined": row.undefined_reason or None,
                }
                for row in estimates
            ]  # fmt: skip
    return found


def make_manifest(
    dataset: DatasetVersion,
    reader: Reader,
    *,
    counts: Counter[str],
    excluded: Counter[str],
    labels: Counter[str],
    lineage: dict[str, set[str]],
    splits: dict[str, Any],
    files: dict[str, Any],
    columns: list[str],
) -> dict[str, Any]:
    """Everything needed to say what the dataset holds, why, and whether it still is what it was."""
    definition = reader.definition
    manifest: dict[str, Any] = {
        "dataset": {
            "uuid": str(dataset.uuid), "name": dataset.name, "number": dataset.number,
            "parent": str(dataset.parent.uuid) if dataset.parent else None, "created_at": dataset.created_at.isoformat(),
        },
        "project": {
            "slug": reader.project.slug, "question": reader.project.question, "task_type": reader.project.task_type,
            "simulated": reader.project.simulated,
        },
        "definition": definition.as_json(),
        "guideline_versions": [version_of(version) for version in _versions(reader, lineage)],
        "batches": [
            {
                "uuid": str(batch.uuid), "name": batch.name, "kind": batch.kind, "status": batch.status,
                "guideline_version": batch.guideline_version.number,
            }
            for batch in sorted(reader.batches.values(), key=lambda row: row.pk)
        ],
        "as_of": reader.as_of,
        "counts": dict(sorted(counts.items())),
        "labels": dict(sorted(labels.items())),
        "excluded": {reason: {"items": n, "why": WHY.get(reason, reason)} for reason, n in sorted(excluded.items())},
        "splits": splits,
        "agreement": agreement_now(reader),
        "lineage": {name: sorted(values) for name, values in lineage.items()},
        "columns": columns,
        "code_version": CODE_VERSION,
        **files,
    }  # fmt: skip
    if definition.slice:
        part = Slice.objects.get(project=reader.project, key=definition.slice)
        manifest["slice"] = {"key": part.key, "name": part.name, "filter": part.filter}
    if not manifest["agreement"]:
        manifest["agreement_note"] = "No agreement had been measured for these batches when the dataset was built."
    return manifest


def _versions(reader: Reader, lineage: dict[str, set[str]]) -> list[GuidelineVersion]:
    numbers = {int(number) for number in lineage.get("guideline_versions", set())} | {reader.version.number}
    rows = GuidelineVersion.objects.filter(project=reader.project).order_by("number")
    return [row for row in rows if row.number in numbers]


def card(dataset: DatasetVersion, *, data_files: dict[str, str]) -> str:
    """README.md of the dataset: YAML that `datasets.load_dataset` reads, then what a person should know."""
    manifest = dataset.manifest
    definition = Definition.from_json(manifest["definition"])
    lines = ["---", f"pretty_name: {json.dumps(dataset.name)}", "configs:", "- config_name: default", "  data_files:"]
    for split, pattern in data_files.items():
        lines += [f"  - split: {split}", f"    path: {json.dumps(pattern)}"]
    if definition.format == DatasetFormat.CSV:
        lines += ['  sep: ","']
    lines += ["---", "", f"# {dataset.name}", ""]
    lines += [f"Question put to raters: **{manifest['project']['question']}**", ""]
    if manifest["project"]["simulated"]:
        lines += ["**Simulated:** raters or labels of this project were simulated.", ""]
    version = next(v for v in manifest["guideline_versions"] if v["number"] == definition.guideline_version)
    lines += [
        f"Labels as of definition v{version['number']} (sha256 `{version['sha256'] or 'as imported'}`), "
        f"versions read: {definition.versions}. {manifest['counts'].get('rows', 0):,} rows of "
        f"{manifest['counts'].get('items', 0):,} items.",
        "",
        "| label | items |",
        "|---|---|",
        *[f"| {_safe(label)} | {count:,} |" for label, count in manifest["labels"].items()],
        "",
    ]
    if manifest["excluded"]:
        lines += ["## Left out", ""]
        lines += [f"- {entry['items']:,}: {entry['why']}" for entry in manifest["excluded"].values()]
        lines.append("")
    lines += ["## Agreement when it was built", ""]
    shown = [row for row in manifest["agreement"] if row["coefficient"] in ("krippendorff_alpha", "leave_one_out")]
    for row in shown[:40]:
        where = ", ".join(f"{key} {value}" for key, value in row["scope_key"].items()) or "all raters"
        if row["value"] is None:
            lines.append(f"- {row['coefficient']} ({where}): undefined, {row['undefined']}")
        else:
            low = "" if row["low"] is None else f" [{row['low']:.3f}, {row['high']:.3f}]"
            lines.append(
                f"- {row['coefficient']} ({where}): {row['value']:.3f}{low}, {row['items']:,} items, {row['raters']} raters"
            )
    if not shown:
        lines.append(manifest.get("agreement_note", "None of the headline figures was measured."))
    lines += [
        "",
        "## Is it whole?",
        "",
        f"sha256 of the one-file version: `{dataset.sha256}` ({dataset.bytes:,} bytes). Everything else is in `manifest.json`.",
        "",
    ]
    return "\n".join(lines)


def _safe(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
