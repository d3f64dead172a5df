"""`manage.py export`: a dataset version as a folder that `datasets.load_dataset` and pandas read as it is."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import shutil
import time
from pathlib import Path
from typing import IO, Any
from uuid import UUID

import numpy as np
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from api.datasets.building import define_dataset
from api.datasets.definition import LABELS, METHODS, SPLIT_METHODS, VERSIONS
from api.datasets.files import members_of, path_of
from api.datasets.manifest import card
from api.models import DatasetVersion
from api.queries.datasets import build_job
from api.vocabulary import DatasetFormat, DatasetStatus
from labeling import jobs
from labeling.access import Seat
from labeling.models import Item, Membership, Project
from labeling.refusals import Refusal
from labeling.vocabulary import Cohort, Role


class Command(BaseCommand):
    help = "Build a dataset version of a project (its slug), or take a built one (its uuid), and write it to a folder."

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument(
            "what", metavar="PROJECT|DATASET", help="a project's slug, or the uuid of a dataset version"
        )
        parser.add_argument("--out", type=Path, required=True, help="folder to write; it must be new or empty")
        parser.add_argument(
            "--files",
            action="store_true",
            help="with the items' images as files/HASH.EXT; payloads name them sha256:HASH",
        )
        parser.add_argument("--name", default="", help="the dataset's name (default: the project's name)")
        parser.add_argument("--batch", default="", help="uuid of the batch to read (default: the newest of each item)")
        parser.add_argument("--guideline", default="", help="number of the definition (default: the newest published)")
        parser.add_argument("--versions", choices=VERSIONS, default="compatible")
        parser.add_argument("--slice", default="")
        parser.add_argument("--cohort", choices=["", *Cohort.values], default="")
        parser.add_argument("--methods", default=",".join(METHODS), help="how a value may have been reached, by comma")
        parser.add_argument("--labels", choices=LABELS, default="hard")
        parser.add_argument("--unresolved", action="store_true", help="keep items without a value, with the reason")
        parser.add_argument("--split", choices=SPLIT_METHODS, default="none")
        parser.add_argument("--shares", default="train=0.6,dev=0.2,test=0.2")
        parser.add_argument("--group-by", default="", help="metadata field for --split grouped (default: the payload)")
        parser.add_argument("--seed", type=int, default=0)
        parser.add_argument("--format", choices=DatasetFormat.values, default=DatasetFormat.JSONL)

    def handle(self, **options: Any) -> None:
        out: Path = options["out"]
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise CommandError(f"{out} is there already and not an empty folder. Name another: nothing is overwritten.")
        dataset = self._built(options)
        source = path_of(dataset)
        if not source.exists():
            raise CommandError(f"The file of dataset {dataset.uuid} is gone: {source} does not exist.")
        with source.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != dataset.sha256:
            raise CommandError(f"{source} is not what was built: its sha256 is {found}, not {dataset.sha256}.")
        try:
            out.mkdir(parents=True, exist_ok=True)
            data_files = write_data(dataset, source, out)
            files = copy_files(dataset, out / "files") if options["files"] else None
            write_text(out / "manifest.json", json.dumps(dataset.manifest, indent=2, ensure_ascii=False) + "\n")
            write_text(out / "README.md", card(dataset, data_files=data_files))
        except OSError as error:
            raise CommandError(f"Cannot write {out}: {error.strerror}.") from None
        if files is not None:
            self.stdout.write(f"{files:,} files in {out / 'files'}")
        self.stdout.write(f"{out}: {dataset.rows:,} rows, dataset {dataset.uuid}, sha256 {dataset.sha256}")

    def _built(self, options: dict[str, Any]) -> DatasetVersion:
        try:
            uuid = UUID(options["what"])
        except ValueError:
            return self._build(options)
        dataset = DatasetVersion.objects.select_related("project", "parent").filter(uuid=uuid).first()
        if dataset is None:
            raise CommandError(f"There is no dataset {uuid}.")
        if dataset.status != DatasetStatus.READY:
            raise CommandError(f"Dataset {uuid} is not ready: {dataset.error or 'it is still being built'}")
        return dataset

    def _build(self, options: dict[str, Any]) -> DatasetVersion:
        project = Project.objects.filter(slug=options["what"]).first()
        if project is None:
            known = ", ".join(Project.objects.values_list("slug", flat=True)[:20]) or "none"
            raise CommandError(f"There is no project {options['what']!r}. Projects: {known}.")
        owner = (
            Membership.objects.select_related("project", "user")
            .filter(project=project, role=Role.OWNER, active=True)
            .order_by("pk")
            .first()
        )
        if owner is None:
            raise CommandError(f"Project {project.slug} has no active owner, in whose name a dataset could be built.")
        definition = {
            "batch": options["batch"], "guideline_version": options["guideline"], "versions": options["versions"],
            "slice": options["slice"], "cohort": options["cohort"],
            "methods": [method.strip() for method in options["methods"].split(",") if method.strip()],
            "labels": options["labels"], "include_unresolved": options["unresolved"],
            "splits": {
                "method": options["split"], "shares": shares_of(options["shares"]), "seed": options["seed"],
                "group_by": options["group_by"],
            },
            "format": options["format"],
        }  # fmt: skip
        try:
            dataset = define_dataset(
                by=Seat(project, owner), name=options["name"] or project.name, definition=definition
            )
        except Refusal as refusal:
            raise CommandError(refusal.message) from None
        # Under `worker` the job waits for whoever takes it first: this process, unless a worker is faster.
        job = build_job(dataset)
        taken = jobs.take(job_id=job.pk) if job is not None else None
        if taken is not None:
            jobs.run(taken)
        while True:
            dataset = DatasetVersion.objects.select_related("project", "parent").get(pk=dataset.pk)
            if dataset.status == DatasetStatus.READY:
                return dataset
            job = build_job(dataset)
            if dataset.status == DatasetStatus.FAILED or job is None or job.status == "failed":
                raise CommandError(dataset.error or (job.error if job else "") or "The dataset could not be built.")
            time.sleep(0.5)


def shares_of(text: str) -> dict[str, float]:
    """{split: share} of “train=0.6,dev=0.2,test=0.2”. Raises CommandError naming what is wrong."""
    shares = {}
    for part in text.split(","):
        name, _, share = part.partition("=")
        try:
            shares[name.strip()] = float(share)
        except ValueError:
            raise CommandError(f"--shares {part!r}: write such as train=0.6,dev=0.2,test=0.2.") from None
    return shares


def copy_files(dataset: DatasetVersion, folder: Path) -> int:
    """Copy the images of the dataset's items, each once, named by their hash; returns how many."""
    members = np.fromfile(members_of(dataset), dtype="<i8").tolist()
    folder.mkdir()
    written = 0
    for first in range(0, len(members), 500):
        rows = Item.objects.filter(pk__in=members[first : first + 500], media__isnull=False)
        for media in rows.order_by("pk").values_list("media", flat=True):
            for entry in (media or {}).values():
                source = Path(settings.MEDIA_ROOT) / entry["file"]
                target = folder / f"{entry['sha256']}{source.suffix}"
                if not target.exists():
                    shutil.copyfile(source, target)
                    written += 1
    return written


