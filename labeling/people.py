"""People in projects: invites, members, passwords, preferences."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.contrib.auth.tokens import PasswordResetTokenGenerator
from django.core import signing
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone

from . import transitions
from .access import Seat, refuse_archived, require
from .claiming import GIVEN_BACK
from .events import event, record
from .hashing import sha256_json
from .login import forgive, take_attempt
from .models import Assignment, Invite, Membership, Project, User
from .queries.people import count_active_owners, opens_more_than
from .refusals import BadValue, NotSeen, Refusal
from .settling import watch_settling
from .vocabulary import BatchStatus, Cohort, PlaceStatus, Role

INVITE_SALT = "concord.invite"
RESET_SALT = "concord.reset"
MOST_USES, MOST_DAYS = 500, 90


class _ResetTokens(PasswordResetTokenGenerator):
    """Single use: the token holds the old password's hash and the last log-in, and dies with either."""

    key_salt = "concord.reset.token"


reset_tokens = _ResetTokens()


@dataclass(frozen=True)
class NewAccount:
    """What a person gives to get an account."""

    username: str
    password: str
    display_name: str = ""


# --- invites --------------------------------------------------------------------------------------
def clean_role_and_cohort(role: str, cohort: str | None) -> tuple[str, str | None]:
    """The pair, or BadValue naming the field: a rater has a cohort, other roles may have one."""
    cohort = cohort or None
    if role not in Role.values:
        raise BadValue("bad_value", f"Unknown role {role!r}. Use {', '.join(Role.values)}.", field="role")
    if cohort is not None and cohort not in Cohort.values:
        raise BadValue("bad_value", f"Unknown cohort {cohort!r}. Use {', '.join(Cohort.values)}.", field="cohort")
    if role == Role.RATER and cohort is None:
        raise BadValue("cohort_missing", "A rater needs a cohort: labels are compared within cohorts.", field="cohort")
    return role, cohort


def invite_member(
    *, by: Seat, role: str, cohort: str | None = None, uses: int = 1, days: int = 14, at: datetime | None = None
) -> Invite:
    """A way into the project for `uses` people within `days`; its link is `invite_link_part`.

    Raises NotAllowed, or BadValue naming the field.
    """
    at = at or timezone.now()
    require(by.membership, "manage_members")
    role, cohort = clean_role_and_cohort(role, cohort)
    if not 1 <= uses <= MOST_USES:
        raise BadValue("bad_value", f"One link lets in 1 to {MOST_USES} people.", field="uses")
    if not 1 <= days <= MOST_DAYS:
        raise BadValue("bad_value", f"A link stays open for 1 to {MOST_DAYS} days.", field="days")
    with transaction.atomic():
        invite = Invite.objects.create(
            project=by.project,
            role=role,
            cohort=cohort,
            uses_left=uses,
            expires_at=at + timedelta(days=days),
            by=by.user,
        )
        record(event("invited", invite, by=by.user, at=at, project=by.project, role=role, cohort=cohort, uses=uses))
    return invite


def revoke_invite(*, by: Seat, invite: Invite, at: datetime | None = None) -> Invite:
    """Close the link. Who came in by it stays. Revoking twice changes nothing."""
    at = at or timezone.now()
    require(by.membership, "manage_members")
    with transaction.atomic():
        if Invite.objects.filter(pk=invite.pk, project=by.project, revoked_at__isnull=True).update(revoked_at=at):
            invite.revoked_at = at
            record(event("revoked", invite, by=by.user, at=at, project=by.project))
    return invite


def invite_link_part(invite: Invite) -> str:
    """The signed name of the invite for its link: who guesses uuids still cannot come in."""
    return signing.Signer(salt=INVITE_SALT).sign(invite.uuid.hex)


