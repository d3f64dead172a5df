"""Members: roles, cohorts, caps and costs; the last owner stays; what is in hand goes back."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from labeling import people
from labeling.claiming import claim_next
from labeling.models import Assignment, Event, Membership
from labeling.people import as_seen, change_member
from labeling.refusals import BadValue, NotAllowed, Refusal
from labeling.submission import Answer, submit_annotation
from tests.worlds import World, make_user

pytestmark = pytest.mark.django_db


def change(world: World, name: str, by: str = "olga", **more) -> Membership:
    member = world.member(name)
    values = {
        "role": member.role, "cohort": member.cohort, "daily_cap": member.daily_cap,
        "cost_per_label": member.cost_per_label, "active": member.active,
    }  # fmt: skip
    return change_member(by=world.seat(by), member=member, **{**values, **more})


def test_olga_sets_everything_and_the_event_says_what_changed(world: World) -> None:
    change(world, "gene", cohort="expert", daily_cap=70, cost_per_label=Decimal("0.05"))
    gene = world.member("gene")
    assert (gene.cohort, gene.daily_cap, gene.cost_per_label) == ("expert", 70, Decimal("0.05"))
    assert Event.objects.get(verb="changed").data["changed"] == {
        "cohort": ["generalist", "expert"], "daily_cap": [None, 70], "cost_per_label": [None, "0.05"],
    }  # fmt: skip


def test_saving_without_a_change_writes_nothing(world: World) -> None:
    change(world, "gene", cost_per_label=Decimal("0.10"))
    change(world, "gene")
    assert Event.objects.filter(verb="changed").count() == 1


def test_another_cohort_gives_back_what_is_in_hand_and_keeps_what_was_said(world: World) -> None:
    batch = world.open_batch(quotas={"generalist": 1, "expert": 1})
    gene = world.people["gene"]
    place = claim_next(by=gene, batch=batch).places[0]
    submit_annotation(
        by=gene, batch=batch, assignment=place.uuid, token=place.claim_token, answer=Answer(value="defect")
    )
    change(world, "gene", cohort="expert")
    assert not Assignment.objects.filter(member=world.member("gene"), status="claimed").exists()
    assert Assignment.objects.get(pk=place.pk).cohort == "generalist"
    assert {p.cohort for p in claim_next(by=gene, batch=batch).places} == {"expert"}
    assert Event.objects.filter(verb="changed").latest("pk").data["gave_back"] == 3
    assert len(claim_next(by=world.people["gina"], batch=batch).places) == 4, "the places came back to the queue"


def test_an_ended_membership_gives_back_too_and_closes_every_page(world: World) -> None:
    batch = world.open_batch(quotas={"generalist": 1})
    claim_next(by=world.people["gene"], batch=batch)
    change(world, "gene", active=False)
    assert not Assignment.objects.filter(status="claimed").exists()
    client = Client()
    client.force_login(world.people["gene"])
    assert client.get(reverse("labeling:desk", args=[batch.uuid])).status_code == 404
    assert "You are in no project yet" in client.get(reverse("labeling:home")).content.decode()


@pytest.mark.parametrize("how", [{"role": "sme"}, {"active": False}, {"role": "rater", "cohort": "expert"}])
def test_the_last_active_owner_stays(world: World, how: dict) -> None:
    with pytest.raises(Refusal) as refused:
        change(world, "olga", **how)
    assert refused.value.code == "last_owner"
    assert world.member("olga").role == "owner"


def test_an_owner_who_cannot_log_in_does_not_count(world: World) -> None:
    closed = make_user("carl")
    closed.is_active = False
    closed.save()
    Membership.objects.create(project=world.project, user=closed, role="owner")
    with pytest.raises(Refusal, match="at least one active owner"):
        change(world, "olga", role="sme")
    change(world, "sam", role="owner")
    change(world, "olga", role="sme")
    with pytest.raises(NotAllowed):
        change(world, "gene", daily_cap=1)


def test_without_the_guard_the_last_owner_leaves(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control."""
    monkeypatch.setattr(people, "_leaves_no_owner", lambda *args: False)
    change(world, "olga", role="sme")
    assert not Membership.objects.filter(project=world.project, role="owner").exists()


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"role": "rater", "cohort": None}, "cohort"), ({"role": "king"}, "role"), ({"cohort": "crowd"}, "cohort"),
        ({"daily_cap": 0}, "daily_cap"), ({"cost_per_label": Decimal("-1")}, "cost_per_label"),
        ({"cost_per_label": Decimal(1_000_000)}, "cost_per_label"),
    ],
)  # fmt: skip
def test_a_wrong_setting_names_its_field(world: World, wrong: dict, field: str) -> None:
    with pytest.raises(BadValue) as refused:
        change(world, "gene", **wrong)
    assert refused.value.data["field"] == field


