"""`manage.py import_labels`: labels given elsewhere become a closed batch of the project."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from labeling.formats.rows import FORMATS
from labeling.importing.label_checking import open_label_rows
from labeling.importing.label_columns import ROLES, LabelMapping, map_labels
from labeling.importing.labels import import_labels
from labeling.importing.runs import FileSource
from labeling.management import following
from labeling.refusals import Refusal


class Command(BaseCommand):
    help = (
        "Import existing labels, one a row: a closed batch under a version marked as imported, an inactive member for each "
        "rater id. A rater's k-th label of an item goes to a retest batch. The same command again resumes, or changes nothing."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("project", help="the project's short name, as in its address")
        parser.add_argument("file", type=Path)
        for role in ROLES:
            parser.add_argument(f"--{role}", help=f"column of the {role}; default: by its usual names")
        parser.add_argument(
            "--cohorts",
            default="",
            help="what the file's cohort names mean, as crowd=generalist,control=expert; or one cohort for all",
        )
        parser.add_argument(
            "--labels", default="", help="the declared labels in order, as G,P,R,X; default: those found"
        )
        parser.add_argument(
            "--create-items", action="store_true", help="make items without content for ids the project lacks"
        )
        parser.add_argument(
            "--skip-refused", action="store_true", help="leave refused rows out instead of refusing the file"
        )
        parser.add_argument("--format", choices=("auto", *FORMATS), default="auto")
        parser.add_argument("--encoding", default="", help="of a text file that is not UTF-8, such as cp1252")
        parser.add_argument("--discard", action="store_true", help="take an unfinished import of this file back")
        parser.add_argument(
            "--by", default="", help="username of the member who imports; default: the project's first owner"
        )

    def handle(self, **options: Any) -> None:
        by = following.seat(options["project"], options["by"])
        try:
            source = FileSource.in_place(options["file"])
            mapping = self._mapping(options, source)
        except Refusal as refusal:
            raise CommandError(refusal.message, returncode=2) from None
        following.run_import(
            lambda: import_labels(by=by, source=source, mapping=mapping),
            discard=options["discard"], by=by, out=self.stdout, err=following.interactive_error(),
        )  # fmt: skip

    def _mapping(self, options: dict[str, Any], source: FileSource) -> LabelMapping:
        how = {"format": options["format"], "encoding": options["encoding"]}
        with open_label_rows(source.path, source.path.name, LabelMapping(**how)) as reader:
            columns = reader.columns
        return map_labels(
            columns, given={role: options[role] for role in ROLES if options[role] is not None},
            cohorts=options["cohorts"], labels=options["labels"], create_items=options["create_items"],
            skip_refused=options["skip_refused"], **how,
        )  # fmt: skip
