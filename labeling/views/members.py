"""The members of a project: roles, cohorts, caps, costs; invite links; links to set a new password."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from .. import access, exclusions, people
from ..forms.people import InviteForm, MemberForm
from ..models import Invite, Membership
from ..queries.people import count_imported, count_labels, members_of, open_invites
from ..refusals import Refusal
from .decorators import member_page, person
from .forms import posted, show_refusal
from .navigation import project_context
from .panels import panels

PER_PAGE = 50


def _join_url(request: HttpRequest, invite: Invite) -> str:
    return request.build_absolute_uri(reverse("labeling:invite_accept", args=[people.invite_link_part(invite)]))


@member_page
@require_safe
def members(request: HttpRequest, slug: str) -> HttpResponse:
    seat = access.project_for(person(request), slug, "manage_members")
    imported = request.GET.get("imported") == "1"
    page = Paginator(members_of(seat.project, imported=imported), PER_PAGE).get_page(request.GET.get("page"))
    labels = count_labels(list(page))
    context = project_context(
        seat,
        "members",
        page=page,
        people=[{"member": member, "labels": labels.get(member.pk, 0)} for member in page],
        imported=imported,
        imported_count=count_imported(seat.project),
        invites=[
            {"invite": invite, "url": _join_url(request, invite)}
            for invite in open_invites(seat.project, timezone.now())[:PER_PAGE]
        ],
    )
    return render(request, "labeling/members.html", context)


@member_page
@require_http_methods(["GET", "POST"])
def member_edit(request: HttpRequest, slug: str, uuid: UUID) -> HttpResponse:
    seat = access.project_for(person(request), slug, "manage_members")
    member, seat = access.row_for(
        seat.user, Membership.objects.select_related("user").filter(project=seat.project), uuid, "manage_members"
    )
    form = MemberForm(posted(request), initial=_settings(member))
    status = 422 if form.is_bound else 200
    if form.is_valid():
        try:
            people.change_member(by=seat, member=member, **form.cleaned_data)
        except Refusal as refusal:
            show_refusal(form, refusal)
            status = refusal.status
        else:
            messages.success(request, f"Saved: {member.user.name}.")
            if member.pk == seat.membership.pk:
                return redirect("labeling:home")  # who gave up their own role may not see the members any more
            return redirect("labeling:members", slug)
    context = project_context(
        seat, "members", form=form, member=member, aside=exclusions.aside_of(member),
        labels=count_labels([member]).get(member.pk, 0), panels=panels("member", request, seat, member),
    )  # fmt: skip
    return render(request, "labeling/member_edit.html", context, status=status)


@member_page
@require_POST
def member_set_aside(request: HttpRequest, slug: str, uuid: UUID) -> HttpResponse:
    """Leave the member's answers out of figures and resolutions, or (with lift=1) let them count again."""
    seat = access.project_for(person(request), slug, "manage_members")
    member, seat = access.row_for(
        seat.user, Membership.objects.select_related("user").filter(project=seat.project), uuid, "manage_members"
    )
    name = member.imported_id or member.user.name
    try:
        if request.POST.get("lift") == "1":
            found = exclusions.aside_of(member)
            if found is not None:
                exclusions.lift(by=seat, exclusion=found)
            messages.success(request, f"The answers of {name} count again.")
        else:
            reopen = request.POST.get("reopen_places") == "on"
            exclusions.set_aside(by=seat, member=member, reason=request.POST.get("reason", ""), reopen_places=reopen)
            said = f"{name} is set aside. Figures and resolutions follow; no answer is deleted."
            messages.success(request, said)
    except Refusal as refusal:
        messages.warning(request, refusal.message)
    return redirect("labeling:member_edit", slug, uuid)


def _settings(member: Membership) -> dict[str, object]:
    return {
        "role": member.role,
        "cohort": member.cohort or "",
        "daily_cap": member.daily_cap,
        "cost_per_label": member.cost_per_label,
        "active": member.active,
        "seen": people.as_seen(member),
    }


@member_page
@require_POST
def member_reset_link(request: HttpRequest, slug: str, uuid: UUID) -> HttpResponse:
    """Make a link by which the member sets a new password, and show it once."""
    seat = access.project_for(person(request), slug, "manage_members")
    member, seat = access.row_for(
        seat.user, Membership.objects.select_related("user").filter(project=seat.project), uuid, "manage_members"
    )
    try:
        signed = people.make_reset_link(by=seat, member=member)
    except Refusal as refusal:
        messages.error(request, refusal.message)
        return redirect("labeling:member_edit", slug, uuid)
    url = request.build_absolute_uri(reverse("labeling:reset_password", args=[signed]))
    return render(request, "labeling/member_reset_link.html", project_context(seat, "members", member=member, url=url))


@member_page
@require_http_methods(["GET", "POST"])
def invite_create(request: HttpRequest, slug: str) -> HttpResponse:
    seat = access.project_for(person(request), slug, "manage_members")
    form = InviteForm(posted(request))
    status = 422 if form.is_bound else 200
    if form.is_valid():
        try:
            people.invite_member(by=seat, **form.cleaned_data)
        except Refusal as refusal:
            show_refusal(form, refusal)
            status = refusal.status
        else:
            messages.success(request, "The invite link is ready. Copy it below and send it.")
            return redirect("labeling:members", slug)
    return render(request, "labeling/invite_create.html", project_context(seat, "members", form=form), status=status)


@member_page
@require_POST
def invite_revoke(request: HttpRequest, slug: str, uuid: UUID) -> HttpResponse:
    seat = access.project_for(person(request), slug, "manage_members")
    invite, seat = access.row_for(seat.user, Invite.objects.filter(project=seat.project), uuid, "manage_members")
    people.revoke_invite(by=seat, invite=invite)
    messages.success(request, "The link no longer works. Who came in by it stays.")
    return redirect("labeling:members", slug)