def invite_of_link(signed: str, at: datetime | None = None) -> Invite:
    """The invite behind a link. Raises NotSeen for a link we did not write, Refusal when it no longer lets anyone in."""
    try:
        name = signing.Signer(salt=INVITE_SALT).unsign(signed)
    except signing.BadSignature:
        raise NotSeen("not_found", "This invite link is not complete. Copy it again, all of it.") from None
    invite = Invite.objects.select_related("project").filter(uuid=name).first()
    if invite is None:
        raise NotSeen("not_found", "This invite link is not known here.")
    refuse_archived(invite.project)
    if closed := _why_closed(invite, at or timezone.now()):
        raise Refusal("invite_closed", f"{closed} Ask the person who sent it for a new one.")
    return invite


def _why_closed(invite: Invite, at: datetime) -> str:
    if invite.revoked_at is not None:
        return "This invite link was withdrawn."
    if invite.expires_at <= at:
        return "This invite link has run out."
    if invite.uses_left < 1:
        return "This invite link has been used by as many people as it was made for."
    return ""


def accept_invite(
    *, signed: str, by: User | None = None, account: NewAccount | None = None, at: datetime | None = None
) -> Membership:
    """Enter the project by an invite link, as the logged-in person `by` or with a new account.

    Returns the membership with its project and user. One use is taken, together with the entry or not at all.
    Raises NotSeen or Refusal for the link, `member_already`, `membership_ended`, and BadValue for the account.
    """
    at = at or timezone.now()
    invite = invite_of_link(signed, at)
    with transaction.atomic():
        # Compare-and-set: it locks the row, so of two people on the last use one comes in and the other reads why not.
        if not _take_use(invite, at):
            invite.refresh_from_db()
            raise Refusal("invite_closed", f"{_why_closed(invite, at)} Ask the person who sent it for a new one.")
        user = by if by is not None else _create_account(account)
        member = _enter(invite, user)
        record(
            event(
                "joined", member, by=user, at=at, project=invite.project, invite=str(invite.uuid), role=invite.role,
                cohort=invite.cohort,
            )
        )  # fmt: skip
    return member


def _take_use(invite: Invite, at: datetime) -> bool:
    usable = Invite.objects.filter(pk=invite.pk, uses_left__gt=0, revoked_at__isnull=True, expires_at__gt=at)
    return bool(usable.update(uses_left=F("uses_left") - 1))


def _create_account(account: NewAccount | None) -> User:
    if account is None:
        raise BadValue("account_missing", "Give a name and a password for the new account.")
    user = User(username=account.username, display_name=account.display_name.strip())
    user.set_password(account.password)
    try:
        user.full_clean(exclude=["password"], validate_unique=False)
    except ValidationError as error:
        name, problems = next(iter(error.message_dict.items()))
        raise BadValue("bad_value", problems[0], field=name) from None
    taken = BadValue("taken", f"The name “{user.username}” is taken. Choose another.", field="username")
    # Names that differ in capitals only would be mistaken for each other.
    if User.objects.filter(username__iexact=user.username).exists():
        raise taken
    try:
        with transaction.atomic():
            user.save(force_insert=True)
    except IntegrityError:
        raise taken from None
    return user


def _enter(invite: Invite, user: User) -> Membership:
    try:
        with transaction.atomic():
            return Membership.objects.create(project=invite.project, user=user, role=invite.role, cohort=invite.cohort)
    except IntegrityError:
        member = Membership.objects.get(project=invite.project, user=user)
        if member.active:
            raise Refusal(
                "member_already", f"You are in “{invite.project}” already.", project=invite.project.slug
            ) from None
        raise Refusal(
            "membership_ended",
            f"Your part in “{invite.project}” was ended by its owner, who can open it again on the members page.",
        ) from None


def create_founder(*, account: NewAccount, at: datetime | None = None) -> User:
    """An account that may found projects: the first one of a server. Raises BadValue naming the field."""
    with transaction.atomic():
        user = _create_account(account)
        User.objects.filter(pk=user.pk).update(is_staff=True)
        user.is_staff = True
        record(event("created", user, by=None, at=at or timezone.now(), founder=True))
    return user


