"""The yardstick: a bare Django view behind the same middleware, session, log-in and CSRF check as the desk."""

from __future__ import annotations

import json
from uuid import UUID

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import include, path
from django.utils import timezone

from labeling.models import Event, Item


def bare(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """One SELECT and one INSERT for a person who is logged in; a small JSON object in, one out."""
    if not request.user.is_authenticated:
        return JsonResponse({"code": "log_in"}, status=401)
    body = json.loads(request.body)
    item = Item.objects.get(uuid=uuid)
    entry = Event.objects.create(
        actor_id=request.user.pk, verb="bare", subject_type="item", subject_id=item.pk, data=body, at=timezone.now()
    )
    return JsonResponse({"entry": entry.pk, "item": item.payload}, status=201)


urlpatterns = [path("bare/<uuid:uuid>", bare), path("", include("config.urls"))]
