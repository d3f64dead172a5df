"""What every endpoint of version 1 has in common.

A method is declared with `@op(...)`: the scope a token needs, the right its member needs, what comes in and goes out.
The checks run in one order for all: who calls (401), how often (429), scope (403), the row (404), the right (403),
the query (422), the body (413, 415, 400, 422), the Idempotency-Key (409, 422), then the act.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.http.response import HttpResponseBase
from django.urls import URLPattern
from django.urls.resolvers import RoutePattern
from django.utils import timezone
from rest_framework.permissions import IsAuthenticated
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer, Serializer
from rest_framework.views import APIView

from labeling import access
from labeling.access import Seat
from labeling.db.compiled import Rows
from labeling.models import Membership, User
from labeling.refusals import BadValue, NotAllowed, NotSeen

from ...idempotency import Answered, answer_once
from ...models import ApiToken
from ...vocabulary import Scope
from . import receiving
from .auth import BrowserSession, TokenAuthentication
from .errors import refuse_fields
from .paging import PageQuery, next_url, page_of
from .parsing import StrictJSONParser
from .throttling import PerCaller

KEY_LENGTH = 128
SEEN_NOTHING = "There is nothing at this address for you."


@dataclass(frozen=True)
class Op:
    """What one method of an endpoint asks for and answers; the OpenAPI document is made from it."""

    scope: Scope
    summary: str
    right: str = "view"
    # A second scope that is as good as the first.
    or_scope: Scope | None = None
    description: str = ""
    reply: type[BaseSerializer] | None = None
    status: int = 200
    # Further statuses of success, with the same body unless `reply_of` says otherwise: {200: "the same answer again"}.
    also: dict[int, str] = field(default_factory=dict)
    body: type[Serializer] | None = None
    query: type[Serializer] | None = None
    # Lists: the keys they are ordered by, "-" for falling; the last one must be unique.
    order: tuple[str, ...] = ()
    # Names of query parameters that take further names in brackets: metadata[camera]=3.
    maps: tuple[str, ...] = ()
    # Codes of the 409 answers.
    conflicts: tuple[str, ...] = ()
    # Content types of a body that is received as a file; `body` is None then.
    files: tuple[str, ...] = ()
    # Content types of an answer that is no JSON.
    binary: tuple[str, ...] = ()
    # A list over everything the caller may see, which belongs to no one project.
    everywhere: bool = False


@dataclass
class Call:
    """One call, as an endpoint's method sees it. `seat` is the caller in the project, `row` what the address names."""

    request: Request
    user: User
    token: ApiToken | None
    at: datetime
    query: dict[str, Any] = field(default_factory=dict)
    body: dict[str, Any] = field(default_factory=dict)
    kwargs: dict[str, Any] = field(default_factory=dict)
    row: Any = None
    file: receiving.Received | None = None
    _seat: Seat | None = None

    @property
    def seat(self) -> Seat:
        assert self._seat is not None, "an endpoint that is `everywhere` has no seat"
        return self._seat

    @property
    def identifies(self) -> bool:
        """Whether raters may be named: the token says so, and its member may know. In a session they never are."""
        return self.token is not None and Scope.IDENTIFY in self.token.scopes and self.seat.holds("identify_raters")

    def url(self, path: str) -> str:
        """The absolute address of a path."""
        return self.request.build_absolute_uri(path)


@dataclass(frozen=True)
class Reply:
    """An answer other than the declared status and body."""

    data: Any
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)


Method = Callable[[Any, Call], Any]


def op(scope: Scope, summary: str, **more: Any) -> Callable[[Method], Callable[..., HttpResponseBase]]:
    """Declare a method of an endpoint; see `Op`."""
    spec = Op(scope=scope, summary=summary, **more)

    def decorate(method: Method) -> Callable[..., HttpResponseBase]:
        @functools.wraps(method)
        def wrapped(self: Endpoint, request: Request, **kwargs: Any) -> HttpResponseBase:
            return self.carry_out(spec, method, request, kwargs)

        wrapped.op = spec  # type: ignore[attr-defined]
        return wrapped

    return decorate


