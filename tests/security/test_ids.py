"""Ids of somebody else's project open nothing: in addresses, in forms, in JSON, under one's own project's name."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.db import transaction
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from labeling import dispatch, guidelines
from labeling.claiming import acknowledge_version, claim_next
from labeling.models import Annotation, Batch, GuidelineVersion, Item, Membership, Project
from labeling.views import batches as batch_views
from tests.url_table import Row, ask, table
from tests.worlds import World, publish_plainly, run_jobs

pytestmark = pytest.mark.django_db

# Signed links let in whoever holds them: that is what they are for (tests/people).
BY_LINK = {"signed"}


def with_ids() -> list[Row]:
    """Rows whose address names a row of a project."""
    return [row for row in table() if names_of(row.full_name) - BY_LINK]


def names_of(full_name: str) -> set[str]:
    return {name for known, names in converters() if known == full_name for name in names}


def converters(
    resolver: URLResolver | None = None, namespace: str = "", above: frozenset[str] = frozenset()
) -> list[tuple[str, frozenset[str]]]:
    """(full name, names of the parts that vary) of every address of the resolver."""
    found = []
    for entry in (resolver or get_resolver()).url_patterns:
        parts = above | frozenset(entry.pattern.converters)
        if isinstance(entry, URLResolver):
            inner = f"{namespace}{entry.namespace}:" if entry.namespace else namespace
            found += converters(entry, inner, parts)
        elif isinstance(entry, URLPattern):
            found.append((f"{namespace}{entry.name}", parts))
    return found


def test_every_address_with_an_id_is_asked_by_an_outsider() -> None:
    """The table knows each of them (tests/test_url_matrix.py), so the tests below are about all of them."""
    named = {name for name, parts in converters() if parts - BY_LINK}
    assert {row.full_name for row in with_ids()} == named
    assert len(named) > 40


@pytest.mark.parametrize("row", with_ids(), ids=str)
def test_an_outsider_finds_nothing_at_it(world: World, row: Row) -> None:
    """Otto, who owns a project of his own, with ids of this one."""
    url, data = reverse(row.full_name, kwargs=row.kwargs(world)), row.data(world)
    assert ask(world, row, "otto", url, data).status_code == 404


# A label that is gone from the draft: what was written about it is kept on the page, whatever the id was (409).
KEPT = {"labeling:guideline_label-post": 409}


def under_ottos_name(world: World, row: Row) -> int | None:
    """The answer to otto for his own project's slug with the rest of the ids from the other; None without both."""
    with transaction.atomic():
        kwargs = row.kwargs(world)
        if "slug" not in kwargs or len(kwargs) < 2:
            return None
        data = row.data(world)
        url = reverse(row.full_name, kwargs={**kwargs, "slug": f"{world.project.slug}-otto"})
        status: int = ask(world, row, "otto", url, data).status_code
        transaction.set_rollback(True)
    return status


# A project's name and the id of a row in it.
TWO_IDS = [row for row in with_ids() if {"slug", "uuid"} <= names_of(row.full_name)]


@pytest.mark.parametrize("row", TWO_IDS, ids=str)
def test_an_owner_finds_nothing_of_others_under_the_own_name(world: World, row: Row) -> None:
    assert under_ottos_name(world, row) == KEPT.get(str(row), 404)


def test_there_are_addresses_with_two_ids() -> None:
    assert len(TWO_IDS) > 25


