"""Logging in and out, and setting a password by a link."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth import login, logout
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render, resolve_url
from django.template.loader import render_to_string
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from .. import people
from ..forms.people import LogInForm, NewPasswordForm
from ..login import check_log_in
from ..refusals import Refusal
from .forms import posted, show_refusal


def safe_next(request: HttpRequest) -> str:
    """Where to go on: `next` when it is a page of ours, else home."""
    target = request.POST.get("next") or request.GET.get("next") or ""
    ours = url_has_allowed_host_and_scheme(target, {request.get_host()}, require_https=request.is_secure())
    return target if ours else resolve_url("labeling:home")


@never_cache
@sensitive_post_parameters("password")
@require_http_methods(["GET", "POST"])
def log_in(request: HttpRequest) -> HttpResponse:
    if request.user.is_authenticated:
        return redirect(safe_next(request))
    form = LogInForm(posted(request))
    status, headers = (422, {}) if form.is_bound else (200, {})
    if form.is_valid():
        try:
            user = check_log_in(request=request, **form.cleaned_data)
        except Refusal as refusal:
            show_refusal(form, refusal)
            status = refusal.status
            headers = {"Retry-After": str(refusal.data["retry_after"])} if "retry_after" in refusal.data else {}
        else:
            login(request, user)
            return redirect(safe_next(request))
    context = {"form": form, "next": safe_next(request)}
    return HttpResponse(render_to_string("labeling/log_in.html", context, request), status=status, headers=headers)


@require_POST
def log_out(request: HttpRequest) -> HttpResponse:
    logout(request)
    messages.info(request, "You are logged out.")
    return redirect("labeling:log_in")


@never_cache
@sensitive_post_parameters("password", "again")
@require_http_methods(["GET", "POST"])
def reset_password(request: HttpRequest, signed: str) -> HttpResponse:
    user = people.user_of_reset_link(signed)
    form = NewPasswordForm(posted(request), user=user)
    if form.is_valid():
        people.reset_password(signed=signed, password=form.cleaned_data["password"])
        logout(request)
        messages.success(request, "The new password is set. Log in with it.")
        return redirect("labeling:log_in")
    context = {"form": form, "person": user}
    return render(request, "labeling/reset_password.html", context, status=422 if form.is_bound else 200)
