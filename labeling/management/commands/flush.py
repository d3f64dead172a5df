"""`flush` for tests only: it lifts the seals, empties the tables and seals them again."""

from typing import Any

from django.core.management.base import CommandError
from django.core.management.commands.flush import Command as DjangoFlush
from django.db import connections

from labeling.db import seals
from labeling.db.testing import is_test_database


class Command(DjangoFlush):
    help = "Empty the test database. Refused on any other: ledgers are not emptied."

    def handle(self, **options: Any) -> None:
        using = options["database"]
        connection = connections[using]
        if not is_test_database(connection.settings_dict):
            raise CommandError(
                "flush would empty the ledgers and is refused outside tests. To start over, remove the database."
            )
        seals.lift(using)
        try:
            super().handle(**options)
        finally:
            seals.install(using)
