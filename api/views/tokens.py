"""Tokens in the browser: made, shown once, listed with their last use, revoked."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from labeling import access
from labeling.refusals import Refusal
from labeling.views.decorators import member_page, person
from labeling.views.forms import posted, show_refusal
from labeling.views.navigation import project_context

from .. import tokens as acts
from ..forms.tokens import TokenForm
from ..models import ApiToken
from ..queries.tokens import tokens_for
from ..vocabulary import Scope

PER_PAGE = 50


@member_page
@require_safe
def tokens(request: HttpRequest, slug: str) -> HttpResponse:
    seat = access.project_for(person(request), slug)
    page = Paginator(tokens_for(seat), PER_PAGE).get_page(request.GET.get("page"))
    now = timezone.now()
    rows = [
        {
            "token": token,
            "mine": token.membership_id == seat.membership.pk,
            "owner": token.membership.user.name,
            "scopes": [Scope(scope).label for scope in token.scopes],
            "ended": acts.ended_because(token, now),
        }
        for token in page
    ]
    context = project_context(seat, "api:tokens", page=page, rows=rows, everyone=seat.holds("manage_members"))
    return render(request, "api/tokens.html", context)


@member_page
@require_http_methods(["GET", "POST"])
def token_create(request: HttpRequest, slug: str) -> HttpResponse:
    """The form of a new token. The key stands in the answer to the POST and nowhere else."""
    seat = access.project_for(person(request), slug)
    form = TokenForm(posted(request), offered=acts.scopes_of(seat.membership))
    status = 422 if form.is_bound else 200
    if form.is_valid():
        now = timezone.now()
        try:
            token, key = acts.create_token(
                by=seat, name=form.cleaned_data["name"], scopes=form.cleaned_data["scopes"],
                expires_at=form.expires_at(now), at=now,
            )  # fmt: skip
        except Refusal as refusal:
            show_refusal(form, refusal)
            status = refusal.status
        else:
            context = project_context(seat, "api:tokens", token=token, key=key)
            response = render(request, "api/token_shown.html", context)
            response["Cache-Control"] = "no-store"
            return response
    return render(request, "api/token_create.html", project_context(seat, "api:tokens", form=form), status=status)


@member_page
@require_POST
def token_revoke(request: HttpRequest, slug: str, uuid: UUID) -> HttpResponse:
    seat = access.project_for(person(request), slug)
    rows = ApiToken.objects.select_related("membership__user").filter(membership__project=seat.project)
    token: ApiToken
    token, seat = access.row_for(seat.user, rows, uuid, "view", project="membership__project")
    acts.revoke_token(by=seat, token=token)
    messages.success(request, f"“{token.name}” no longer opens anything.")
    return redirect("api:tokens", slug)