class Endpoint(APIView):
    """An address. `rows` names what a uuid in it is looked up in, `project` the way from such a row to its project."""

    authentication_classes = (TokenAuthentication, BrowserSession)
    permission_classes = (IsAuthenticated,)
    throttle_classes = (PerCaller,)
    parser_classes = (StrictJSONParser,)
    renderer_classes = (JSONRenderer,)
    http_method_names = ["get", "post", "patch", "delete", "head"]

    rows: QuerySet[Any] | None = None
    project = "project"
    # `rows` by uuid and project, compiled once: where a row is looked up with every label.
    compiled: Rows[Any] | None = None
    tag = ""

    def perform_content_negotiation(self, request: Request, force: bool = False) -> Any:
        """Files are sent as what they are, whatever is preferred."""
        spec = getattr(getattr(self, (request.method or "").lower(), None), "op", None)
        return super().perform_content_negotiation(request, force or bool(spec is not None and spec.binary))

    # --- the checks, in their order ---------------------------------------------------------------
    def carry_out(self, spec: Op, method: Method, request: Request, kwargs: dict[str, Any]) -> HttpResponseBase:
        assert isinstance(request.user, User)
        token: Any = request.auth
        call = Call(request, request.user, token, timezone.now(), kwargs=kwargs)
        require_scope(call.token, spec.scope, *([spec.or_scope] if spec.or_scope else []))
        if not spec.everywhere:
            self.locate(call, spec)
        call.query = read_query(spec, request)
        if spec.files:
            call.file = receiving.receive(request, spec.files)
        elif spec.body is not None or request.method == "POST":
            call.body = read_body(spec, request)
        try:
            return self._answer(spec, method, call)
        finally:
            if call.file is not None:
                call.file.close()

    def _answer(self, spec: Op, method: Method, call: Call) -> HttpResponseBase:
        request = call.request
        key = request.headers.get("Idempotency-Key") if request.method == "POST" else None
        if key is None:
            answer = method(self, call)
            if isinstance(answer, HttpResponseBase):
                return answer
            return self._send(call, self._made(spec, call, answer))
        if not 1 <= len(key) <= KEY_LENGTH or not (key.isascii() and key.isprintable()):
            raise BadValue("bad_value", f"Idempotency-Key must be 1 to {KEY_LENGTH} plain characters.", field="Idempotency-Key")  # fmt: skip

        def act() -> Answered:
            made = self._made(spec, call, method(self, call))
            plain = json.loads(JSONRenderer().render(made.body)) if made.body is not None else None
            return Answered(made.status, plain, made.headers)

        digest = request_sha256(call)
        return self._send(
            call, answer_once(member=call.seat.membership, key=key, request_sha256=digest, act=act, at=call.at)
        )

    def _made(self, spec: Op, call: Call, answer: Any) -> Answered:
        reply = answer if isinstance(answer, Reply) else Reply(answer)
        status = reply.status or spec.status
        body = reply.data
        if isinstance(body, Listed):
            assert spec.reply is not None
            body = {
                "results": spec.reply(body.rows, many=True, context={"call": call}).data,
                "next": next_url(call.request, body.after),
            }
        elif spec.reply is not None and body is not None:
            body = spec.reply(body, context={"call": call}).data
        return Answered(status, body, reply.headers)

    def _send(self, call: Call, answer: Answered) -> Response:
        headers = {**answer.headers, **({"Idempotent-Replayed": "true"} if answer.replayed else {})}
        return Response(answer.body, status=answer.status, headers=headers)

    def locate(self, call: Call, spec: Op) -> None:
        """Find the row, or the project, and the caller's seat in it; refuse who may not see it, then who may not do it."""
        if self.rows is not None and "uuid" in call.kwargs:
            call.row, call._seat = row_of(
                call, self.rows.all(), call.kwargs["uuid"], spec.right, self.project, self.compiled
            )
        else:
            slug = call.kwargs.get("slug") or call.request.query_params.get("project", "")
            call._seat = seat_of(call, slug, spec.right)

    # --- lists --------------------------------------------------------------------------------------
    def page(self, call: Call, rows: QuerySet[Any], order: Sequence[str]) -> Listed:
        """A page of `rows` by keyset, in `order`."""
        found, after = page_of(rows, order, call.query.get("after"), call.query["limit"])
        return Listed(found, after)

    def finalize_response(self, request: Any, response: Any, *args: Any, **kwargs: Any) -> Any:
        response = super().finalize_response(request, response, *args, **kwargs)
        if not response.has_header("Cache-Control"):
            response["Cache-Control"] = "no-store" if request.method not in ("GET", "HEAD") else "private, no-cache"
        response.headers.setdefault("X-Content-Type-Options", "nosniff")
        if request.method == "GET" and response.status_code == 200 and isinstance(response, Response):
            _tag(request, response)
        return response


def _tag(request: Any, response: Response) -> None:
    """Give the answer an ETag, and answer 304 where the caller has it already."""
    if response.has_header("ETag"):
        return
    response.render()
    etag = f'W/"{hashlib.sha256(response.content).hexdigest()[:32]}"'
    response["ETag"] = etag
    if etag in [part.strip() for part in request.headers.get("If-None-Match", "").split(",")]:
        response.status_code = 304
        response.content = b""
        response["Content-Length"] = "0"
        del response["Content-Type"]


@dataclass(frozen=True)
class Listed:
    """A page of a list, and the cursor to go on from; None at its end."""

    rows: Sequence[Any]
    after: str | None


def require_scope(token: ApiToken | None, *scopes: Scope) -> None:
    """Raise NotAllowed unless the token has one of the scopes. A browser session may do what its person may."""
    if token is not None and not set(scopes) & set(token.scopes):
        raise NotAllowed("no_scope", f"This token does not have the scope “{scopes[0]}”.", scope=str(scopes[0]))
    if token is not None and token.membership.project.archived_at is not None:
        raise NotAllowed("archived", "This project is set aside. Its tokens rest until its owner brings it back.")