def test_control_a_view_that_forgets_the_project_is_seen(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from labeling import access

    def careless(request: Any, slug: str, uuid: Any, right: str) -> Any:
        seat = access.project_for(request.user, slug, right)
        return Batch.objects.select_related("project", "guideline_version").get(uuid=uuid), seat

    monkeypatch.setattr(batch_views, "batch_and_seat", careless)
    rows = [
        row
        for row in TWO_IDS
        if row.namespace == "labeling"
        and row.name.startswith("batch")
        and row.method == "get"
        and row.expect["olga"] == 200
    ]
    assert len(rows) > 4
    assert [str(row) for row in rows if under_ottos_name(world, row) == 404] == []


@pytest.mark.parametrize("row", TWO_IDS, ids=str)
def test_ids_of_another_kind_or_of_nothing_open_nothing(world: World, row: Row) -> None:
    kwargs = row.kwargs(world)
    kinds = {Item: world.items[0].uuid, GuidelineVersion: world.version.uuid, Membership: world.member("gina").uuid}
    others = [other for model, other in kinds.items() if not model.objects.filter(uuid=kwargs["uuid"]).exists()]
    for other in (*others, uuid.uuid4()):
        with transaction.atomic():
            url = reverse(row.full_name, kwargs={**kwargs, "uuid": other})
            assert ask(world, row, "olga", url, {}).status_code in (404, 405, KEPT.get(str(row)))
            transaction.set_rollback(True)


# --- ids in forms, queries and JSON -------------------------------------------------------------------


@pytest.fixture
def other(world: World) -> World:
    """Otto's project, furnished: a version, items, an open batch; gene rates there, too."""
    project = Project.objects.get(slug="phones-otto")
    there = World(project, {"olga": world.people["otto"], "gene": world.people["gene"]}, publish_plainly(project))
    Membership.objects.create(project=project, user=world.people["gene"], role="rater", cohort="generalist")
    there.add_items(3)
    return there


def opened(world: World, name: str = "A batch") -> Batch:
    batch = dispatch.create_batch(
        by=world.seat("olga"), name=name, guideline_version=world.version, quotas={"generalist": 1}
    )
    dispatch.open_batch(by=world.seat("olga"), batch=batch)
    run_jobs()
    acknowledge_version(by=world.people["gene"], batch=batch)
    return Batch.objects.select_related("project", "guideline_version").get(pk=batch.pk)


def client_of(user: Any) -> Client:
    client = Client(raise_request_exception=False)
    client.force_login(user)
    return client


@pytest.mark.parametrize("what", ["submit", "skip", "shown", "ask"])
def test_a_place_of_another_batch_is_no_place_of_this_one(world: World, other: World, what: str) -> None:
    """Gene rates in both projects: even his own place there cannot be answered here, under other definitions."""
    here, there = opened(world), opened(other)
    place = claim_next(by=world.people["gene"], batch=there).places[0]
    body = {
        "assignment": str(place.uuid),
        "token": str(place.claim_token),
        "value": "defect",
        "outcome": "labeled",
        "text": "?",
    }
    reply = client_of(world.people["gene"]).post(
        reverse(f"labeling:desk_{what}", args=[here.uuid]), body, content_type="application/json"
    )
    assert reply.status_code in (404, 409)
    assert not Annotation.objects.exists()
    place.refresh_from_db()
    assert (place.status, place.shown_at) == ("claimed", None)


def test_anothers_place_with_anothers_token_is_not_mine(world: World) -> None:
    batch = opened(world)
    acknowledge_version(by=world.people["gina"], batch=batch)
    place = claim_next(by=world.people["gina"], batch=batch).places[0]
    body = {"assignment": str(place.uuid), "token": str(place.claim_token), "value": "defect", "outcome": "labeled"}
    client = client_of(world.people["gene"])
    for what in ("submit", "skip", "shown", "ask"):
        reply = client.post(
            reverse(f"labeling:desk_{what}", args=[batch.uuid]), {**body, "text": "?"}, content_type="application/json"
        )
        assert reply.status_code == 409, what
    assert not Annotation.objects.exists()


def test_a_batch_under_anothers_definition_cannot_be_made(world: World, other: World) -> None:
    client = client_of(world.people["olga"])
    form = {
        "name": "Borrowed", "version": str(other.version.uuid), "mode": "all", "order": "shuffled",
        "raters_generalist": "1", "act": "draft",
    }  # fmt: skip
    assert client.post("/projects/phones/batches/new/", form).status_code == 422
    assert not Batch.objects.filter(name="Borrowed").exists()


def test_estimates_and_differences_of_anothers_rows_are_not_told(world: World, other: World) -> None:
    client = client_of(world.people["olga"])
    batch = opened(other)
    estimate = "/projects/phones/batches/estimate/?mode=all&order=shuffled&batch="
    assert client.get(f"{estimate}{batch.uuid}").status_code == 404
    differences = reverse("labeling:guideline_diff", args=["phones", world.version.uuid])
    assert client.get(f"{differences}?against={other.version.uuid}").status_code == 404


def test_anothers_item_is_no_example_and_no_picture_here(world: World, other: World) -> None:
    draft = guidelines.start_draft(by=world.seat("olga"))
    label = draft.labels.get(key="defect")
    client = client_of(world.people["olga"])
    url = reverse("labeling:guideline_examples", args=["phones", label.uuid])
    foreign = other.items[0]
    answer = client.post(url, {"polarity": "positive", "item": str(foreign.uuid)})
    assert answer.status_code in (404, 422)
    assert not label.examples.exists()
    found = client.get(f"{url}?search={foreign.external_id}").content.decode()
    assert str(foreign.uuid) not in found


def test_the_list_of_items_shows_those_of_the_project_only(world: World, other: World) -> None:
    page = client_of(world.people["otto"]).get("/projects/phones-otto/items/?search=n").content.decode()
    assert str(other.items[0].uuid) in page
    assert not any(str(item.uuid) in page for item in world.items)
    assert Item.objects.count() == 8
