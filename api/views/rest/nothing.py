"""Any other address of version 1: there is nothing, said in the error form."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, JsonResponse
from django.views.decorators.csrf import csrf_exempt


@csrf_exempt
def nothing(request: HttpRequest, rest: str = "") -> JsonResponse:
    data: dict[str, Any] = {"docs": "/api/v1/docs/"}
    return JsonResponse({"code": "not_found", "message": "There is nothing at this address.", "data": data}, status=404)
