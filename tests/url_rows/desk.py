"""Addresses of the desk."""

from __future__ import annotations

from typing import Any

from labeling.claiming import claim_next
from labeling.models import Batch
from labeling.submission import Answer, submit_annotation
from tests.url_table import Row, by_role
from tests.worlds import World


def the_batch(world: World) -> Batch:
    return Batch.objects.filter(project=world.project).first() or world.open_batch()


def batch(world: World) -> dict[str, Any]:
    return {"uuid": the_batch(world).uuid}


def genes_place(world: World):
    opened = the_batch(world)
    held = claim_next(by=world.people["gene"], batch=opened).places
    return next((place for place in held if place.rank == 0), held[0])


def holding(world: World) -> dict[str, Any]:
    genes_place(world)
    return batch(world)


def held(**more: Any):
    def data(world: World) -> dict[str, Any]:
        place = genes_place(world)
        return {"assignment": str(place.uuid), "token": str(place.claim_token), **more}

    return data


def answered(world: World) -> dict[str, Any]:
    place = genes_place(world)
    submit_annotation(
        by=world.people["gene"], batch=the_batch(world), assignment=place.uuid, token=place.claim_token or "",
        answer=Answer(value="defect"),
    )  # fmt: skip
    return {"uuid": place.uuid}


# Who has no cohort does not label, whatever the role.
RATER = by_role(gene=200, olga=403, sam=403, mel=403)
POSTED = by_role(gene=302, olga=403, sam=403, mel=403)


def calls(status: int) -> dict[str, int]:
    """For programs: 401 instead of the way to the log-in page."""
    return {"anonymous": 401, "otto": 404, "gene": status, "olga": 403, "sam": 403, "mel": 403}


def call(name: str, status: int, data: Any = None) -> Row:
    extra = {"data": data} if data else {}
    return Row(f"desk_{name}", calls(status), kwargs=holding, method="post", json=True, page=False, **extra)


ROWS = [
    Row("desk", RATER, kwargs=batch),
    Row("desk", POSTED, kwargs=holding, method="post", data=held(action="skip")),
    Row("desk", by_role(gene=404, olga=404, sam=404, mel=404), kwargs=lambda world: {"uuid": world.project.uuid}),
    call("claim", 200),
    call("submit", 201, held(value="defect", outcome="labeled")),
    call("submit", 422, held(value="nonsense", outcome="labeled")),
    call("skip", 200, held()),
    call("undo", 409),
    call("shown", 200, held()),
    call("heartbeat", 200),
    call("ask", 201, held(text="Is dust a mark?")),
    Row("my_answers", RATER, kwargs=batch),
    Row("my_answer", by_role(gene=200, olga=403, sam=403, mel=403), kwargs=answered),
    Row(
        "my_answer", POSTED, kwargs=answered, method="post",
        data=lambda world: {"choice": "label:no_defect", "comment": "", "reason": ""},
    ),
]  # fmt: skip