# --- members --------------------------------------------------------------------------------------
def as_seen(member: Membership) -> str:
    """A short mark of the member's settings as a page showed them; see `change_member`."""
    cost = None if member.cost_per_label is None else f"{member.cost_per_label.normalize():f}"
    return sha256_json([member.role, member.cohort, member.daily_cap, cost, member.active])[:16]


def change_member(
    *,
    by: Seat,
    member: Membership,
    role: str,
    cohort: str | None,
    daily_cap: int | None,
    cost_per_label: Decimal | None,
    active: bool,
    seen: str = "",
    at: datetime | None = None,
) -> Membership:
    """Set a member's role, cohort, daily cap, cost and whether they may enter.

    Places in hand go back to the queue when the cohort changes or the membership ends; labels given stay as they are.
    Raises NotAllowed; BadValue naming the field; `last_owner`; `changed_meanwhile` when `seen` (from `as_seen`) is no
    longer how the member stands.
    """
    at = at or timezone.now()
    require(by.membership, "manage_members")
    role, cohort = clean_role_and_cohort(role, cohort)
    if daily_cap is not None and daily_cap < 1:
        raise BadValue("bad_value", "A daily cap is 1 or more; leave it empty for none.", field="daily_cap")
    if cost_per_label is not None and not 0 <= cost_per_label < 1_000_000:
        raise BadValue("bad_value", "A cost is 0 or more, and below a million.", field="cost_per_label")
    with transaction.atomic():
        _take_turn(by.project)
        # The actor may have lost the right while this waited for its turn.
        require(Membership.objects.select_related("project").get(pk=by.membership.pk), "manage_members")
        member = (
            Membership.objects.select_for_update(of=("self",), no_key=True)
            .select_related("user", "project")
            .get(pk=member.pk, project=by.project)
        )
        if seen and seen != as_seen(member):
            raise Refusal("changed_meanwhile", "Someone else changed this member meanwhile. Look again, then save.")
        if member.imported_id and (active or role != Role.RATER):
            raise BadValue(
                "imported", "This rater came with imported labels and has no account to enter with.", field="active"
            )
        if _leaves_no_owner(member, role, active):
            raise Refusal("last_owner", "A project keeps at least one active owner. Make someone else owner first.")
        before = _settings_of(member)
        gives_back = cohort != member.cohort or (member.active and not active)
        member.role, member.cohort, member.daily_cap = role, cohort, daily_cap
        member.cost_per_label, member.active = cost_per_label, active
        changed = {name: [before[name], value] for name, value in _settings_of(member).items() if before[name] != value}
        if changed:
            member.save(update_fields=list(changed))
            gave_back = _give_back_all(member, by.user, at) if gives_back else 0
            record(
                event("changed", member, by=by.user, at=at, project=by.project, changed=changed, gave_back=gave_back)
            )
    return member


def _take_turn(project: Project) -> None:
    """All changes of a project's members take turns: two owners who leave at once must not both be let go."""
    Project.objects.select_for_update(no_key=True).get(pk=project.pk)


def _settings_of(member: Membership) -> dict[str, Any]:
    cost = None if member.cost_per_label is None else f"{member.cost_per_label.normalize():f}"
    return {
        "role": str(member.role),
        "cohort": None if member.cohort is None else str(member.cohort),
        "daily_cap": member.daily_cap,
        "cost_per_label": cost,
        "active": member.active,
    }


def _leaves_no_owner(member: Membership, role: str, active: bool) -> bool:
    """Whether the change takes away the project's last owner who can act."""
    was_owner = member.role == Role.OWNER and member.active
    stays_owner = role == Role.OWNER and active
    return was_owner and not stays_owner and count_active_owners(member.project, without=member) == 0


