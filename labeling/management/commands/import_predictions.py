"""`manage.py import_predictions`: what a model says about the project's items, held beside what people say."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from labeling.formats.rows import FORMATS, RowsError, open_rows
from labeling.guideline_settings import label_keys
from labeling.importing.predictions import PredictionColumns, import_predictions, version_for
from labeling.management import following
from labeling.refusals import Refusal


class Command(BaseCommand):
    help = (
        "Import a model's predictions, one item a row: a value, probabilities, or both. They stay in the shadow: raters "
        "never see them, and they are no ratings. The same predictions again change nothing."
    )

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        # Django's own --version gives way to the model's.
        return super().create_parser(prog_name, subcommand, conflict_handler="resolve", **kwargs)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("project", help="the project's short name, as in its address")
        parser.add_argument("file", type=Path, help="CSV, TSV, JSON Lines or Parquet")
        parser.add_argument("--model", required=True, help="the model's name")
        parser.add_argument("--version", required=True, help="the model's version")
        parser.add_argument(
            "--guideline", type=int, help="number of the definition it answers; default: the newest published"
        )
        parser.add_argument("--item", default="", help="column of the item; default: by its usual names")
        parser.add_argument("--value", default="", help="column of the predicted value; default: by its usual names")
        parser.add_argument(
            "--skip-refused", action="store_true", help="leave refused rows out instead of refusing the file"
        )
        parser.add_argument("--format", choices=("auto", *FORMATS), default="auto")
        parser.add_argument("--encoding", default="", help="of a text file that is not UTF-8, such as cp1252")
        parser.add_argument(
            "--by", default="", help="username of the member who imports; default: the project's first owner"
        )

    def handle(self, **options: Any) -> None:
        by = following.seat(options["project"], options["by"])
        path: Path = options["file"]

        def rows() -> Any:
            with open_rows(path, format=options["format"], encoding=options["encoding"]) as reader:
                yield from reader

        try:
            version = version_for(by.project, options["guideline"])
            with open_rows(path, format=options["format"], encoding=options["encoding"]) as reader:
                columns = PredictionColumns.find(
                    reader.columns, item=options["item"], value=options["value"], labels=label_keys(version)
                )
            report = import_predictions(
                by=by, rows=rows, model_name=options["model"], model_version=options["version"], guideline_version=version,
                columns=columns, skip_refused=options["skip_refused"],
            )  # fmt: skip
        except RowsError as error:
            raise CommandError(str(error), returncode=2) from None
        except Refusal as refusal:
            raise CommandError(refusal.message, returncode=2) from None
        for problem in report.problems:
            self.stderr.write(str(problem))
        if report.refused and not options["skip_refused"]:
            raise CommandError(
                f"{report.refused:,} rows are refused, so nothing was imported. --skip-refused leaves them out.",
                returncode=1,
            )
        said = f"{report.kept:,} predictions of {options['model']}@{options['version']} under {version}"
        extra = [f"{report.same:,} were there already"] if report.same else []
        extra += [f"{report.refused:,} rows left out"] if report.refused else []
        extra += [f"{report.ties:,} ties went to the first label"] if report.ties else []
        self.stdout.write("; ".join([said, *extra]) + ".")
