"""The OpenAPI document, made from what each endpoint declares, and the page that shows it."""

from __future__ import annotations

import hashlib
import json
import re
from functools import lru_cache
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseNotModified
from django.shortcuts import render
from django.views.decorators.http import require_safe
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, inline_serializer
from rest_framework.serializers import CharField, ListField

from ...serializers.errors import Error
from ...serializers.fields import Output, Text
from .endpoint import KEY_LENGTH, Op
from .receiving import JSON

TITLE, VERSION = "Concord", "1"
RANGE_OUTSIDE = 416
ABOUT = """\
Label, measure agreement, rule on disagreements, export.

**Tokens.** `Authorization: Bearer concord_…`. A token belongs to one member of one project, has scopes, and never may do
more than its member. Its project is implied; people in a browser session say `?project=…` where they are in several.

**Errors** have one form: `{"code", "message", "data"}`. 401 no token · 403 not your right, or not the token's scope ·
404 not there for you · 409 not now: the `code` says why · 422 a wrong value, named in `data` · 429 too often, see
`Retry-After`.

**Lists** are `{"results", "next"}`: follow `next` until it is null. An unknown parameter is refused.

**Idempotency-Key** on any POST: the same request with the same key again gets the first answer and changes nothing.
"""
SHARED = {
    401: "No token, or one that opens nothing (any more).",
    403: "The member has not the right, or the token not the scope (`no_right`, `no_scope`), or the project is set aside (`archived`).",
    406: "Something other than JSON is asked for.",
    429: "Too many requests in this minute; `Retry-After` says when to go on.",
}  # fmt: skip


class TokenScheme(OpenApiAuthenticationExtension):
    target_class = "api.views.rest.auth.TokenAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        return {"type": "http", "scheme": "bearer", "description": "A token made in the browser, under Tokens."}


class SessionScheme(OpenApiAuthenticationExtension):
    target_class = "api.views.rest.auth.BrowserSession"
    name = "session"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        return {"type": "apiKey", "in": "cookie", "name": "sessionid", "description": "A browser session; with X-CSRFToken to change anything."}  # fmt: skip


def _codes(codes: tuple[str, ...]) -> str:
    return ", ".join(f"`{code}`" for code in codes)


