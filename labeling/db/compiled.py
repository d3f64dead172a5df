"""Queries compiled once: for the few that every label runs.

The ORM takes several times longer to build a query than a database takes to answer one by primary key, and builds it
anew each time. Here the query is written with the ORM as ever, with `Given`s where its parameters go; it is compiled at
its first run and its SQL kept, so that both databases still get what Django makes for them. Constants stand in the
SQL as literals, so that partial indexes fit whatever the parameters are.

    HELD = Rows(lambda: Assignment.objects.filter(member=whole("member"), status=PlaceStatus.CLAIMED))
    HELD.run(member=member.pk)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, TypeVar

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.models import BigIntegerField, DateTimeField, Expression, Field, Model, QuerySet, TextField, UUIDField
from django.db.models.query import get_related_populators
from django.db.models.sql import UpdateQuery

M = TypeVar("M", bound=Model)
PLAIN_TEXT = re.compile(r"[a-z_]*")


class Given(Expression):
    """A parameter of a compiled query: its value comes with each run, under its name."""

    def __init__(self, name: str, field: Field[Any, Any]) -> None:
        super().__init__(output_field=field)
        self.name = name

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, Any]:
        return "%s", [self]

    def bound(self, value: Any, db: Any) -> Any:
        """The value as the database takes it."""
        if value is None:
            return None
        bound = self.output_field.get_db_prep_value(value, db, prepared=False)
        return _int8(bound) if type(bound) is int and db.vendor == "postgresql" else bound

    # Expressions compare by what they hold; two parameters are the same only when they are one.
    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other


def whole(name: str) -> Given:
    """A whole number, an id for instance, given at each run."""
    return Given(name, BigIntegerField())


def text(name: str) -> Given:
    """Text given at each run."""
    return Given(name, TextField())


def uuid(name: str) -> Given:
    """A uuid given at each run."""
    return Given(name, UUIDField())


def moment(name: str) -> Given:
    """A time given at each run."""
    return Given(name, DateTimeField())


def _int8(value: int) -> Any:
    """One type for all whole numbers: psycopg takes the smallest that fits, and each would make another statement."""
    from psycopg.types.numeric import Int8

    return Int8(value)


def _cursor(db: Any) -> Any:
    """A cursor for a compiled statement.

    On PostgreSQL its parameters go beside the statement, not inside it, so that the server plans it once per connection
    (after `prepare_threshold` runs, see settings); planning takes as long as answering there. SQLite's driver keeps its
    statements by itself.
    """
    # Logged queries (tests, debugging) go the usual way, where Django can show them with their parameters.
    if db.vendor != "postgresql" or db.queries_logged:
        return db.cursor()
    from psycopg import Cursor

    db.ensure_connection()
    return db._prepare_cursor(Cursor(db.connection))


def _literal(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "TRUE", False: "FALSE", None: "NULL"}[value]
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str) and PLAIN_TEXT.fullmatch(value):
        return f"'{value!s}'"
    raise TypeError(f"{value!r} cannot stand in a compiled query; make it a Given")


def _fixed(sql: str, params: Iterable[Any]) -> tuple[str, tuple[Given, ...]]:
    """The SQL with its constants as literals, and the parameters that remain."""
    pieces = sql.split("%s")
    given = []
    out = [pieces[0]]
    values = list(params)
    if len(values) != len(pieces) - 1:
        raise ValueError("a compiled query takes no % of its own")
    for value, piece in zip(values, pieces[1:], strict=True):
        if isinstance(value, Given):
            given.append(value)
            out += ["%s", piece]
        else:
            out += [_literal(value), piece]
    return "".join(out), tuple(given)


class _Compiled:
    """What is kept of a query, by the kind of database (tests may use one after the other)."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[Any, ...]] = {}

    def _parts(self, db: Any) -> tuple[Any, ...]:
        parts = self._known.get(db.vendor)
        if parts is None:
            parts = self._known[db.vendor] = self._compile(db)
        return parts

    def _compile(self, db: Any) -> tuple[Any, ...]:
        raise NotImplementedError


