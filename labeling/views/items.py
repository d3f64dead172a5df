"""A project's items for those who set it up, and the media of one item for every member."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.http import FileResponse, HttpRequest, HttpResponse, HttpResponseNotModified
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from .. import access
from ..formats.images import EXTENSION_OF
from ..models import Item
from ..queries.items import batch_items_of, items_page, metadata_names, tag_names, tags_of
from ..refusals import NotSeen, Refusal
from ..withdrawing import withdraw_item
from .decorators import member_page, person
from .item_html import item_as_shown, one_line, picture_url
from .navigation import project_context

logger = logging.getLogger("concord.media")
PER_PAGE = 50
STORED = re.compile(r"items/[0-9a-f]{2}/[0-9a-f]{64}\.[a-z]{3,4}")
YEAR = 60 * 60 * 24 * 365


def _number(raw: str | None) -> int | None:
    return int(raw) if raw and raw.isascii() and raw.isdigit() and len(raw) < 19 else None


@member_page
@require_safe
def items(request: HttpRequest, slug: str) -> HttpResponse:
    seat = access.project_for(person(request), slug, "see_items")
    names = metadata_names(seat.project)
    asked = {name: request.GET.get(name, "").strip()[:200] for name in ("search", "name", "value", "tag")}
    for name, value in asked.items():
        asked[name] = value.replace("\x00", "")
    filtered = asked["name"] in names and asked["value"] != ""
    page = items_page(
        seat.project, metadata={asked["name"]: asked["value"]} if filtered else {}, tag=asked["tag"], search=asked["search"],
        size=PER_PAGE, after=_number(request.GET.get("after")), before=_number(request.GET.get("before")),
    )  # fmt: skip
    tags = tags_of(page.items)
    rows = [
        {
            "item": item,
            "says": one_line(item, seat.project),
            "picture": picture_url(item, seat.project),
            "tags": tags.get(item.pk, []),
        }
        for item in page.items
    ]
    query = {name: value for name, value in asked.items() if value}
    context = project_context(
        seat, "items", rows=rows, names=names, tags=tag_names(seat.project), asked=asked, is_filtered=bool(query),
        count=page.count, more=page.more_than_counted,
        newer_url="?" + urlencode({**query, "before": page.before}) if page.before else "",
        older_url="?" + urlencode({**query, "after": page.after}) if page.after else "",
    )  # fmt: skip
    return render(request, "labeling/items.html", context)


@member_page
@require_safe
def item(request: HttpRequest, slug: str, uuid: UUID) -> HttpResponse:
    seat = access.project_for(person(request), slug, "see_items")
    row: Item
    rows = Item.objects.visible().select_related("import_run").filter(project=seat.project)
    row, seat = access.row_for(seat.user, rows, uuid, "see_items")
    context = project_context(
        seat, "items", item=row, shown=item_as_shown(row, seat.project), tags=tags_of([row]).get(row.pk, []),
        metadata=sorted(row.metadata.items()), batch_items=batch_items_of(row),
    )  # fmt: skip
    return render(request, "labeling/item.html", context)


@member_page
@require_POST
def item_withdraw(request: HttpRequest, slug: str, uuid: UUID) -> HttpResponse:
    seat = access.project_for(person(request), slug, "manage")
    row, seat = access.row_for(seat.user, Item.objects.visible().filter(project=seat.project), uuid, "manage")
    try:
        withdraw_item(by=seat, item=row, reason=request.POST.get("reason", ""))
        messages.success(
            request, f"{row.external_id} is withdrawn. Nobody labels it any more; new datasets leave it out."
        )
    except Refusal as refusal:
        messages.error(request, refusal.message)
    return redirect("labeling:item", slug, uuid)


@member_page
@require_safe
def item_file(request: HttpRequest, uuid: UUID, field: str) -> HttpResponseBase:
    """The image of an item's payload field, for every member of its project."""
    row: Item
    row, _ = access.row_for(person(request), Item.objects.visible(), uuid, "view")
    return serve_file(request, row, field)


def serve_file(request: HttpRequest, row: Item, field: str) -> HttpResponseBase:
    """The image of a payload field. What is served and as what comes from our own row, never from the address."""
    media: dict[str, Any] = (row.media or {}).get(field) or {}
    relative, kind = str(media.get("file", "")), str(media.get("type", ""))
    if not STORED.fullmatch(relative) or kind not in EXTENSION_OF:
        raise NotSeen("not_found", "This item has no such file.")
    etag = f'"{media["sha256"]}"'
    response: HttpResponseBase
    if request.headers.get("If-None-Match") == etag:
        response = HttpResponseNotModified()
    else:
        try:
            # FileResponse closes the stream.
            stream = (Path(settings.MEDIA_ROOT) / relative).open("rb")
        except OSError:
            logger.exception("media missing", extra={"item": row.pk, "file": relative})
            raise NotSeen("not_found", "The file of this item is missing on the server.") from None
        # The name is the hash's: an external id may say what raters must not know.
        response = FileResponse(stream, content_type=kind, filename=f"{media['sha256'][:16]}.{EXTENSION_OF[kind]}")
    response["ETag"] = etag
    response["Cache-Control"] = f"private, max-age={YEAR}, immutable"
    response["X-Content-Type-Options"] = "nosniff"
    response["Content-Security-Policy"] = "default-src 'none'; sandbox"
    response["Cross-Origin-Resource-Policy"] = "same-origin"
    return response
