"""Tokens: a program's key to one membership. The key is shown once; what is stored is its SHA-256.

A token may do what its scopes say and its member may at that moment, and nothing else: rights are asked anew at every
request, so a role that was taken away, a member who left and an account that was closed end it at once.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from labeling.access import Seat, has_right, refuse_archived
from labeling.db.compiled import Rows, text
from labeling.events import event, record
from labeling.models import Membership
from labeling.refusals import BadValue, NotAllowed, NotSeen, Refusal

from .models import ApiToken
from .vocabulary import Scope

PREFIX = "concord_"
SHOWN = 12  # characters of the key that its owner sees again
MOST_TOKENS = 50  # that work, per member
LONGEST = timedelta(days=3650)
# Written at most this often: a client that labels would otherwise write its token with every answer.
USED_EVERY = timedelta(minutes=1)

# Every request of a program asks this first.
BY_DIGEST = Rows(
    lambda: ApiToken.objects.select_related("membership__project", "membership__user").filter(digest=text("digest"))
)

# scope → rights of which the member must hold one, so that the scope can do anything at all
SCOPE_RIGHTS: dict[str, frozenset[str]] = {
    Scope.READ: frozenset({"view"}),
    Scope.LABEL: frozenset({"label"}),
    Scope.IMPORT: frozenset({"import"}),
    Scope.EXPORT: frozenset({"export"}),
    Scope.ADJUDICATE: frozenset({"adjudicate", "answer_questions"}),
    Scope.MANAGE: frozenset({"manage", "dispatch"}),
    Scope.IDENTIFY: frozenset({"identify_raters"}),
}


def digest_of(key: str) -> str:
    """What is stored of a key. It has 256 random bits, so a plain hash cannot be guessed back."""
    return hashlib.sha256(key.encode()).hexdigest()


def scopes_of(membership: Membership) -> list[str]:
    """The scopes that a token of this member can have, in their fixed order."""
    return [
        str(scope)
        for scope, rights in SCOPE_RIGHTS.items()
        if any(has_right(membership, right) for right in sorted(rights))
    ]


def create_token(
    *, by: Seat, name: str, scopes: Iterable[str], expires_at: datetime | None, at: datetime | None = None
) -> tuple[ApiToken, str]:
    """A token of one's own membership, and its key, which nobody can read again.

    Raises BadValue naming the field, NotAllowed for a scope beyond one's role, `archived` in a project set aside.
    """
    at = at or timezone.now()
    name, wanted = " ".join(name.replace("\x00", "").split()), set(scopes)
    refuse_archived(by.project)
    if not name:
        raise BadValue("empty", "Give the token a name: what it is for, or where it lives.", field="name")
    if len(name) > 80:
        raise BadValue("too_long", "The name is longer than 80 characters.", field="name")
    if not wanted:
        raise BadValue("empty", "Choose at least one thing that the token may do.", field="scopes")
    if unknown := wanted - set(Scope.values):
        raise BadValue("bad_value", f"Unknown scope {sorted(unknown)[0]!r}.", field="scopes")
    if beyond := wanted - set(scopes_of(by.membership)):
        raise NotAllowed("no_right", "A token cannot do more than you may.", scopes=sorted(beyond), field="scopes")
    if expires_at is not None and not at < expires_at <= at + LONGEST:
        raise BadValue("bad_value", "The token must end in the future, within ten years.", field="expires")
    key = PREFIX + secrets.token_urlsafe(32)
    with transaction.atomic():
        # Locked: two forms sent at once cannot pass the limit together.
        Membership.objects.select_for_update(no_key=True).get(pk=by.membership.pk)
        if ApiToken.objects.filter(membership=by.membership, revoked_at__isnull=True).count() >= MOST_TOKENS:
            raise Refusal("too_many_tokens", f"You have {MOST_TOKENS} tokens here. Revoke some you no longer use.")
        token = ApiToken.objects.create(
            membership=by.membership, name=name, prefix=key[:SHOWN], digest=digest_of(key),
            scopes=[str(scope) for scope in Scope if scope in wanted], created_at=at, expires_at=expires_at,
        )  # fmt: skip
        record(event("created", token, by=by.user, at=at, project=by.project, name=name, scopes=token.scopes))
    return token, key


def revoke_token(*, by: Seat, token: ApiToken, at: datetime | None = None) -> ApiToken:
    """End a token: one's own, or as the project's owner anyone's. Saying it twice changes nothing."""
    at = at or timezone.now()
    if token.membership.project_id != by.project.pk:
        raise NotSeen("not_found", "There is no such token here.")
    if token.membership_id != by.membership.pk and not by.holds("manage_members"):
        raise NotAllowed("no_right", "You can revoke your own tokens only.")
    with transaction.atomic():
        if ApiToken.objects.filter(pk=token.pk, revoked_at__isnull=True).update(revoked_at=at):
            token.revoked_at = at
            record(event("revoked", token, by=by.user, at=at, project=by.project, name=token.name))
    return token


def token_of(key: str) -> ApiToken | None:
    """The token of a key, with its member, their account and project; None for a key that is nobody's."""
    digest = digest_of(key)
    token = BY_DIGEST.first(digest=digest) if key.startswith(PREFIX) else None
    return token if token is not None and hmac.compare_digest(token.digest, digest) else None


def ended_because(token: ApiToken, at: datetime) -> str:
    """Why the token no longer opens anything, in words; empty while it does."""
    if token.revoked_at is not None:
        return "This token was revoked."
    if token.expires_at is not None and token.expires_at <= at:
        return "This token has expired. Make a new one."
    if not token.membership.active or not token.membership.user.is_active:
        return "The member this token belongs to is no longer in the project."
    return ""


def note_use(token: ApiToken, at: datetime) -> None:
    """Remember that the token was used, at most once a minute."""
    if token.last_used_at is None or at - token.last_used_at >= USED_EVERY:
        ApiToken.objects.filter(pk=token.pk).update(last_used_at=at)
        token.last_used_at = at