class _Select(_Compiled):
    def __init__(self, build: Callable[[], QuerySet[Any]]) -> None:
        super().__init__()
        self._build = build

    def _fetch(self, db: Any, values: dict[str, Any]) -> tuple[Sequence[Sequence[Any]], tuple[Any, ...]]:
        sql, given, converters, *rest = self._parts(db)
        with _cursor(db) as cursor:
            cursor.execute(sql, [one.bound(values[one.name], db) for one in given])
            rows = cursor.fetchall()
        if converters:
            rows = [list(row) for row in rows]
            for row in rows:
                for position, expression, convert in converters:
                    value = row[position]
                    for step in convert:
                        value = step(value, expression, db)
                    row[position] = value
        return rows, tuple(rest)

    def _compile(self, db: Any) -> tuple[Any, ...]:
        compiler = self._build().query.get_compiler(connection=db)
        sql, params = compiler.as_sql()
        converters = [
            (position, expression, tuple(steps))
            for position, (steps, expression) in compiler.get_converters(
                expression for expression, *_ in compiler.select
            ).items()
        ]
        return (*_fixed(sql, params), converters, *self._reading(compiler, db))

    def _reading(self, compiler: Any, db: Any) -> tuple[Any, ...]:
        return ()


class Rows(_Select, Generic[M]):
    """A compiled query for model instances, with what it selects beside them (`select_related`)."""

    def __init__(self, build: Callable[[], QuerySet[M]]) -> None:
        super().__init__(build)

    def _reading(self, compiler: Any, db: Any) -> tuple[Any, ...]:
        info, select = compiler.klass_info, compiler.select
        first, last = info["select_fields"][0], info["select_fields"][-1] + 1
        names = [column[0].target.attname for column in select[first:last]]
        return info["model"], names, first, last, get_related_populators(info, select, db.alias)  # type: ignore[call-arg]

    def run(self, **values: Any) -> list[M]:
        """The instances for these parameters."""
        db = connections[DEFAULT_DB_ALIAS]
        rows, (model, names, first, last, populators) = self._fetch(db, values)
        found = []
        for row in rows:
            instance = model.from_db(db.alias, names, row[first:last])
            for populator in populators:
                populator.populate(row, instance)
            found.append(instance)
        return found

    def first(self, **values: Any) -> M | None:
        """The first of the instances, or None."""
        found = self.run(**values)
        return found[0] if found else None


class Values(_Select):
    """A compiled `values_list` of columns and expressions, in the order in which the database gives them."""

    def run(self, **values: Any) -> list[tuple[Any, ...]]:
        """The rows for these parameters."""
        return [tuple(row) for row in self._fetch(connections[DEFAULT_DB_ALIAS], values)[0]]


class Change(_Compiled):
    """A compiled UPDATE of the rows of a queryset; `set_to` are constants and Givens."""

    def __init__(self, build: Callable[[], QuerySet[Any]], **set_to: Any) -> None:
        super().__init__()
        self._build, self._set_to = build, set_to

    def _compile(self, db: Any) -> tuple[Any, ...]:
        query: Any = self._build().query.chain(UpdateQuery)
        query.add_update_values(self._set_to)
        return _fixed(*query.get_compiler(connection=db).as_sql())

    def run(self, **values: Any) -> int:
        """How many rows changed."""
        db = connections[DEFAULT_DB_ALIAS]
        sql, given = self._parts(db)
        with _cursor(db) as cursor:
            cursor.execute(sql, [one.bound(values[one.name], db) for one in given])
            return int(cursor.rowcount)


_inserts: dict[tuple[str, type[Model], int], tuple[str, list[Any]]] = {}


def insert(*rows: Model) -> None:
    """INSERT unsaved rows of one model with one statement; each then has its id. Signals are not sent."""
    if not rows:
        return
    db = connections[DEFAULT_DB_ALIAS]
    model = type(rows[0])
    key = (db.vendor, model, len(rows))
    known = _inserts.get(key)
    if known is None:
        fields = [field for field in model._meta.local_concrete_fields if not field.primary_key]
        quote = db.ops.quote_name
        names = ", ".join(quote(str(field.column)) for field in fields)
        marks = ", ".join(["%s"] * len(fields))
        known = _inserts[key] = (
            f"INSERT INTO {quote(model._meta.db_table)} ({names}) VALUES {', '.join([f'({marks})'] * len(rows))} "
            f"RETURNING {quote(str(model._meta.pk.column))}",
            fields,
        )
    sql, fields = known
    values = [field.get_db_prep_save(field.pre_save(row, add=True), db) for row in rows for field in fields]
    if db.vendor == "postgresql":
        values = [_int8(value) if type(value) is int else value for value in values]
    with _cursor(db) as cursor:
        cursor.execute(sql, values)
        for row, (pk,) in zip(rows, cursor.fetchall(), strict=True):
            row.pk = pk
            row._state.adding = False
            row._state.db = db.alias
