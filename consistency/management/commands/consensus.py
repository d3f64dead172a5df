"""manage.py consensus FILE: one answer per item from several raters' labels, ties kept."""

from __future__ import annotations

import argparse
import json
from typing import Any

from consistency.offline.aggregating import ConsensusOptions, aggregate
from consistency.offline.arguments import OfflineCommand, categories_from, columns_from, write_text
from consistency.offline.reading import load
from consistency.statistics.consensus import METHODS


class Command(OfflineCommand):
    help = "Consensus labels of a ratings file, with ties kept. Needs no database."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--method", default="auto", help=f"auto (by held-out likelihood), {', '.join(METHODS)} (default: auto)"
        )
        parser.add_argument(
            "--smoothing",
            type=float,
            metavar="S",
            help="pseudo-labels per cell of a confusion matrix, such as 0.1; 0 is maximum likelihood "
            "(default: chosen by held-out likelihood)",
        )
        parser.add_argument("--tol", type=float, default=1e-7, help="relative tolerance of the fit (default: 1e-7)")
        parser.add_argument("--max-iter", type=int, default=100, help="most iterations of the fit (default: 100)")
        parser.add_argument("--restarts", type=int, default=0, metavar="N", help="random starts to report beside")
        parser.add_argument("--out", metavar="FILE", help="write the answers: CSV, or JSON when FILE ends in .json")

    def run(self, **options: Any) -> None:
        asked = ConsensusOptions(**{name: options[name] for name in ConsensusOptions.__dataclass_fields__})
        asked.check()
        loaded = load(
            options["file"],
            columns=columns_from(options),
            format=options["format"],
            categories=categories_from(options),
        )
        found = aggregate(loaded, asked)
        if options["out"]:
            self._write(options["out"], found)
        if options["json"]:
            self.stdout.write(json.dumps(found.as_json(), ensure_ascii=False, allow_nan=False))
        else:
            from consistency.offline.consensus_report import consensus_report

            self.stdout.write(consensus_report(found))

    def _write(self, path: str, found: Any) -> None:
        from consistency.offline.consensus_report import consensus_csv

        as_json = path.endswith(".json")
        text = json.dumps(found.as_json(), ensure_ascii=False, allow_nan=False) if as_json else consensus_csv(found)
        write_text(path, text)
        self.stderr.write(f"Wrote {path}", self.style.SUCCESS)
