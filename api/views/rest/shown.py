"""Rows as the serializers take them: what raters see of an item, what they hold, who said something."""

from __future__ import annotations

from typing import Any

from django.urls import reverse

from labeling.access import Seat
from labeling.claiming import Empty, Hand
from labeling.models import Assignment, Item, Job, Membership, Project
from labeling.pseudonyms import pseudonym
from labeling.views.desk import in_order
from labeling.views.item_html import fields_of

from ...queries.ledger import OwnAnswer
from .endpoint import Call


def file_url(call: Call, item: Item, field: str) -> str:
    return call.url(reverse("api:rest_item_file", args=[item.uuid, field]))


def shown_item(call: Call, item: Item, project: Project) -> dict[str, Any]:
    """An item as a rater may see it: shown payload fields, and nothing that tells what others know of it."""
    payload, media = item.payload or {}, item.media or {}
    values, files = {}, {}
    for field in fields_of(item, project):
        name = field["name"]
        if field.get("kind") == "image":
            if file := media.get(name):
                size = {"width": file.get("width"), "height": file.get("height")}
                files[name] = {"url": file_url(call, item, name), **size}
        else:
            values[name] = payload.get(name)
    return {"uuid": item.uuid, "payload": values, "files": files}


def place(call: Call, held: Assignment, hand: Hand) -> dict[str, Any]:
    """A place in a rater's hand."""
    return {
        "uuid": held.uuid,
        "token": held.claim_token,
        "batch": hand.batch.uuid,
        "guideline": hand.batch.guideline_version.uuid,
        "lease_until": held.lease_until,
        "shown_at": held.shown_at,
        "item": shown_item(call, held.batch_item.item, hand.batch.project),
    }


def places(call: Call, hand: Hand) -> list[dict[str, Any]]:
    """The hand in the order in which it is worked through."""
    return [place(call, held, hand) for held in in_order(hand.places)]


def empty(reason: Empty | None) -> dict[str, Any] | None:
    if reason is None:
        return None
    return {"reason": reason.reason, "title": reason.title, "message": reason.message, "opens_at": reason.opens_at}


def hand(call: Call, held: Hand, *, offer: bool = True) -> dict[str, Any]:
    """{next, empty, hand}; without `offer` nothing was asked for, so there is nothing to say about what is missing."""
    rows = places(call, held)
    return {"next": rows[0] if rows and offer else None, "empty": empty(held.empty) if offer else None, "hand": rows}


def own_answer(call: Call, own: OwnAnswer, project: Project) -> dict[str, Any]:
    said = own.annotation
    return {
        "assignment": own.place.uuid,
        "annotation": said.uuid,
        "item": shown_item(call, own.place.batch_item.item, project),
        "editable": own.editable,
        **{
            name: getattr(said, name)
            for name in (
                "revision", "outcome", "value", "second_value", "borderline", "reason", "comment", "confidence", "at",
            )
        },
    }  # fmt: skip


def rater_name(member: Membership) -> str:
    """A member's own name, or the id under which their labels were imported."""
    return member.imported_id or member.user.name


def rater(member: Membership | None) -> str:
    return pseudonym(member.uuid) if member is not None else ""


def job(call: Call, row: Job) -> dict[str, Any]:
    return {
        **{
            name: getattr(row, name)
            for name in (
                "uuid", "kind", "status", "progress", "result", "error", "attempts", "created_at", "finished_at",
            )
        },
        "url": call.url(reverse("api:rest_job", args=[row.uuid])),
    }  # fmt: skip


def seat_row(seat: Seat | Membership) -> dict[str, Any]:
    """A project with the caller's role in it."""
    project, member = (seat.project, seat.membership) if isinstance(seat, Seat) else (seat.project, seat)
    fields = [
        {
            "name": field["name"], "kind": field.get("kind", "text"), "title": field.get("title") or field["name"],
            "required": bool(field.get("required", True)), "shown": bool(field.get("shown", True)),
        }
        for field in (project.payload_schema or {}).get("fields", [])
    ]  # fmt: skip
    return {
        **{
            name: getattr(project, name)
            for name in (
                "slug",
                "uuid",
                "name",
                "question",
                "task_type",
                "phase",
                "time_zone",
                "simulated",
                "archived_at",
            )
        },
        "payload_fields": fields,
        "role": member.role,
        "cohort": member.cohort,
    }
