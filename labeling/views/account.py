"""One's own account, and entering a project by an invite link."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth import login, update_session_auth_hash
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from .. import people
from ..forms.people import AccountForm, ChangePasswordForm, NewAccountForm
from ..queries.home import seats_of
from ..refusals import Refusal
from .auth import safe_next
from .decorators import member_page, person
from .forms import posted, show_refusal


@member_page
@require_http_methods(["GET", "POST"])
def account(request: HttpRequest) -> HttpResponse:
    user = person(request)
    form = AccountForm(
        posted(request),
        initial={"display_name": user.display_name, "single_key_shortcuts": user.single_key_shortcuts},
    )
    if form.is_valid():
        people.rename_self(by=user, display_name=form.cleaned_data["display_name"])
        people.set_shortcuts(by=user, on=form.cleaned_data["single_key_shortcuts"])
        messages.success(request, "Saved.")
        return redirect("labeling:account")
    context = {"form": form, "seats": seats_of(user)}
    return render(request, "labeling/account.html", context, status=422 if form.is_bound else 200)


@member_page
@require_POST
def single_keys(request: HttpRequest) -> HttpResponse:
    people.set_shortcuts(by=person(request), on=request.POST.get("on") == "1")
    return redirect(safe_next(request))


@member_page
@sensitive_post_parameters("current", "password", "again")
@require_http_methods(["GET", "POST"])
def change_password(request: HttpRequest) -> HttpResponse:
    form = ChangePasswordForm(posted(request), user=person(request))
    status = 422 if form.is_bound else 200
    if form.is_valid():
        try:
            user = people.change_password(
                by=person(request), current=form.cleaned_data["current"], password=form.cleaned_data["password"]
            )
        except Refusal as refusal:
            show_refusal(form, refusal)
            status = refusal.status
        else:
            update_session_auth_hash(request, user)
            messages.success(request, "Your password is changed. Other devices are logged out.")
            return redirect("labeling:account")
    return render(request, "labeling/change_password.html", {"form": form}, status=status)


@never_cache
@sensitive_post_parameters("password", "again")
@require_http_methods(["GET", "POST"])
def invite_accept(request: HttpRequest, signed: str) -> HttpResponse:
    """Enter by an invite link: with the account one is logged in with, or with a new one."""
    invite = people.invite_of_link(signed)
    known = request.user.is_authenticated
    form = None if known else NewAccountForm(posted(request))
    status = 422 if form is not None and form.is_bound else 200
    if request.method == "POST" and (form is None or form.is_valid()):
        try:
            member = people.accept_invite(
                signed=signed,
                by=person(request) if known else None,
                account=None if form is None else _account_of(form),
            )
        except Refusal as refusal:
            if refusal.code == "member_already":
                messages.info(request, refusal.message)
                return redirect("labeling:home")
            if form is None or "field" not in refusal.data:
                raise
            show_refusal(form, refusal)
            status = refusal.status
        else:
            if not known:
                login(request, member.user, backend="django.contrib.auth.backends.ModelBackend")
            messages.success(request, f"Welcome to “{member.project}”.")
            return redirect("labeling:home")
    context = {"form": form, "invite": invite, "log_in_url": f"{reverse('labeling:log_in')}?next={request.path}"}
    return render(request, "labeling/invite_accept.html", context, status=status)


def _account_of(form: NewAccountForm) -> people.NewAccount:
    data = form.cleaned_data
    return people.NewAccount(data["username"], data["password"], data["display_name"])