def seat_of(call: Call, slug: str, right: str) -> Seat:
    """The caller's seat in the project named by `slug`; without one, in the token's project or the person's only one."""
    if call.token is not None:
        member = call.token.membership
        if slug and slug != member.project.slug:
            raise NotSeen("not_found", SEEN_NOTHING)
        access.hold_right(member, right)
        return Seat(project=member.project, membership=member)
    if slug:
        return access.project_for(call.user, slug, right)
    seats = list(Membership.objects.select_related("project", "user").filter(user=call.user, active=True)[:2])
    if not seats:
        raise NotSeen("not_found", SEEN_NOTHING)
    if len(seats) > 1:
        raise BadValue("project_missing", "You are in several projects: say which with ?project=…", field="project")
    access.hold_right(seats[0], right)
    return Seat(project=seats[0].project, membership=seats[0])


def row_of(
    call: Call,
    rows: QuerySet[Any],
    uuid: UUID,
    right: str,
    project: str = "project",
    compiled: Rows[Any] | None = None,
) -> tuple[Any, Seat]:
    """A row by uuid and the caller's seat in its project. Raises NotSeen, NotAllowed."""
    if call.token is None:
        return access.row_for(call.user, rows, uuid, right, project=project)
    member = call.token.membership
    if compiled is not None:
        row = compiled.first(uuid=uuid, project=member.project_id)
    else:
        row = rows.filter(**{"uuid": uuid, f"{project}__id" if project else "id": member.project_id}).first()
    if row is None:
        raise NotSeen("not_found", SEEN_NOTHING)
    access.hold_right(member, right)
    return row, Seat(project=member.project, membership=member)


def read_query(spec: Op, request: Request) -> dict[str, Any]:
    """The query's parameters, checked. An unknown one is refused: misspelt, it would silently filter nothing."""
    fields = spec.query().fields if spec.query is not None else {}
    known = [*fields, *([] if spec.everywhere else ["project"])]
    given: dict[str, Any] = {}
    maps: dict[str, dict[str, str]] = {}
    for name in request.query_params:
        head, bracket, rest = name.partition("[")
        values = request.query_params.getlist(name)
        if bracket and rest.endswith("]") and head in spec.maps and len(rest) > 1:
            maps.setdefault(head, {})[rest[:-1]] = values[-1]
            continue
        if name not in known:
            shown = ", ".join([*known, *(f"{head}[…]" for head in spec.maps)])
            raise BadValue("unknown_parameter", f"Unknown parameter {name!r}. Known are: {shown}.", field=name)
        if len(values) > 1:
            raise BadValue("bad_value", f"{name} is given twice.", field=name)
        given[name] = values[0]
    for name, value in [*given.items(), *(pair for inner in maps.values() for pair in inner.items())]:
        if "\x00" in value or "\x00" in name:
            raise BadValue("bad_value", "A parameter holds a NUL character.", field=name.replace("\x00", ""))
    given.pop("project", None)
    if spec.query is None:
        return dict(maps)
    checked = spec.query(data=given)
    if not checked.is_valid():
        raise refuse_fields(checked.errors)
    return {**checked.validated_data, **maps}


def read_body(spec: Op, request: Request) -> dict[str, Any]:
    """The JSON body, checked. Fields that are not known are refused."""
    data = request.data
    if not isinstance(data, dict):
        raise BadValue("bad_value", "The body must be a JSON object.", field="")
    known = spec.body().fields if spec.body is not None else {}
    if unknown := [name for name in data if name not in known]:
        shown = f"Known are: {', '.join(known)}." if known else "The body is empty here."
        raise BadValue("unknown_field", f"Unknown field {unknown[0][:80]!r}. {shown}", field=unknown[0][:80])
    if spec.body is None:
        return {}
    checked = spec.body(data=data)
    if not checked.is_valid():
        raise refuse_fields(checked.errors)
    return dict(checked.validated_data)


def request_sha256(call: Call) -> str:
    """What makes two requests the same: method, address with its query, and body."""
    digest = hashlib.sha256(f"{call.request.method} {call.request.get_full_path()}\n".encode())
    if call.file is not None:
        digest.update(call.file.sha256.encode())
    else:
        digest.update(json.dumps(call.request.data, sort_keys=True).encode())
    return digest.hexdigest()


class _Route(RoutePattern):
    """An address that is also found with a slash at its end; documents name it without."""

    def match(self, path: str) -> Any:
        return super().match(path.removesuffix("/"))


def route(address: str, view: type[APIView], name: str) -> URLPattern:
    """An address of version 1.

    >>> str(route("items/<uuid:uuid>", Endpoint, "rest_item").pattern)
    'api/v1/items/<uuid:uuid>'
    """
    return URLPattern(_Route(f"api/v1/{address}", name=name, is_endpoint=True), view.as_view(), {}, name)


__all__ = ["Call", "Endpoint", "Listed", "Op", "PageQuery", "Reply", "op", "route"]
