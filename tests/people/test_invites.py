"""Invites: a link lands a rater in their cohort, as often as it says, until it is withdrawn or has run out."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from labeling import people
from labeling.claiming import acknowledge_version, claim_next
from labeling.models import Event, Invite, Membership, User
from labeling.people import NewAccount, accept_invite, invite_link_part, invite_member, revoke_invite
from labeling.refusals import BadValue, NotAllowed, NotSeen, Refusal
from tests.worlds import World, make_user

pytestmark = pytest.mark.django_db
GOOD = "long enough words"


def invite(world: World, **more) -> Invite:
    return invite_member(by=world.seat("olga"), **{"role": "rater", "cohort": "expert", **more})


def new(name: str = "nora") -> NewAccount:
    return NewAccount(name, GOOD, "Nora New")


def test_nora_joins_by_link_as_an_expert_and_can_label(world: World) -> None:
    batch = world.open_batch(quotas={"expert": 1})
    row = invite(world)
    client = Client()
    url = reverse("labeling:invite_accept", args=[invite_link_part(row)])
    page = client.get(url).content.decode()
    assert "Phone screens" in page
    assert "Expert" in page
    form = {"username": "nora", "display_name": "Nora New", "password": GOOD, "again": GOOD}
    assert client.post(url, form)["Location"] == reverse("labeling:home")
    member = Membership.objects.get(user__username="nora")
    assert (member.role, member.cohort, member.active) == ("rater", "expert", True)
    home = client.get(reverse("labeling:home"))
    assert "Welcome to “Phone screens”." in home.content.decode()
    assert "First look" in home.content.decode()
    acknowledge_version(by=member.user, batch=batch)
    assert len(claim_next(by=member.user, batch=batch).places) == 4
    assert Event.objects.get(verb="joined").data["invite"] == str(row.uuid)


def test_a_person_with_an_account_joins_with_it(world: World) -> None:
    client = Client()
    client.force_login(world.people["otto"])
    url = reverse("labeling:invite_accept", args=[invite_link_part(invite(world, cohort="target_user"))])
    assert "You join with your account, Otto Other" in client.get(url).content.decode()
    client.post(url)
    assert world.member("otto").cohort == "target_user"
    assert User.objects.filter(username__startswith="otto").count() == 1


def test_a_link_works_as_often_as_it_says(world: World) -> None:
    row = invite(world, uses=2)
    accept_invite(signed=invite_link_part(row), account=new("a1"))
    accept_invite(signed=invite_link_part(row), account=new("a2"))
    with pytest.raises(Refusal, match="used by as many people"):
        accept_invite(signed=invite_link_part(row), account=new("a3"))
    assert not User.objects.filter(username="a3").exists()


def test_a_withdrawn_link_and_one_that_has_run_out_are_closed(world: World) -> None:
    withdrawn, old = invite(world), invite(world, days=1)
    revoke_invite(by=world.seat("olga"), invite=withdrawn)
    with pytest.raises(Refusal, match="withdrawn"):
        accept_invite(signed=invite_link_part(withdrawn), account=new())
    with pytest.raises(Refusal, match="run out"):
        accept_invite(signed=invite_link_part(old), account=new(), at=timezone.now() + timedelta(days=1, minutes=1))
    answer = Client().get(reverse("labeling:invite_accept", args=[invite_link_part(withdrawn)]))
    assert answer.status_code == 409
    assert "Ask the person who sent it" in answer.content.decode()


def test_the_link_is_signed(world: World) -> None:
    row = invite(world)
    for forged in (row.uuid.hex, f"{row.uuid.hex}:", f"{row.uuid.hex}:AAAA", invite_link_part(row)[:-1], ""):
        with pytest.raises(NotSeen):
            accept_invite(signed=forged, account=new())
    with pytest.raises(NotSeen):
        accept_invite(signed=people.signing.Signer(salt="another purpose").sign(row.uuid.hex), account=new())


def test_a_refused_account_takes_no_use(world: World) -> None:
    row = invite(world)
    for name in ("gene", "Gene"):
        with pytest.raises(BadValue) as taken:
            accept_invite(signed=invite_link_part(row), account=new(name))
        assert taken.value.data["field"] == "username"
    with pytest.raises(BadValue):
        accept_invite(signed=invite_link_part(row), account=new("two words"))
    row.refresh_from_db()
    assert row.uses_left == 1
    assert accept_invite(signed=invite_link_part(row), account=new()).user.username == "nora"


def test_the_page_shows_a_taken_name_and_a_weak_password_beside_the_field(world: World) -> None:
    url = reverse("labeling:invite_accept", args=[invite_link_part(invite(world))])
    taken = Client().post(url, {"username": "gene", "password": GOOD, "again": GOOD})
    assert taken.status_code == 422
    assert "The name “gene” is taken" in taken.content.decode()
    for password, again, words in (
        ("short", "short", "too short"),
        (GOOD, "another word", "differ"),
        ("nora.new.x", "nora.new.x", "similar"),
    ):
        weak = Client().post(url, {"username": "nora.new.x", "password": password, "again": again})
        assert weak.status_code == 422
        assert words in weak.content.decode()
    assert Invite.objects.get().uses_left == 1


def test_who_is_in_already_stays_as_they_are_and_takes_no_use(world: World) -> None:
    row = invite(world, role="owner", cohort=None)
    with pytest.raises(Refusal) as already:
        accept_invite(signed=invite_link_part(row), by=world.people["gene"])
    assert already.value.code == "member_already"
    assert world.member("gene").role == "rater"
    row.refresh_from_db()
    assert row.uses_left == 1


def test_an_old_link_does_not_undo_an_ended_membership(world: World) -> None:
    row = invite(world, uses=5)
    Membership.objects.filter(user=world.people["gene"], project=world.project).update(active=False)
    with pytest.raises(Refusal) as ended:
        accept_invite(signed=invite_link_part(row), by=world.people["gene"])
    assert ended.value.code == "membership_ended"


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"cohort": None}, "cohort"), ({"cohort": "experts"}, "cohort"), ({"role": "boss"}, "role"),
        ({"uses": 0}, "uses"), ({"uses": 501}, "uses"), ({"days": 0}, "days"), ({"days": 91}, "days"),
    ],
)  # fmt: skip
def test_a_wrong_invite_names_its_field(world: World, wrong: dict, field: str) -> None:
    with pytest.raises(BadValue) as refused:
        invite(world, **wrong)
    assert refused.value.data["field"] == field
    assert not Invite.objects.exists()


def test_only_the_owner_invites_and_withdraws(world: World) -> None:
    row = invite(world)
    for name in ("sam", "mel", "gene"):
        with pytest.raises(NotAllowed):
            invite_member(by=world.seat(name), role="rater", cohort="expert")
        with pytest.raises(NotAllowed):
            revoke_invite(by=world.seat(name), invite=row)


def test_an_owner_cannot_withdraw_another_projects_invite(world: World) -> None:
    other = World.build(slug="notes", with_otto=False)
    stranger = make_user("rita")
    Membership.objects.create(project=other.project, user=stranger, role="owner")
    row = invite(world)
    client = Client()
    client.force_login(stranger)
    assert client.post(reverse("labeling:invite_revoke", args=["notes", row.uuid])).status_code == 404
    row.refresh_from_db()
    assert row.revoked_at is None
