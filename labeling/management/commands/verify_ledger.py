"""`manage.py verify_ledger`: is everything still as it was written?"""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from labeling import ledger


class Command(BaseCommand):
    help = (
        "Check the ledger: seals, hashes of definitions, items and annotations, revisions, answers, overlap, statuses. "
        "Exit 0 when all is as written, 1 with a list of what is not. Safe while people label."
    )

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("--files", action="store_true", help="also read and hash every file of every item")
        parser.add_argument("--json", action="store_true", help="one JSON object a line for each problem")
        parser.add_argument(
            "--most", type=int, default=1000, help="problems to list before only counting (default 1000)"
        )

    def handle(self, **options: Any) -> None:
        found = 0
        for problem in ledger.verify(files=options["files"]):
            found += 1
            if found <= options["most"]:
                self.stdout.write(json.dumps(vars(problem), ensure_ascii=False) if options["json"] else str(problem))
        if found:
            more = f", {options['most']} listed" if found > options["most"] else ""
            raise CommandError(f"{found} problem{'s' if found > 1 else ''} in the ledger{more}.", returncode=1)
        if not options["json"]:
            names = [*ledger.CHECKS, *(["files"] if options["files"] else [])]
            self.stdout.write(f"The ledger is as it was written. Checked: {', '.join(names)}.")
