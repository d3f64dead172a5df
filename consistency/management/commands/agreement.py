"""manage.py agreement FILE: how far raters agree, with intervals, from a file and nothing else."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from typing import Any

from consistency.offline.arguments import OfflineCommand, categories_from, columns_from, write_text
from consistency.offline.measuring import Options, measure
from consistency.offline.reading import load


class Command(OfflineCommand):
    help = "Agreement between raters and human-level performance of a ratings file. Needs no database."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--level", default="nominal", help="metric of α: nominal, ordinal, interval, ratio")
        parser.add_argument(
            "--weights", default="identity", help="identity, linear, quadratic, ordinal, radical, ratio"
        )
        parser.add_argument("--interval", default="auto", help="auto, two_way, items")
        parser.add_argument("--bootstrap", type=int, default=0, metavar="N", help="0, or replicates (2000 or more)")
        parser.add_argument("--confidence", type=float, default=0.95, help="of the intervals (default: 0.95)")
        parser.add_argument("--pairs", action="store_true", help="also every two raters")
        parser.add_argument("--engine", default="memory", help="memory, sql (a temporary SQLite file), duckdb")
        parser.add_argument("--html", metavar="FILE", help="also write the report as one self-contained page")

    def run(self, **options: Any) -> None:
        asked = Options(**{name: options[name] for name in Options.__dataclass_fields__})
        asked.check()
        loaded = load(
            options["file"],
            columns=columns_from(options),
            format=options["format"],
            categories=categories_from(options),
        )
        measured = measure(loaded, asked, with_pairs=options["pairs"] or bool(options["html"]))
        if options["html"]:
            from consistency.offline.page import agreement_page

            write_text(options["html"], agreement_page(measured, command=_as_typed()))
            self.stderr.write(f"Wrote {options['html']}", self.style.SUCCESS)
        if options["json"]:
            found = measured.as_json(with_pairs=options["pairs"])
            self.stdout.write(json.dumps(found, ensure_ascii=False, indent=1, allow_nan=False))
        else:
            from consistency.offline.report import agreement_report

            self.stdout.write(agreement_report(measured, with_pairs=options["pairs"]))


def _as_typed() -> str:
    """The command line, for the page's first line: which options made these figures."""
    return shlex.join(["manage.py", *sys.argv[1:]]) if sys.argv[1:2] == ["agreement"] else "manage.py agreement"