class EndpointSchema(AutoSchema):
    """Reads `Op` declarations."""

    @property
    def op(self) -> Op:
        return getattr(self.view, self.method.lower()).op

    def get_operation_id(self) -> str:
        name = re.sub(r"(?<!^)(?=[A-Z])", "_", type(self.view).__name__).lower()
        return f"{name}_{self.method.lower()}"

    def get_tags(self) -> list[str]:
        view: Any = self.view
        return [view.tag]

    def get_summary(self) -> str:
        return self.op.summary

    def get_description(self) -> str:  # type: ignore[override]
        op = self.op
        scope = f"Scope `{op.scope}`{f' or `{op.or_scope}`' if op.or_scope else ''}, right `{op.right}`."
        return f"{op.description}\n\n{scope}" if op.description else scope

    def _map_basic_serializer(self, serializer: Any, direction: Any) -> Any:
        """What comes in says that blank texts and empty lists are refused."""
        made = super()._map_basic_serializer(serializer, direction)
        if isinstance(serializer, Output):
            return made
        for name, field in serializer.fields.items():
            told = made["properties"][name]
            if getattr(field, "allow_empty", True) is False:
                told.setdefault("minItems", 1)
            if isinstance(field, ListField):
                told, field = told["items"], field.child
            if isinstance(field, CharField) and not field.allow_blank:
                told.setdefault("minLength", 1)
        return made

    def get_filter_backends(self) -> list[Any]:
        return []

    def get_request_serializer(self) -> Any:
        return self.op.body

    def _get_request_body(self, direction: Any = "request") -> Any:
        if not self.op.files:
            return super()._get_request_body(direction) if self.op.body is not None else None
        content: dict[str, Any] = {
            kind: {"schema": {"type": "string", "format": "binary"}} for kind in self.op.files if kind != JSON
        }
        if JSON in self.op.files:
            row: dict[str, Any] = {"type": "object", "additionalProperties": True}
            content[JSON] = {"schema": {"type": "array", "items": row, "minItems": 1}}
        return {"content": content, "required": True}

    def get_override_parameters(self) -> list[Any]:
        op = self.op
        found: list[Any] = [op.query] if op.query is not None else []
        if not op.everywhere and "{" not in self.path:
            found.append(
                OpenApiParameter("project", str, description="short name of the project; a token's is implied")
            )
        for name in op.maps:
            found.append(
                OpenApiParameter(
                    name, {"type": "object", "additionalProperties": {"type": "string"}}, style="deepObject", explode=True,
                    description=f"{name}[name]=value, as often as you like",
                )
            )  # fmt: skip
        if RANGE_OUTSIDE in op.also:
            found += [
                OpenApiParameter("Range", str, OpenApiParameter.HEADER, description="bytes=first-last: only this part"),
                OpenApiParameter(
                    "If-Range", str, OpenApiParameter.HEADER, description="only if this is still its ETag"
                ),
            ]
        if self.method == "POST":
            found.append(
                OpenApiParameter(
                    "Idempotency-Key", {"type": "string", "minLength": 1, "maxLength": KEY_LENGTH, "pattern": "^[ -~]+$"},
                    OpenApiParameter.HEADER, description="the same request with the same key again changes nothing",
                )
            )  # fmt: skip
        return found

    def get_response_serializers(self) -> Any:
        op = self.op
        answers: dict[Any, Any] = {}
        body = self._success(op)
        for status, words in {op.status: "", **op.also}.items():
            if body is None or status == RANGE_OUTSIDE:
                answers[status] = OpenApiResponse(description=words)
            else:
                answers[(status, *(op.binary or [JSON]))] = OpenApiResponse(body, description=words)
        if self.method == "GET":
            answers[304] = OpenApiResponse(description="As when it was last asked for (If-None-Match).")
        return {**answers, **{(status, JSON): OpenApiResponse(Error, words) for status, words in self._refusals(op)}}

    def _success(self, op: Op) -> Any:
        if op.binary:
            return {"type": "string", "format": "binary"}
        if op.reply is None or not op.order:
            return op.reply
        name = op.reply.__name__.removesuffix("Out")
        return inline_serializer(
            f"{name}Page", {"results": op.reply(many=True), "next": Text(allow_null=True, help_text="the page that follows")}
        )  # fmt: skip

    def _refusals(self, op: Op) -> list[tuple[int, str]]:
        found = dict(SHARED)
        found[404] = "There is nothing at this address for the caller."
        conflicts = op.conflicts
        found[422] = "A parameter, or a value in the body, is not what it should be."
        if self.method == "POST":
            conflicts = (*conflicts, "in_progress")
            found[400] = "The body cannot be read."
            found[413] = "The body is too large."
            found[415] = "The body has another content type than is taken here."
        if conflicts:
            found[409] = f"Not now: {_codes(conflicts)}."
        return sorted(found.items())


def only_version_1(endpoints: list[Any]) -> list[Any]:
    """Addresses of this version that declare what they do."""
    return [entry for entry in endpoints if hasattr(getattr(entry[3].cls, entry[2].lower(), None), "op")]


def finish(result: dict[str, Any], generator: Any, request: Any, public: bool) -> dict[str, Any]:
    """What stands at the document's head."""
    result["info"] = {"title": TITLE, "version": VERSION, "description": ABOUT}
    return result


@lru_cache(maxsize=1)
def document() -> dict[str, Any]:
    """The whole OpenAPI document. The same for everyone: it holds no data."""
    made: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)
    return made


@lru_cache(maxsize=1)
def _as_json() -> tuple[bytes, str]:
    raw = json.dumps(document(), indent=1).encode()
    return raw, f'"{hashlib.sha256(raw).hexdigest()[:32]}"'


@require_safe
def schema(request: HttpRequest) -> HttpResponse:
    """The OpenAPI document as JSON, for everyone."""
    raw, etag = _as_json()
    if request.headers.get("If-None-Match") == etag:
        return HttpResponseNotModified(headers={"ETag": etag})
    return HttpResponse(raw, content_type="application/json", headers={"ETag": etag, "Cache-Control": "no-cache"})


