"""`manage.py import_items`: a file's rows, or a folder of images, become items of a project."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from labeling.formats.rows import FORMATS
from labeling.importing.items import guess_mapping, import_items, open_item_file
from labeling.importing.mapping import ItemMapping, parse_pairs, with_schema
from labeling.importing.runs import FileSource
from labeling.management import following
from labeling.refusals import Refusal


class Command(BaseCommand):
    help = (
        "Import items from CSV, TSV, JSON Lines or Parquet, or images from a folder or zip. The whole file is checked first; "
        "nothing is visible until all of it is written. The same command again resumes, or changes nothing."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("project", help="the project's short name, as in its address")
        parser.add_argument("file", type=Path, help="a table, a folder or zip of images, or one with a table inside")
        parser.add_argument("--payload", default="", help="columns raters see: a,b or field=column,…")
        parser.add_argument(
            "--metadata", help="columns kept beside the item, never shown to raters; default: all others"
        )
        parser.add_argument("--tags", default="", help="columns that hold tags, separated by ; or ,")
        parser.add_argument(
            "--id", help="column of the external id; default: id, item_id or external_id, else made of the payload"
        )
        parser.add_argument(
            "--images", type=Path, help="folder or zip where the table's image columns find their files"
        )
        parser.add_argument(
            "--environment", choices=("training", "serving"), default="", help="kept as metadata of every row"
        )
        parser.add_argument("--format", choices=("auto", *FORMATS), default="auto")
        parser.add_argument("--encoding", default="", help="of a text file that is not UTF-8, such as cp1252")
        parser.add_argument(
            "--keep-duplicates", action="store_true", help="also take payloads that are there under another id"
        )
        parser.add_argument(
            "--update-metadata", action="store_true", help="correct metadata of items that are there already"
        )
        parser.add_argument(
            "--skip-refused", action="store_true", help="leave refused rows out instead of refusing the file"
        )
        parser.add_argument("--discard", action="store_true", help="take an unfinished import of this file back")
        parser.add_argument(
            "--by", default="", help="username of the member who imports; default: the project's first owner"
        )

    def handle(self, **options: Any) -> None:
        by = following.seat(options["project"], options["by"])
        try:
            source = FileSource.in_place(options["file"], str(options["images"].resolve()) if options["images"] else "")
            mapping = self._mapping(options, by.project.payload_schema, source)
        except Refusal as refusal:
            raise CommandError(refusal.message, returncode=2) from None
        following.run_import(
            lambda: import_items(by=by, source=source, mapping=mapping),
            discard=options["discard"], by=by, out=self.stdout, err=following.interactive_error(),
        )  # fmt: skip

    def _mapping(self, options: dict[str, Any], schema: dict[str, Any], source: FileSource) -> ItemMapping:
        """The guessed mapping with what the options say instead."""
        given = ItemMapping(
            format=options["format"], encoding=options["encoding"], environment=options["environment"],
            images=str(options["images"].resolve()) if options["images"] else "",
            keep_duplicates=options["keep_duplicates"], update_metadata=options["update_metadata"],
            skip_refused=options["skip_refused"],
        )  # fmt: skip
        with open_item_file(source.path, source.path.name, given) as file:
            guess = guess_mapping(schema, file)
        mapping = replace(
            given, external_id=guess.external_id, payload=guess.payload, metadata=guess.metadata, tags=guess.tags
        )
        if options["payload"]:
            mapping = replace(mapping, payload=parse_pairs(options["payload"]))
        if options["metadata"] is not None:
            mapping = replace(mapping, metadata=parse_pairs(options["metadata"]))
        if options["tags"]:
            mapping = replace(mapping, tags=tuple(parse_pairs(options["tags"]).values()))
        if options["id"] is not None:
            mapping = replace(mapping, external_id=options["id"])
        mapping = with_schema(mapping, schema)
        return mapping if schema.get("fields") else replace(mapping, kinds=guess.kinds)