def test_only_the_owner_changes_members(world: World) -> None:
    for name in ("sam", "mel", "gene"):
        with pytest.raises(NotAllowed):
            change(world, "gina", by=name, daily_cap=5)


def test_two_owners_at_once_do_not_overwrite_each_other(world: World) -> None:
    seen = as_seen(world.member("gene"))
    change(world, "gene", daily_cap=10)
    with pytest.raises(Refusal) as refused:
        change(world, "gene", daily_cap=99, seen=seen)
    assert refused.value.code == "changed_meanwhile"
    client = Client()
    client.force_login(world.people["olga"])
    form = {"role": "rater", "cohort": "generalist", "daily_cap": "99", "active": "on", "seen": seen}
    answer = client.post(reverse("labeling:member_edit", args=["phones", world.member("gene").uuid]), form)
    assert answer.status_code == 409
    assert "Someone else changed this member meanwhile" in answer.content.decode()
    assert world.member("gene").daily_cap == 10


def test_the_pages_form_saves(world: World) -> None:
    client = Client()
    client.force_login(world.people["olga"])
    url = reverse("labeling:member_edit", args=["phones", world.member("gene").uuid])
    page = client.get(url)
    seen = page.context["form"]["seen"].value()
    form = {
        "role": "rater",
        "cohort": "expert",
        "daily_cap": "12",
        "cost_per_label": "0.025",
        "active": "on",
        "seen": seen,
    }
    assert client.post(url, form)["Location"] == reverse("labeling:members", args=["phones"])
    gene = world.member("gene")
    assert (gene.cohort, gene.daily_cap, gene.cost_per_label) == ("expert", 12, Decimal("0.025"))
    assert client.post(url, {**form, "cohort": ""}).status_code in (409, 422)


def test_imported_raters_cannot_be_let_in(world: World) -> None:
    user = make_user("imported-7", is_active=False)
    Membership.objects.create(
        project=world.project, user=user, role="rater", cohort="generalist", active=False, imported_id="w7"
    )
    member = Membership.objects.select_related("user").get(user=user)
    with pytest.raises(BadValue, match="came with imported labels"):
        change_member(
            by=world.seat("olga"), member=member, role="rater", cohort="generalist", daily_cap=None,
            cost_per_label=None, active=True,
        )  # fmt: skip
    client = Client()
    client.force_login(world.people["olga"])
    assert "w7" not in client.get(reverse("labeling:members", args=["phones"])).content.decode()
    assert "w7" in client.get(reverse("labeling:members", args=["phones"]) + "?imported=1").content.decode()


@pytest.mark.parametrize("extra", [3, 300])
def test_the_members_page_costs_the_same_queries_for_few_and_many(world: World, extra: int) -> None:
    from labeling.models import User

    users = User.objects.bulk_create(User(username=f"r{number}", password="!") for number in range(extra))
    Membership.objects.bulk_create(
        Membership(project=world.project, user=user, role="rater", cohort="generalist") for user in users
    )
    people.invite_member(by=world.seat("olga"), role="rater", cohort="expert")
    client = Client()
    client.force_login(world.people["olga"])
    with CaptureQueriesContext(connection) as queries:
        page = client.get(reverse("labeling:members", args=["phones"]))
    assert len(queries) <= 10, "\n".join(query["sql"] for query in queries)
    assert len(page.context["people"]) == min(50, 7 + extra)
