"""Triggers that make the ledgers INSERT-only, on SQLite and on PostgreSQL.

A seal says when a row of a table may no longer change. `pre_migrate` lifts all seals and `post_migrate`
installs them again: SQLite rebuilds a table to alter it, and would trip over its triggers or drop them silently.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

ALWAYS = ""


@dataclass(frozen=True)
class Seal:
    """What a table refuses. Conditions are SQL over OLD (for `insert` over NEW); empty means always, None never.

    update, delete, insert: when that statement is refused for a row.
    columns: the seal covers updates of these columns only (all when empty).
    truncate: refuse TRUNCATE (PostgreSQL; SQLite has none).
    """

    table: str
    update: str | None = ALWAYS
    delete: str | None = ALWAYS
    insert: str | None = None
    columns: tuple[str, ...] = ()
    truncate: bool = True


PUBLISHED = "(SELECT published_at FROM labeling_guidelineversion WHERE id = {row}.{column}) IS NOT NULL"
# What an unfinished import wrote may be discarded; a finished one's rows are ledger.
RUN_DONE = "COALESCE((SELECT status FROM labeling_importrun WHERE id = OLD.import_run_id), 'done') = 'done'"
DEFINITION_PUBLISHED = (
    "(SELECT v.published_at FROM labeling_guidelineversion v JOIN labeling_labeldefinition d ON d.version_id = v.id "
    "WHERE d.id = {row}.definition_id) IS NOT NULL"
)


def _of_version(table: str, column: str) -> Seal:
    old, new = PUBLISHED.format(row="OLD", column=column), PUBLISHED.format(row="NEW", column=column)
    # NEW too: a draft's row must not be moved into a published version.
    return Seal(table, update=f"({old} OR {new})", delete=old, insert=new)


SEALS: list[Seal] = [
    Seal(
        "labeling_annotation",
        delete=(
            "(SELECT b.status FROM labeling_batch b JOIN labeling_assignment a ON a.batch_id = b.id "
            "WHERE a.id = OLD.assignment_id AND b.kind = 'import') IS NOT 'opening'"
        ),
    ),
    Seal("labeling_gold", delete=RUN_DONE),
    Seal("labeling_event"),
    Seal(
        "labeling_item",
        columns=("uuid", "project_id", "external_id", "payload", "payload_sha256", "media", "import_run_id"),
        delete=RUN_DONE,
    ),
    Seal("labeling_guidelineversion", update="OLD.published_at IS NOT NULL", delete="OLD.published_at IS NOT NULL"),
    _of_version("labeling_labeldefinition", "version_id"),
    _of_version("labeling_labelmapping", "guideline_version_id"),
    Seal(
        "labeling_labelexample",
        update=f"({DEFINITION_PUBLISHED.format(row='OLD')} OR {DEFINITION_PUBLISHED.format(row='NEW')})",
        delete=DEFINITION_PUBLISHED.format(row="OLD"),
        insert=DEFINITION_PUBLISHED.format(row="NEW"),
    ),
]


def register(*seals: Seal) -> None:
    """Add seals of another app; called when that app loads."""
    SEALS.extend(seal for seal in seals if seal not in SEALS)


def _message(seal: Seal, verb: str) -> str:
    return f"sealed: {verb} on {seal.table} is refused"


def _sqlite(seal: Seal) -> dict[str, str]:
    statements = {}
    for verb, condition in (("update", seal.update), ("delete", seal.delete), ("insert", seal.insert)):
        if condition is None:
            continue
        name = f"seal_{seal.table}_{verb}"
        columns = f" OF {', '.join(seal.columns)}" if verb == "update" and seal.columns else ""
        when = f" WHEN {condition}" if condition else ""
        statements[name] = (
            f"CREATE TRIGGER {name} BEFORE {verb.upper()}{columns} ON {seal.table} FOR EACH ROW{when} "
            f"BEGIN SELECT RAISE(ABORT, '{_message(seal, verb)}'); END"
        )
    return statements


def _postgresql(seal: Seal) -> dict[str, str]:
    statements = {}
    for verb, condition in (("update", seal.update), ("delete", seal.delete), ("insert", seal.insert)):
        if condition is None:
            continue
        name = f"seal_{seal.table}_{verb}"
        columns = f" OF {', '.join(seal.columns)}" if verb == "update" and seal.columns else ""
        # A trigger's WHEN clause takes no subquery, so the condition stands in the function.
        test = condition.replace("IS NOT 'opening'", "IS DISTINCT FROM 'opening'") or "TRUE"
        result = "OLD" if verb == "delete" else "NEW"
        statements[name] = (
            f"CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $seal$ BEGIN "
            f"IF {test} THEN RAISE EXCEPTION '{_message(seal, verb)}' USING ERRCODE = 'integrity_constraint_violation'; "
            f"END IF; RETURN {result}; END $seal$; "
            f"CREATE TRIGGER {name} BEFORE {verb.upper()}{columns} ON {seal.table} FOR EACH ROW EXECUTE FUNCTION {name}()"
        )
    if seal.truncate:
        name = f"seal_{seal.table}_truncate"
        statements[name] = (
            f"CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $seal$ BEGIN "
            f"RAISE EXCEPTION '{_message(seal, 'truncate')}' USING ERRCODE = 'integrity_constraint_violation'; "
            f"END $seal$; CREATE TRIGGER {name} BEFORE TRUNCATE ON {seal.table} EXECUTE FUNCTION {name}()"
        )
    return statements


def _statements(connection: BaseDatabaseWrapper) -> dict[str, tuple[str, str]]:
    """{trigger name: (table, SQL)} for the seals whose table exists."""
    make = _postgresql if connection.vendor == "postgresql" else _sqlite
    with connection.cursor() as cursor:
        tables = set(connection.introspection.table_names(cursor))
    return {name: (seal.table, sql) for seal in SEALS if seal.table in tables for name, sql in make(seal).items()}


def present(using: str = "default") -> set[str]:
    """Names of the seal triggers that are in the database now."""
    connection = connections[using]
    query = (
        "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal AND tgenabled <> 'D' AND tgname LIKE 'seal\\_%%'"
        if connection.vendor == "postgresql"
        else "SELECT name FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'seal\\_%%' ESCAPE '\\'"
    )
    with connection.cursor() as cursor:
        cursor.execute(query.replace("%%", "%"))
        return {row[0] for row in cursor.fetchall()}


def missing(using: str = "default") -> list[str]:
    """Names of the seal triggers that should be in the database and are not; empty when the ledgers are sealed."""
    connection = connections[using]
    problems = sorted(set(_statements(connection)) - present(using))
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA recursive_triggers")
            if cursor.fetchone()[0] != 1:
                problems.append("recursive_triggers is off: INSERT OR REPLACE would forge a sealed row")
    return problems


def lift(using: str = "default") -> None:
    """Drop every seal trigger."""
    connection = connections[using]
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(
                "SELECT tgname, tgrelid::regclass::text FROM pg_trigger WHERE NOT tgisinternal AND tgname LIKE 'seal\\_%'"
            )
            for name, table in cursor.fetchall():
                cursor.execute(f"DROP TRIGGER IF EXISTS {name} ON {table}")
        else:
            for name in present(using):
                cursor.execute(f"DROP TRIGGER IF EXISTS {name}")


def install(using: str = "default") -> None:
    """Put every seal trigger in place; those already there are made anew, so a changed condition takes effect."""
    connection = connections[using]
    lift(using)
    with connection.cursor() as cursor:
        for _table, sql in _statements(connection).values():
            cursor.execute(sql)
