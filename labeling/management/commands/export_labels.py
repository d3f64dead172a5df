"""`manage.py export_labels`: every annotation of projects or batches, as CSV or JSON lines."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError

from labeling.export import FORMATS, Ledger, LedgerMovedError
from labeling.models import Batch, Project


class Command(BaseCommand):
    help = "Write every annotation of a project (its slug) or of batches (their uuids), with all revisions."

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument(
            "what", nargs="+", metavar="PROJECT|BATCH", help="a project's slug, or uuids of its batches"
        )
        parser.add_argument("--format", choices=FORMATS, default="csv")
        parser.add_argument(
            "--out", type=Path, help="file to write; it appears once it is whole (default: standard output)"
        )
        parser.add_argument("--names", action="store_true", help="with the raters' names beside their pseudonyms")

    def handle(self, **options: Any) -> None:
        batches = [batch for what in options["what"] for batch in find_batches(what)]
        batches = list({batch.pk: batch for batch in batches}.values())
        projects = {batch.project_id for batch in batches}
        if len(projects) > 1:
            raise CommandError("One file holds one project: their items have different fields.")
        if not batches:
            raise CommandError(f"Project {options['what'][0]} has no batch yet.")
        ledger = Ledger(project=batches[0].project, batches=batches, names=options["names"])
        try:
            if options["out"]:
                self._to_file(ledger, options["out"], options["format"])
            else:
                for piece in ledger.stream(options["format"]):
                    sys.stdout.buffer.write(piece)
                sys.stdout.buffer.flush()
        except LedgerMovedError as moved:
            raise CommandError(f"The ledger moved during the export ({moved}). Run it again.") from None
        except BrokenPipeError:  # `| head`
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return
        self.stderr.write(f"{ledger.written} rows, sha256 {ledger.sha256}")

    def _to_file(self, ledger: Ledger, out: Path, form: str) -> None:
        part = out.with_name(out.name + ".part")
        try:
            with part.open("wb") as file:
                for piece in ledger.stream(form):
                    file.write(piece)
                file.flush()
                os.fsync(file.fileno())
            part.replace(out)
        except OSError as error:
            raise CommandError(f"Cannot write {out}: {error.strerror}.") from None
        finally:
            part.unlink(missing_ok=True)


def find_batches(what: str) -> list[Batch]:
    """The batch of that uuid, or all batches of the project of that slug, oldest first."""
    rows = Batch.objects.select_related("project", "guideline_version").order_by("pk")
    try:
        uuid = UUID(what)
    except ValueError:
        project = Project.objects.filter(slug=what).first()
        if project is None:
            known = ", ".join(Project.objects.values_list("slug", flat=True)[:20]) or "none"
            raise CommandError(f"There is no project {what!r}. Projects: {known}.") from None
        return list(rows.filter(project=project))
    found = list(rows.filter(uuid=uuid))
    if not found:
        raise CommandError(f"There is no batch {what}.")
    return found
