"""Logging in, with a pause after too many wrong passwords for one account."""

from __future__ import annotations

import hashlib
from datetime import datetime

from django.conf import settings
from django.contrib.auth import authenticate
from django.core.cache import cache
from django.http import HttpRequest
from django.utils import timezone

from .models import User
from .refusals import BadValue, TooMany

WINDOW_SECONDS = 15 * 60
WRONG = "Name and password do not belong together. Check both; capital letters count."


def _key(account: str, window: int) -> str:
    # Hashed: a cache key may hold neither every character nor a readable list of who logs in.
    return f"login:{window}:{hashlib.sha256(account.strip().casefold().encode()).hexdigest()}"


def take_attempt(account: str, at: datetime | None = None) -> str:
    """Count one attempt at an account's password, before it is checked, so that parallel guesses count too.

    Returns the key to forgive with when the password was right. Raises TooMany after CONCORD_LOGIN_ATTEMPTS attempts
    within a quarter of an hour, for known and unknown accounts alike.
    """
    now = (at or timezone.now()).timestamp()
    window = int(now // WINDOW_SECONDS)
    key = _key(account, window)
    cache.add(key, 0, timeout=WINDOW_SECONDS)
    try:
        count = cache.incr(key)
    except ValueError:  # the key ran out between the two calls: a new window has begun
        cache.set(key, 1, timeout=WINDOW_SECONDS)
        count = 1
    if count > settings.LOGIN_ATTEMPTS:
        wait = int((window + 1) * WINDOW_SECONDS - now) + 1
        raise TooMany(
            "too_many_attempts",
            f"Too many attempts with this name. Please try again in {max(1, -(-wait // 60))} minutes.",
            retry_after=wait,
        )
    return key


def forgive(key: str) -> None:
    """Forget an account's attempts: the password was right."""
    cache.delete(key)


def check_log_in(*, request: HttpRequest | None, username: str, password: str, at: datetime | None = None) -> User:
    """The person with this name and password.

    Raises BadValue with the same words for an unknown name, a wrong password and a closed account (Django's backend
    spends the time of a hash on each), TooMany after too many attempts.
    """
    key = take_attempt(username, at)
    user = authenticate(request, username=username, password=password)
    if not isinstance(user, User):
        raise BadValue("wrong_log_in", WRONG)
    forgive(key)
    return user