@require_safe
def docs(request: HttpRequest) -> HttpResponse:
    """The document as a page on which each call can be tried. It fetches nothing from elsewhere."""
    about = [
        {"title": title, "text": " ".join(text.replace("`", "").split())}
        for title, text in re.findall(r"\*\*(.+?)\*\*(.*?)(?=\n\n|\Z)", ABOUT, re.DOTALL)
    ]
    return render(request, "api/docs.html", {"groups": _groups(), "about": about, "bodies": _bodies()})


@lru_cache(maxsize=1)
def _groups() -> list[dict[str, Any]]:
    made = document()
    groups: dict[str, list[dict[str, Any]]] = {}
    for path, methods in made["paths"].items():
        for method, operation in methods.items():
            groups.setdefault(operation["tags"][0], []).append(_shown(made, path, method, operation))
    return [{"name": name, "operations": operations} for name, operations in groups.items()]


def _shown(made: dict[str, Any], path: str, method: str, operation: dict[str, Any]) -> dict[str, Any]:
    """An operation as the page shows it."""
    parameters = [
        {
            "name": entry["name"], "place": entry["in"], "required": entry.get("required", False),
            "kind": _kind(entry["schema"]), "words": entry.get("description", "").replace("`", ""),
        }
        for entry in operation.get("parameters", [])
    ]  # fmt: skip
    content = operation.get("requestBody", {}).get("content", {})
    answers = []
    for status, answer in operation["responses"].items():
        inner = answer.get("content", {}).get(JSON, {}).get("schema", {})
        answers.append(
            {
                "status": status,
                "words": answer.get("description", "").replace("`", ""),
                "body": _kind(inner) if inner else "",
            }
        )
    return {
        "id": operation["operationId"], "path": path, "method": method.upper(), "summary": operation["summary"],
        "words": [line.replace("`", "") for line in operation.get("description", "").split("\n\n") if line],
        "parameters": parameters, "answers": answers,
        "kinds": list(content), "example": json.dumps(_example(made, content[JSON]["schema"]), indent=1) if JSON in content else "",
    }  # fmt: skip


@lru_cache(maxsize=1)
def _bodies() -> list[dict[str, Any]]:
    """Every body that calls take or give, with its fields."""
    return [
        {
            "name": name,
            "words": body.get("description", ""),
            "fields": [
                {"name": field, "kind": _kind(inner) + (" or null" if inner.get("nullable") else ""), "words": inner.get("description", "")}
                for field, inner in body["properties"].items()
            ],
        }
        for name, body in document()["components"]["schemas"].items()
        if body.get("properties")
    ]  # fmt: skip


def _kind(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        return schema["$ref"].rpartition("/")[2]
    if "allOf" in schema:
        return _kind(schema["allOf"][0])
    if "enum" in schema:
        return " | ".join(str(value) for value in schema["enum"])
    if schema.get("type") == "array":
        return f"[{_kind(schema.get('items', {}))}]"
    return str(schema.get("format") or schema.get("type") or "any")


def _example(made: dict[str, Any], schema: dict[str, Any], depth: int = 0) -> Any:
    """A body to start from: required fields, with values of the right kind."""
    if "$ref" in schema:
        return _example(made, made["components"]["schemas"][schema["$ref"].rpartition("/")[2]], depth)
    if "allOf" in schema:
        return _example(made, schema["allOf"][0], depth)
    if "default" in schema:
        return schema["default"]
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema.get("type")
    if kind == "object":
        names = schema.get("properties", {})
        wanted = schema.get("required") or list(names)
        return {name: _example(made, inner, depth + 1) for name, inner in names.items() if name in wanted}
    if kind == "array":
        return [_example(made, schema.get("items", {}), depth + 1)] if depth < 4 else []
    return {"integer": schema.get("minimum", 1), "number": 1.0, "boolean": False}.get(
        str(kind), schema.get("format", "")
    )
