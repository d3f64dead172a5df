"""`manage.py restore FILE`: a backup into a fresh database and data folder, brought to this version and checked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser

from labeling.backup import restore
from labeling.refusals import Refusal


class Command(BaseCommand):
    help = (
        "Restore a backup into an empty database and data folder, apply newer migrations, seal the ledgers and verify "
        "them with all files. Never replaces anything."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)

    def handle(self, **options: Any) -> None:
        try:
            manifest = restore(source=options["file"])
        except Refusal as refusal:
            raise CommandError(refusal.message) from None
        except OSError as error:
            raise CommandError(f"The backup could not be restored: {error}") from None
        files = ", ".join(f"{name} {count:,}" for name, count in manifest["files"].items())
        self.stdout.write(f"restored what was there at {manifest['made_at']}: database, {files}")
        call_command("migrate", verbosity=0)
        call_command("verify_ledger", files=True, stdout=self.stdout)
        self.stdout.write(self.style.SUCCESS("Start web and worker."))
