"""The only place a status changes: a table of what may follow what, and a compare-and-set."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

from django.db.models import Model

from .db.compiled import Change, Given
from .vocabulary import BatchStatus, JobStatus, PlaceStatus, RunStatus, VersionStatus

# Other apps add their nouns with `register`.
TABLE: dict[str, dict[str, set[str]]] = {
    "batch": {
        BatchStatus.DRAFT: {BatchStatus.OPENING},
        BatchStatus.OPENING: {BatchStatus.OPEN, BatchStatus.CLOSED},
        BatchStatus.OPEN: {BatchStatus.CLOSED},
        BatchStatus.CLOSED: {BatchStatus.OPEN},
    },
    "assignment": {
        PlaceStatus.OPEN: {PlaceStatus.CLAIMED, PlaceStatus.VOID},
        # open: the lease ran out or the rater gave the place back; void: the batch closed and the lease ran out
        PlaceStatus.CLAIMED: {PlaceStatus.SUBMITTED, PlaceStatus.SKIPPED, PlaceStatus.OPEN, PlaceStatus.VOID},
        PlaceStatus.SUBMITTED: set(),
        # claimed: a skip undone while its replacement was still open
        PlaceStatus.SKIPPED: {PlaceStatus.CLAIMED},
        PlaceStatus.VOID: set(),
    },
    "guidelineversion": {
        VersionStatus.DRAFT: {VersionStatus.PUBLISHED},
        VersionStatus.PUBLISHED: set(),
        VersionStatus.AS_IMPORTED: set(),
    },
    "importrun": {
        RunStatus.CHECKING: {RunStatus.WRITING, RunStatus.REFUSED, RunStatus.DISCARDED},
        RunStatus.WRITING: {RunStatus.DONE, RunStatus.REFUSED, RunStatus.DISCARDED},
        RunStatus.DONE: set(),
        RunStatus.REFUSED: set(),
        RunStatus.DISCARDED: set(),
    },
    "job": {
        JobStatus.QUEUED: {JobStatus.RUNNING, JobStatus.FAILED},
        JobStatus.RUNNING: {JobStatus.DONE, JobStatus.FAILED, JobStatus.QUEUED},
        JobStatus.DONE: set(),
        JobStatus.FAILED: {JobStatus.QUEUED},
    },
}


def register(noun: str, moves: dict[str, set[str]]) -> None:
    """Add another app's noun; called when that app loads."""
    TABLE[noun] = moves


class ImpossibleTransition(Exception):
    """The table has no such move: a mistake in the code, not a refusal to a person."""


def may_move(noun: str, old: str, new: str) -> bool:
    return new in TABLE[noun].get(old, set())


def move(row: Model, new: str, *, old: str | None = None, where: dict[str, Any] | None = None, **values: Any) -> bool:
    """Compare-and-set the status of `row` from `old` (its loaded status) to `new`; True when this call did it.

    `where` adds conditions to the compare, `values` are set together with the status. The loaded row is brought up
    to date only on success. Raises ImpossibleTransition when the table has no such move.
    """
    noun = row._meta.model_name or ""
    before = old if old is not None else row.status  # type: ignore[attr-defined]
    if not may_move(noun, before, new):
        raise ImpossibleTransition(f"{noun}: {before} → {new}")
    where = where or {}
    if noun in EACH_LABEL and None not in where.values():
        changed = _compiled(type(row), before, new, tuple(where), tuple(values)).run(
            pk=row.pk, **{f"where_{name}": _plain(value) for name, value in where.items()}, **values
        )
    else:
        changed = type(row)._default_manager.filter(pk=row.pk, status=before, **where).update(status=new, **values)
    if changed:
        row.status = new  # type: ignore[attr-defined]
        for name, value in values.items():
            setattr(row, name, value)
    return bool(changed)


# Moved at every label, so their UPDATEs are compiled once.
EACH_LABEL = frozenset({"assignment"})


@cache
def _compiled(model: type[Model], old: str, new: str, where: tuple[str, ...], values: tuple[str, ...]) -> Change:
    def given(name: str, key: str) -> Given:
        field = model._meta.get_field(name)
        return Given(key, field.target_field if field.is_relation else field)  # type: ignore[union-attr,arg-type]

    return Change(
        lambda: model._default_manager.filter(
            pk=given("id", "pk"), status=str(old), **{name: given(name, f"where_{name}") for name in where}
        ),
        status=str(new),
        **{name: given(name, name) for name in values},
    )


def _plain(value: Any) -> Any:
    return value.pk if isinstance(value, Model) else value


def move_all(rows: Any, old: str, new: str, **values: Any) -> int:
    """Move every row of a queryset that is in status `old`; returns how many moved."""
    if not may_move(rows.model._meta.model_name, old, new):
        raise ImpossibleTransition(f"{rows.model._meta.model_name}: {old} → {new}")
    moved: int = rows.filter(status=old).update(status=new, **values)
    return moved


def describe() -> Iterable[tuple[str, str, str]]:
    """Every (noun, old, new), for the documentation and its test."""
    for noun, moves in TABLE.items():
        for old, news in moves.items():
            for new in sorted(news):
                yield noun, old, new
