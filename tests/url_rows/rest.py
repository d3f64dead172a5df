"""Addresses of REST and of tokens."""

from __future__ import annotations

from typing import Any

from api.models import ApiToken
from api.tokens import create_token
from tests.api.cases import CASES
from tests.url_rows.intake import an_image
from tests.url_table import Row, by_role, everyone, slug
from tests.worlds import World

ANY = by_role(olga=200, sam=200, mel=200, gene=200)


def genes_token(world: World) -> ApiToken:
    return create_token(by=world.seat("gene"), name="Gene's script", scopes=["label"], expires_at=None)[0]


def tokens_there(world: World) -> dict[str, Any]:
    genes_token(world)
    create_token(by=world.seat("olga"), name="Nightly", scopes=["read", "export"], expires_at=None)
    return slug(world)


def a_token(world: World) -> dict[str, Any]:
    return {**slug(world), "uuid": genes_token(world).uuid}


ROWS = [
    *(case.row() for case in CASES),
    Row(
        "rest_item_file", {**by_role(olga=200, sam=200, mel=200, gene=200), "anonymous": 401}, kwargs=an_image, json=True,
        page=False, namespace="api",
    ),
    Row("schema", everyone(200), page=False, namespace="api"),
    Row("docs", everyone(200), namespace="api"),
    *(
        Row(name, everyone(404), kwargs=kwargs, method=method, csrf=False, page=False, namespace="api")
        for name, kwargs in (("rest_nothing", lambda world: {"rest": "elsewhere"}), ("rest_root", lambda world: {}))
        for method in ("get", "post", "put", "delete")
    ),
    Row("tokens", ANY, kwargs=tokens_there, namespace="api"),
    Row("token_create", ANY, kwargs=slug, namespace="api"),
    Row("token_create", by_role(olga=422, sam=422, mel=422, gene=422), kwargs=slug, method="post", namespace="api"),
    Row(
        "token_create", ANY, kwargs=slug, method="post", namespace="api",
        data=lambda world: {"name": "Script", "scopes": ["read"], "expires": "30"},
    ),
    Row("token_revoke", by_role(olga=302, gene=302, sam=403, mel=403), kwargs=a_token, method="post", namespace="api"),
]  # fmt: skip
