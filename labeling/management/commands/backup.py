"""`manage.py backup FILE`: the database, items' files and datasets in one file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from labeling.backup import back_up
from labeling.refusals import Refusal


class Command(BaseCommand):
    help = (
        "Back up the database, items' files and datasets into FILE (a tar archive; compressed when it ends in .gz). "
        "Safe while people label. The secret key is not in it."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--replace", action="store_true", help="replace FILE when it is there")

    def handle(self, **options: Any) -> None:
        try:
            back_up(target=options["file"], replace=options["replace"], tell=self.stdout.write)
        except Refusal as refusal:
            raise CommandError(refusal.message) from None
        except OSError as error:
            raise CommandError(f"The backup could not be written: {error}") from None
        size = options["file"].expanduser().stat().st_size
        self.stdout.write(self.style.SUCCESS(f"{options['file']}: {size:,} bytes"))