def _give_back_all(member: Membership, by: User, at: datetime) -> int:
    """Give back every place in the member's hands, in the order their own requests lock them; returns how many."""
    held = Assignment.objects.filter(member=member, status=PlaceStatus.CLAIMED)
    count = 0
    for place in held.select_related("batch").order_by("batch_id", "slot"):
        closed = place.batch.status == BatchStatus.CLOSED
        if transitions.move(place, PlaceStatus.VOID if closed else PlaceStatus.OPEN, **GIVEN_BACK):
            record(event("released", place, by=by, at=at, project_id=member.project_id, implicit=True))
            count += 1
            if closed:
                watch_settling(place.batch_item_id, place.cohort)
    return count


# --- passwords ------------------------------------------------------------------------------------
def make_reset_link(*, by: Seat, member: Membership, at: datetime | None = None) -> str:
    """The signed part of a link by which the member sets a new password: once, within three days.

    Only for accounts that open nothing beyond what `by` owns, asked again when the link is used: else an owner could
    walk into someone else's project. Others ask the operator (`manage.py changepassword`).
    """
    at = at or timezone.now()
    require(by.membership, "manage_members")
    user = member.user
    if member.project_id != by.project.pk or member.imported_id or not user.is_active:
        raise Refusal("no_account", "This member has no account to log in with.")
    if user.pk == by.user.pk:
        raise Refusal("own_account", "Change your own password under your name at the top right.")
    if opens_more_than(user, by.user):
        raise Refusal(
            "account_opens_more",
            "This account opens more than your projects, so its password is not yours to set. "
            "The person can ask whoever runs this server.",
        )
    with transaction.atomic():
        record(event("made_reset_link", member, by=by.user, at=at, project=by.project))
    return signing.dumps([user.pk, by.user.pk, reset_tokens.make_token(user)], salt=RESET_SALT)


def user_of_reset_link(signed: str, *, lock: bool = False) -> User:
    """The account a reset link is for. Raises NotSeen when it is not ours, used, too old or no longer permitted."""
    gone = NotSeen("reset_closed", "This link has been used or has run out. Ask the project's owner for a new one.")
    try:
        user_id, maker_id, token = signing.loads(signed, salt=RESET_SALT)
    except (signing.BadSignature, ValueError):
        raise gone from None
    people = User.objects.select_for_update(no_key=True) if lock else User.objects.all()
    user = people.filter(pk=user_id, is_active=True).first()
    maker = User.objects.filter(pk=maker_id, is_active=True).first()
    if user is None or maker is None or not reset_tokens.check_token(user, token) or opens_more_than(user, maker):
        raise gone
    return user


def reset_password(*, signed: str, password: str, at: datetime | None = None) -> User:
    """Set the password by a reset link, which works no more after that; every session of the account ends."""
    with transaction.atomic():
        user = user_of_reset_link(signed, lock=True)
        user.set_password(password)
        user.save(update_fields=["password"])
        record(event("reset_password", user, by=user, at=at or timezone.now()))
    return user


def change_password(*, by: User, current: str, password: str, at: datetime | None = None) -> User:
    """Set one's own password. Raises BadValue when the current one is wrong, TooMany after too many tries."""
    at = at or timezone.now()
    key = take_attempt(by.username, at)
    if not by.check_password(current):
        raise BadValue("wrong_password", "This is not your current password.", field="current")
    forgive(key)
    with transaction.atomic():
        by.set_password(password)
        by.save(update_fields=["password"])
        record(event("changed_password", by, by=by, at=at))
    return by


# --- preferences ----------------------------------------------------------------------------------
def set_shortcuts(*, by: User, on: bool) -> User:
    """Turn single-key shortcuts on or off for oneself."""
    by.single_key_shortcuts = on
    by.save(update_fields=["single_key_shortcuts"])
    return by


def rename_self(*, by: User, display_name: str) -> User:
    """Set the name that the project's owner and oneself see."""
    by.display_name = display_name.strip()
    by.save(update_fields=["display_name"])
    return by
