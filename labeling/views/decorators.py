"""What stands before a page: a person who is logged in. Calls by programs: see `json_calls`."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponseBase
from django.utils.cache import add_never_cache_headers

from ..models import User
from .errors import wants_json
from .json_calls import refuse_json

View = Callable[..., HttpResponseBase]


def member_page(view: View) -> View:
    """For people who are logged in: others go to the log-in page and come back; programs get 401 `log_in`.

    Answers are not kept by browsers unless the view says so: on a shared computer nobody reads on after a log-out.
    """

    @wraps(view)
    def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if request.user.is_authenticated:
            response = view(request, *args, **kwargs)
            if not response.has_header("Cache-Control"):
                add_never_cache_headers(response)
            return response
        if wants_json(request):
            return refuse_json(401, "log_in", "Please log in again.")
        # The address of a POST is often no page to come back to by GET.
        return redirect_to_login(request.get_full_path() if request.method in ("GET", "HEAD") else "/")

    return wrapped


def person(request: HttpRequest) -> User:
    """Who is logged in, behind `member_page`."""
    assert isinstance(request.user, User)
    return request.user
