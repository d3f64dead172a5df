"""What the two offline commands have in common: columns, errors in one line, no database."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from labeling.formats.ratings import DEFAULT_NAMES, FORMATS, Columns

from .reading import InputError

UNUSABLE_INPUT = 2


class OfflineCommand(BaseCommand):
    """A command that needs no database, no secret key and no service; unusable input ends it with exit code 2."""

    requires_system_checks: list[str] = []
    requires_migrations_checks = False

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """The file and its columns."""
        # One clear line on a wrong option, without the page of usage argparse puts before it.
        parser.print_usage = lambda file=None: None  # type: ignore[method-assign]
        parser.add_argument("file", metavar="FILE", help="ratings file, folder or ZIP; - reads standard input")
        for role, name in DEFAULT_NAMES.items():
            parser.add_argument(f"--{role}", metavar="COLUMN", help=f"the {role} column (default: {name})")
        parser.add_argument("--categories", metavar="A,B,C", help="the declared labels, in order (default: those used)")
        parser.add_argument(
            "--format", default="auto", metavar="FORMAT", help=f"auto, {', '.join(FORMATS)} (default: auto)"
        )
        parser.add_argument("--seed", type=int, default=0, help="seed of everything random (default: 0)")
        parser.add_argument("--json", action="store_true", help="print JSON instead of the report")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run, and turn unusable input into one line and exit code 2."""
        try:
            self.run(**options)
        except InputError as error:
            raise CommandError(" ".join(str(error).split()), returncode=UNUSABLE_INPUT) from error
        except BrokenPipeError:
            # The reader (head, less) has seen enough. Python would complain once more when it flushes at exit.
            sys.stderr.close()

    def run(self, **options: Any) -> None:
        """What the command does."""
        raise NotImplementedError


def columns_from(options: dict[str, Any]) -> Columns:
    """The column names given on the command line."""
    return Columns(**{role: options[role] for role in DEFAULT_NAMES})


def categories_from(options: dict[str, Any]) -> list[str] | None:
    """`--categories a,b,c` as a list.

    Raises
    ------
    InputError
        When a label is empty.
    """
    given: str | None = options["categories"]
    if given is None:
        return None
    labels = [label.strip() for label in given.split(",")]
    if not all(labels):
        raise InputError(f"--categories {given!r} holds an empty label; write a,b,c")
    return labels


def write_text(path: str, text: str) -> None:
    """Write a file, or refuse in one line.

    Raises
    ------
    InputError
    """
    try:
        with open(path, "w", encoding="utf-8") as stream:
            stream.write(text)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror})") from error
