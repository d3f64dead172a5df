"""The feed's numbers: given after commit, by one writer, without a gap; whoever remembers the last one misses nothing."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from django.db import connection, connections, transaction
from django.utils import timezone

from api import feed
from api.feed import number_annotations, number_new
from api.models import AnnotationFeed, FeedCursor
from labeling.claiming import claim_next
from labeling.models import Annotation, Batch, ImportRun
from labeling.submission import Answer, submit_annotation
from labeling.vocabulary import RunStatus
from tests.api.client import Program, key_for
from tests.worlds import World

ANSWERS = {f"n{number}": "defect" for number in range(1, 6)}


@pytest.mark.django_db
def test_the_feed_tells_everything_once_and_in_order(world: World) -> None:
    batch = world.open_batch()
    world.say(batch, "gene", ANSWERS)
    mel = Program(key_for(world, "mel"))
    first = mel.get("annotations?limit=2").json()
    assert [row["number"] for row in first["results"]] == [1, 2]
    assert first["last"] == 2
    assert "after=2" in first["next"]
    rest = mel.get(f"annotations?after={first['last']}").json()
    assert [row["number"] for row in rest["results"]] == [3, 4, 5]
    assert rest["next"] is None
    assert mel.get("annotations?after=5").json() == {"results": [], "last": 5, "next": None}
    world.say(batch, "gina", ANSWERS)
    later = mel.get("annotations?after=5").json()
    assert [row["number"] for row in later["results"]] == [6, 7, 8, 9, 10]
    assert {row["rater"] for row in later["results"]}.isdisjoint({row["rater"] for row in rest["results"]})
    assert {row["rater_name"] for row in later["results"]} == {None}
    named = Program(key_for(world, "olga", ["read", "raters:identify"])).get("annotations?after=9").json()
    assert named["results"][0]["rater_name"] == "Gina Roth"


@pytest.mark.django_db
def test_a_revision_is_an_entry_of_its_own(world: World) -> None:
    batch = world.open_batch()
    place = claim_next(by=world.people["gene"], batch=batch).places[0]
    for value in ("defect", "no_defect"):
        submit_annotation(
            by=world.people["gene"], batch=batch, assignment=place.uuid, token=place.claim_token or "",
            answer=Answer(value=value), revises=value == "no_defect",
        )  # fmt: skip
    rows = Program(key_for(world, "mel")).get("annotations").json()["results"]
    assert [(row["number"], row["revision"], row["value"]) for row in rows] == [(1, 1, "defect"), (2, 2, "no_defect")]


@pytest.mark.django_db
def test_projects_have_their_own_view_of_one_numbering(world: World) -> None:
    other = World.build(slug="tablets", with_otto=False)
    ours, theirs = world.open_batch(), other.open_batch()
    world.say(ours, "gene", {"n1": "defect"})
    other.say(theirs, "gene", {"n1": "defect"})
    mine, yours = (Program(key_for(w, "mel")).get("annotations").json()["results"] for w in (world, other))
    assert ([row["number"] for row in mine], [row["number"] for row in yours]) == ([1], [2])
    stranger = Program(key_for(world, "mel")).get(f"annotations?batch={theirs.uuid}")
    assert stranger.status_code == 404


@pytest.mark.django_db
def test_rows_of_an_import_come_when_it_is_done_and_below_later_ones(world: World) -> None:
    batch = world.open_batch()
    run = ImportRun.objects.create(
        project=world.project, kind="labels", source="x", file_sha256="0" * 64, mapping_sha256="1" * 64,
        status=RunStatus.WRITING, by=world.people["mel"],
    )  # fmt: skip
    imported = world.open_batch("Imported")
    world.say(imported, "gene", {"n1": "defect", "n2": "defect"})
    Batch.objects.filter(pk=imported.pk).update(import_run=run)
    world.say(batch, "gene", {"n1": "defect"})
    assert number_annotations() == 1
    for _ in range(3):
        assert number_annotations() == 0
    cursor = FeedCursor.objects.get()
    assert cursor.settled_through < Annotation.objects.filter(assignment__batch=imported).order_by("pk")[0].pk
    ImportRun.objects.filter(pk=run.pk).update(status=RunStatus.DONE)
    assert number_annotations() == 2
    assert list(AnnotationFeed.objects.order_by("number").values_list("number", flat=True)) == [1, 2, 3]


@pytest.mark.django_db
def test_what_is_settled_is_not_looked_through_again(
    world: World, django_assert_num_queries: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # This test's own transaction never ends before it does, so on PostgreSQL nothing would ever be settled.
    monkeypatch.setattr(feed.horizon, "has_passed", lambda marked: True)
    batch = world.open_batch()
    world.say(batch, "gene", ANSWERS)
    number_annotations()
    number_annotations()
    newest = Annotation.objects.order_by("-pk")[0].pk
    assert FeedCursor.objects.get().settled_through == newest
    with django_assert_num_queries(3):
        assert number_new() == 0


@pytest.mark.django_db
def test_many_are_numbered_chunk_by_chunk(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "CHUNK", 2)
    batch = world.open_batch()
    world.say(batch, "gene", ANSWERS)
    assert number_annotations() == 5
    assert list(AnnotationFeed.objects.order_by("number").values_list("number", flat=True)) == [1, 2, 3, 4, 5]


@pytest.mark.django_db
def test_a_reader_has_what_lies_behind_the_highest_numbered_first_and_late_ones_next(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "CHUNK", 2)
    monkeypatch.setattr(feed, "AT_ONCE", 2)
    batch = world.open_batch()
    world.say(batch, "gene", ANSWERS)
    ids = list(Annotation.objects.order_by("pk").values_list("pk", flat=True))
    AnnotationFeed.objects.create(number=1, annotation_id=ids[2], project=world.project)
    FeedCursor.objects.create(pk=1, last_number=1, at=timezone.now())
    told = AnnotationFeed.objects.order_by("number").values_list("annotation_id", flat=True)
    assert number_new() == 2
    assert list(told.all()) == [ids[2], ids[3], ids[4]]
    assert number_new() == 2
    assert list(told.all()) == [ids[2], ids[3], ids[4], ids[0], ids[1]]


@pytest.mark.django_db
def test_only_who_has_read_all_waits_for_new_numbers(world: World) -> None:
    batch = world.open_batch()
    world.say(batch, "gene", ANSWERS)
    mel = Program(key_for(world, "mel"))
    mel.get("annotations")
    world.say(batch, "gina", ANSWERS)
    assert len(mel.get("annotations?limit=4").json()["results"]) == 4
    assert AnnotationFeed.objects.count() == 5, "this page was full without them"
    assert len(mel.get("annotations?limit=5").json()["results"]) == 5
    assert AnnotationFeed.objects.count() == 10, "what comes next was asked for"


# --- two at once: real transactions on PostgreSQL ---------------------------------------------------


def in_thread(act: Any) -> threading.Thread:
    def run() -> None:
        try:
            act()
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor != "postgresql", reason="on SQLite one transaction writes at a time")
@pytest.mark.parametrize("guarded", [True, False])
def test_a_transaction_that_commits_late_is_never_skipped(guarded: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """An annotation is written first and committed last. Without asking for the horizon it would be lost."""
    if not guarded:
        monkeypatch.setattr(feed.horizon, "has_passed", lambda marked: True)
    world = World.build()
    batch = world.open_batch()
    written, go_on = threading.Event(), threading.Event()

    def late() -> None:
        with transaction.atomic():
            place = claim_next(by=world.people["gene"], batch=batch).places[0]
            submit_annotation(
                by=world.people["gene"], batch=batch, assignment=place.uuid, token=place.claim_token or "",
                answer=Answer(value="defect"),
            )  # fmt: skip
            written.set()
            go_on.wait(20)

    thread = in_thread(late)
    assert written.wait(20)
    world.say(batch, "gina", {"n1": "defect", "n2": "defect"})
    for _ in range(4):
        number_annotations()
    go_on.set()
    thread.join(20)
    number_annotations()
    total = Annotation.objects.filter(assignment__batch=batch).count()
    assert AnnotationFeed.objects.count() == (total if guarded else total - 1)


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor != "postgresql", reason="on SQLite one transaction writes at a time")
@pytest.mark.parametrize("guarded", [True, False])
def test_two_writers_at_once_number_each_annotation_once(guarded: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World.build(items=60)
    batch = world.open_batch()
    world.say(batch, "gene", {f"n{number}": "defect" for number in range(1, 61)})
    FeedCursor.objects.create(pk=1, at=timezone.now())
    barrier, errors = threading.Barrier(4), []
    waiting = feed._waiting

    def slowly(behind: int, most: int = 60) -> Any:
        found = waiting(behind, most)
        time.sleep(0.4)  # whoever is not kept out has looked by then
        return found

    monkeypatch.setattr(feed, "_waiting", slowly)

    def write() -> None:
        barrier.wait(20)
        try:
            feed._number_chunk(timezone.now(), unguarded=not guarded)
        except Exception as error:
            errors.append(error)

    for thread in [in_thread(write) for _ in range(4)]:
        thread.join(30)
    numbers = list(AnnotationFeed.objects.order_by("number").values_list("number", flat=True))
    assert numbers == list(range(1, 61))
    assert bool(errors) != guarded, "without holding the cursor the writers trip over each other"
