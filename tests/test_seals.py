"""What is sealed cannot be changed by any statement, on either database; without the seals it could.

Run the suite with and without DATABASE_URL: every story here holds on SQLite and on PostgreSQL.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from django.db import DatabaseError, connection, transaction
from django.db.models import Model

from labeling import guidelines
from labeling.claiming import claim_next
from labeling.db import seals
from labeling.models import (
    Annotation,
    Event,
    Gold,
    GuidelineVersion,
    ImportRun,
    Item,
    LabelDefinition,
    LabelExample,
    LabelMapping,
)
from labeling.submission import Answer, submit_annotation
from tests.guidelines.test_editing import draft_in, fields_of, label_in
from tests.sealing import run_sql, seals_lifted, settle_constraints
from tests.worlds import World

pytestmark = pytest.mark.django_db
sqlite_only = pytest.mark.skipif(connection.vendor != "sqlite", reason="a statement of SQLite")
postgresql_only = pytest.mark.skipif(connection.vendor != "postgresql", reason="a statement of PostgreSQL")


@pytest.fixture
def sealed(world: World) -> World:
    """A world with a row in every sealed table, and a draft beside the published version."""
    draft = draft_in(world)
    sam = world.seat("sam")
    label = guidelines.edit_label(
        by=sam, label=label_in(draft), fields=fields_of(label_in(draft), key="flaw", name="Flaw")
    )
    for each in draft.labels.select_related("version"):
        guidelines.add_example(by=sam, label=each, polarity="positive", payload={"text": each.name})
    guidelines.save_draft(by=sam, version=draft, body="Look twice.", change_note="A clearer word.")
    assert label.version_id == draft.pk
    world.version = guidelines.publish_version(by=sam, version=draft)
    batch = world.open_batch(version=world.version)
    place = claim_next(by=world.people["gene"], batch=batch).places[0]
    submit_annotation(
        by=world.people["gene"], batch=batch, assignment=place.uuid, token=place.claim_token, answer=Answer(value="flaw")
    )  # fmt: skip
    Gold.objects.create(item=world.items[0], value="flaw", origin="external", at=world.version.published_at)
    guidelines.start_draft(by=sam)
    return world


@dataclass(frozen=True)
class Row:
    """A sealed row: its model, the row in the sealed world, and one sealed column with another value for it."""

    model: type[Model]
    find: Callable[[World], Model]
    column: str
    value: str

    def __str__(self) -> str:
        return self.model.__name__

    @property
    def table(self) -> str:
        return self.model._meta.db_table


ROWS = [
    Row(Annotation, lambda world: Annotation.objects.get(), "comment", "something else"),
    Row(Gold, lambda world: Gold.objects.get(), "rationale", "something else"),
    Row(Event, lambda world: Event.objects.order_by("pk")[0], "verb", "forged"),
    Row(Item, lambda world: world.items[0], "external_id", "another"),
    Row(GuidelineVersion, lambda world: world.version, "body", "Look once."),
    Row(LabelDefinition, lambda world: world.version.labels.get(key="flaw"), "definition", "Anything."),
    Row(
        LabelExample,
        lambda world: LabelExample.objects.filter(definition__version=world.version)[0],
        "note",
        "not this one",
    ),
    Row(LabelMapping, lambda world: world.version.mappings.get(), "to_key", "no_defect"),
]
each_row = pytest.mark.parametrize("row", ROWS, ids=str)


def refused(sql: str, parameters: list | None = None) -> bool:
    """Whether the database refuses the statement because of a seal; any other error is one of the test."""
    try:
        with transaction.atomic():
            run_sql(sql, parameters)
    except DatabaseError as error:
        assert "sealed:" in str(error), error
        return True
    return False


def copy_into(model: type[Model], verb: str, pk: int) -> str:
    """SQL that writes a row over itself: `verb` INTO table (all columns) SELECT all columns of that row."""
    columns = ", ".join(f'"{field.column}"' for field in model._meta.local_concrete_fields)
    return (
        f"{verb} INTO {model._meta.db_table} ({columns}) SELECT {columns} FROM {model._meta.db_table} WHERE id = {pk}"
    )


def test_every_sealed_table_has_a_story(sealed: World) -> None:
    ours = {row.table for row in ROWS}
    assert {seal.table for seal in seals.SEALS if seal.table.startswith("labeling_")} == ours
    assert seals.missing() == []


@each_row
def test_an_update_is_refused(sealed: World, row: Row) -> None:
    pk = row.find(sealed).pk
    assert refused(f"UPDATE {row.table} SET {row.column} = %s WHERE id = %s", [row.value, pk])
    row.model.objects.get(pk=pk)
    with pytest.raises(DatabaseError, match="sealed"), transaction.atomic():
        row.model.objects.filter(pk=pk).update(**{row.column: row.value})


@each_row
def test_a_delete_is_refused(sealed: World, row: Row) -> None:
    assert refused(f"DELETE FROM {row.table} WHERE id = %s", [row.find(sealed).pk])


@each_row
def test_without_the_seals_both_would_pass(sealed: World, row: Row) -> None:
    """The negative control: it is the seals that refuse, not a constraint beside them."""
    pk = row.find(sealed).pk
    with seals_lifted():
        assert not refused(f"UPDATE {row.table} SET {row.column} = %s WHERE id = %s", [row.value, pk])
        assert getattr(row.model.objects.get(pk=pk), row.column) == row.value
    assert refused(f"UPDATE {row.table} SET {row.column} = {row.column}"), "the seals are back"
    # A row that others refer to cannot be deleted even so; an unreferred one could.
    if row.model in (Annotation, Gold, Event, LabelExample, LabelMapping):
        with seals_lifted():
            assert run_sql(f"DELETE FROM {row.table} WHERE id = %s", [pk]) == 1


@sqlite_only
@each_row
def test_insert_or_replace_is_refused(sealed: World, row: Row) -> None:
    assert refused(copy_into(row.model, "INSERT OR REPLACE", row.find(sealed).pk))


@sqlite_only
def test_without_recursive_triggers_insert_or_replace_forges_a_row(sealed: World) -> None:
    """The negative control: the delete inside REPLACE fires triggers only where the connection asks for it."""
    pk = Annotation.objects.get().pk
    forge = copy_into(Annotation, "INSERT OR REPLACE", pk)
    run_sql("PRAGMA recursive_triggers = OFF")
    try:
        assert not refused(forge)
        assert any("recursive_triggers" in problem for problem in seals.missing()), "and the check says so"
    finally:
        run_sql("PRAGMA recursive_triggers = ON")
    assert refused(forge)


@postgresql_only
@each_row
def test_truncate_is_refused(sealed: World, row: Row) -> None:
    settle_constraints()
    assert refused(f"TRUNCATE {row.table} CASCADE")


@postgresql_only
def test_truncating_what_a_ledger_refers_to_is_refused(sealed: World) -> None:
    settle_constraints()
    assert refused("TRUNCATE labeling_project CASCADE")


@postgresql_only
def test_without_the_seals_truncate_would_pass(sealed: World) -> None:
    with seals_lifted():
        assert not refused("TRUNCATE labeling_event")
        assert not Event.objects.exists()


# --- a published version takes nothing new ------------------------------------------------------------


def test_a_published_version_takes_no_new_row(sealed: World) -> None:
    label = sealed.version.labels.get(key="flaw")
    new = [
        lambda: LabelDefinition.objects.create(version=sealed.version, key="pit", name="Pit"),
        lambda: LabelExample.objects.create(definition=label, polarity="positive", payload={"text": "x"}),
        lambda: LabelMapping.objects.create(
            guideline_version=sealed.version, kind="merge", from_key="a", to_key="flaw"
        ),
    ]
    for insert in new:
        with pytest.raises(DatabaseError, match="sealed"), transaction.atomic():
            insert()
    with seals_lifted():
        for insert in new:
            insert()


def test_a_drafts_row_cannot_be_moved_into_a_published_version(sealed: World) -> None:
    draft = GuidelineVersion.objects.get(status="draft")
    guidelines.add_label(by=sealed.seat("sam"), version=draft, fields=guidelines.LabelFields(name="Pit"))
    pit = draft.labels.get(key="pit")
    shown = LabelExample.objects.filter(definition__version=draft).first()
    mapping = LabelMapping.objects.create(guideline_version=draft, kind="merge", from_key="old", to_key="pit")
    assert shown is not None
    flaw = sealed.version.labels.get(key="flaw")
    moves = [
        (
            "UPDATE labeling_labeldefinition SET version_id = %s, hotkey = '9' WHERE id = %s",
            [sealed.version.pk, pit.pk],
        ),
        ("UPDATE labeling_labelexample SET definition_id = %s WHERE id = %s", [flaw.pk, shown.pk]),
        ("UPDATE labeling_labelmapping SET guideline_version_id = %s WHERE id = %s", [sealed.version.pk, mapping.pk]),
    ]
    for sql, parameters in moves:
        assert refused(sql, parameters), sql
    with seals_lifted():
        for sql, parameters in moves:
            assert not refused(sql, parameters), sql


def test_a_published_version_cannot_be_made_a_draft_again(sealed: World) -> None:
    assert refused(
        "UPDATE labeling_guidelineversion SET status = 'draft', published_at = NULL WHERE id = %s", [sealed.version.pk]
    )


def test_a_draft_changes_freely(sealed: World) -> None:
    draft = GuidelineVersion.objects.get(status="draft")
    GuidelineVersion.objects.filter(pk=draft.pk).update(body="Anything")
    assert draft.labels.update(definition="Anything") == 2
    guidelines.discard_draft(by=sealed.seat("sam"), version=draft)
    assert not GuidelineVersion.objects.filter(pk=draft.pk).exists()


# --- what may change all the same ---------------------------------------------------------------------


def test_an_items_metadata_may_be_corrected_and_its_payload_may_not(sealed: World) -> None:
    item = sealed.items[0]
    Item.objects.filter(pk=item.pk).update(metadata={"camera": "7"}, withdrawn_at=sealed.version.published_at)
    for column in ("payload", "payload_sha256", "external_id", "uuid", "project_id", "media", "import_run_id"):
        assert refused(f"UPDATE labeling_item SET {column} = {column} WHERE id = %s", [item.pk]), column


def test_what_an_unfinished_import_wrote_may_be_discarded_and_a_finished_ones_may_not(sealed: World) -> None:
    run = ImportRun.objects.create(
        project=sealed.project, kind="items", source="x.csv", file_sha256="0" * 64, mapping_sha256="0" * 64,
        status="writing", by=sealed.people["olga"],
    )  # fmt: skip
    item = Item.objects.create(
        project=sealed.project, external_id="half", payload={"text": "x"}, payload_sha256="0" * 64, import_run=run
    )
    spare = Item.objects.create(
        project=sealed.project, external_id="half2", payload={"text": "y"}, payload_sha256="0" * 64, import_run=run
    )
    assert not refused("DELETE FROM labeling_item WHERE id = %s", [item.pk])
    ImportRun.objects.filter(pk=run.pk).update(status="done")
    assert refused("DELETE FROM labeling_item WHERE id = %s", [spare.pk])


def test_a_missing_seal_is_noticed(sealed: World) -> None:
    with seals_lifted():
        assert "seal_labeling_annotation_update" in seals.missing()
    assert seals.missing() == []
