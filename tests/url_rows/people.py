"""Addresses of people and projects."""

from __future__ import annotations

from typing import Any

from django.utils import timezone

from labeling import people
from labeling.models import Exclusion
from labeling.vocabulary import Cohort, Role
from tests.url_table import Row, by_role, everyone, owner_only, setup_only, slug
from tests.worlds import World


def gene_in_it(world: World) -> dict[str, Any]:
    return {"slug": world.project.slug, "uuid": world.member("gene").uuid}


def _invite(world: World):
    return people.invite_member(by=world.seat("olga"), role=Role.RATER, cohort=Cohort.EXPERT)


def an_invite(world: World) -> dict[str, Any]:
    return {"slug": world.project.slug, "uuid": _invite(world).uuid}


def an_invite_link(world: World) -> dict[str, Any]:
    return {"signed": people.invite_link_part(_invite(world))}


def a_reset_link(world: World) -> dict[str, Any]:
    return {"signed": people.make_reset_link(by=world.seat("olga"), member=world.member("gina"))}


def lift(world: World) -> dict[str, Any]:
    """gene is set aside, and is to count again."""
    Exclusion.objects.get_or_create(
        member=world.member("gene"), lifted_at=None,
        defaults={"reason": "On a break.", "by": world.people["olga"], "at": timezone.now()},
    )  # fmt: skip
    return {"lift": "1"}


ROWS = [
    Row("home", everyone(200, anonymous=302)),
    Row("log_in", everyone(302, anonymous=200)),
    Row("log_in", everyone(302, anonymous=422), method="post"),
    Row("log_out", everyone(302), method="post"),
    Row("account", everyone(200, anonymous=302)),
    Row("account", everyone(302), method="post", data=lambda world: {"display_name": "New Name"}),
    Row("change_password", everyone(200, anonymous=302)),
    Row("change_password", everyone(422, anonymous=302), method="post"),
    Row("single_keys", everyone(302), method="post", data=lambda world: {"on": "0"}),
    Row("reset_password", everyone(200), kwargs=a_reset_link),
    Row("reset_password", everyone(404), kwargs=lambda world: {"signed": "made-up"}),
    Row("reset_password", everyone(422), kwargs=a_reset_link, method="post"),
    Row("invite_accept", everyone(200), kwargs=an_invite_link),
    Row("invite_accept", everyone(404), kwargs=lambda world: {"signed": "made-up"}),
    Row("invite_accept", everyone(302, anonymous=422), kwargs=an_invite_link, method="post"),
    # Projects are founded by staff and by owners: olga and otto own one.
    Row("project_create", by_role(olga=200, otto=200, sam=403, mel=403, gene=403)),
    Row("project_create", by_role(olga=422, otto=422, sam=403, mel=403, gene=403), method="post"),
    Row("project", setup_only(), kwargs=slug),
    Row("project", everyone(404, anonymous=302), kwargs=lambda world: {"slug": "no-such-project"}),
    Row("project_edit", owner_only(), kwargs=slug),
    Row("project_edit", owner_only(422), kwargs=slug, method="post"),
    Row("project_archive", owner_only(302), kwargs=slug, method="post"),
    Row("members", owner_only(), kwargs=slug),
    Row("members", owner_only(), kwargs=slug, query="?imported=1&page=99"),
    Row("member_edit", owner_only(), kwargs=gene_in_it),
    Row("member_edit", owner_only(422), kwargs=gene_in_it, method="post"),
    Row("member_reset_link", owner_only(), kwargs=gene_in_it, method="post"),
    Row("member_set_aside", owner_only(302), kwargs=gene_in_it, method="post"),
    Row(
        "member_set_aside",
        owner_only(302),
        kwargs=gene_in_it,
        method="post",
        query="?back",
        data=lift,
    ),
    Row("invite_create", owner_only(), kwargs=slug),
    Row("invite_create", owner_only(422), kwargs=slug, method="post"),
    Row("invite_revoke", owner_only(302), kwargs=an_invite, method="post"),
]
