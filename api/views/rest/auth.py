"""Who calls: a program by its token, or a person in their browser session, who then needs a CSRF token to change anything."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.exceptions import AuthenticationFailed, PermissionDenied
from rest_framework.request import Request

from labeling.models import User

from ... import tokens
from ...models import ApiToken

LONGEST_KEY = 200


class TokenAuthentication(BaseAuthentication):
    """`Authorization: Bearer concord_…`."""

    def authenticate(self, request: Request) -> tuple[User, ApiToken] | None:
        header = request.headers.get("Authorization", "")
        if not header:
            return None
        scheme, _, key = header.partition(" ")
        if scheme.lower() != "bearer":
            raise AuthenticationFailed("Send the token as “Authorization: Bearer …”.", code="bad_token")
        now = timezone.now()
        token = tokens.token_of(key.strip()) if len(key) <= LONGEST_KEY and key.isascii() else None
        if token is None:
            raise AuthenticationFailed("This token is not known here.", code="bad_token")
        if why := tokens.ended_because(token, now):
            raise AuthenticationFailed(why, code="token_ended")
        tokens.note_use(token, now)
        return token.membership.user, token

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="concord"'


class BrowserSession(SessionAuthentication):
    """The session of a person who is logged in; anything but reading needs their CSRF token."""

    def enforce_csrf(self, request: Any) -> None:
        try:
            super().enforce_csrf(request)
        except PermissionDenied:
            raise PermissionDenied(
                "In a browser session, send the CSRF token as X-CSRFToken. Programs use a token of their own.",
                code="csrf",
            ) from None