def write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def write_data(dataset: DatasetVersion, source: Path, out: Path) -> dict[str, str]:
    """The data as one file, or one file per split; {split as `load_dataset` calls it: path in the folder}."""
    suffix = dataset.format
    folder = out / "data"
    folder.mkdir()
    sizes = (dataset.manifest.get("splits") or {}).get("sizes") or {}
    if not sizes:
        shutil.copyfile(source, folder / f"all.{suffix}")
        return {"train": f"data/all.{suffix}"}
    if dataset.format == DatasetFormat.PARQUET:
        _parquet_by_split(source, folder, list(sizes))
    else:
        _lines_by_split(source, folder, list(sizes), suffix)
    return {"validation" if name == "dev" else name: f"data/{name}.{suffix}" for name in sizes}


def _parquet_by_split(source: Path, folder: Path, names: list[str]) -> None:
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    whole = pq.ParquetFile(source)
    writers = {
        name: pq.ParquetWriter(folder / f"{name}.parquet", whole.schema_arrow, compression="zstd") for name in names
    }
    for batch in whole.iter_batches(batch_size=5_000):
        for name, writer in writers.items():
            writer.write_batch(batch.filter(pc.equal(batch.column("split"), name)))
    for writer in writers.values():
        writer.close()


def _lines_by_split(source: Path, folder: Path, names: list[str], suffix: str) -> None:
    targets: dict[str, IO[str]] = {
        name: (folder / f"{name}.{suffix}").open("w", encoding="utf-8", newline="") for name in names
    }
    try:
        with source.open(encoding="utf-8", newline="") as file:
            if suffix == "csv":
                reader = csv.reader(file)
                header = next(reader)
                writers = {name: csv.writer(target, lineterminator="\r\n") for name, target in targets.items()}
                for writer in writers.values():
                    writer.writerow(header)
                at = header.index("split") if "split" in header else 0
                for row in reader:
                    writers[row[at]].writerow(row)
            else:
                for line in file:
                    targets[json.loads(line)["split"]].write(line)
        for target in targets.values():
            target.flush()
            os.fsync(target.fileno())
    finally:
        for target in targets.values():
            target.close()
