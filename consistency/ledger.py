"""Do rulings, resolutions and cases still say what was written into them? Run by `verify_ledger` after its own checks."""

from __future__ import annotations

from collections.abc import Iterator

from django.db.models import Count, Exists, F, Max, Min, OuterRef, Q

from labeling.ledger import CHUNK, Problem, against_events, register_check
from labeling.models import Gold
from labeling.vocabulary import GoldOrigin

from .models import Adjudication, Disagreement, Resolution
from .vocabulary import DisagreementStatus

# What a case's status may be after the last Event that speaks of its status.
CASE_AFTER: dict[str, tuple[str, ...]] = {
    "found": (DisagreementStatus.OPEN,),
    "reopened": (DisagreementStatus.OPEN,),
    "held": (DisagreementStatus.HELD,),
    "released": (DisagreementStatus.OPEN, DisagreementStatus.DISCUSSING),
    "lapsed": (DisagreementStatus.OPEN, DisagreementStatus.DISCUSSING),
    "discussed": (DisagreementStatus.DISCUSSING,),
    "ruled": (DisagreementStatus.RULED,),
    "overruled": (DisagreementStatus.RULED,),
    "dismissed": (DisagreementStatus.DISMISSED,),
    "voted": (DisagreementStatus.DISMISSED,),
}


def check_cases() -> Iterator[Problem]:
    """Each case's status is what the last Event about it says."""
    yield from against_events(Disagreement.objects.all(), "disagreement", CASE_AFTER, "case")


def check_resolutions() -> Iterator[Problem]:
    """The resolutions of each item are numbered without a gap, and one that was ruled has its ruling's value."""
    rows = (
        Resolution.objects.order_by()
        .values("batch_item__uuid")
        .annotate(count=Count("pk"), first=Min("revision"), last=Max("revision"))
        .filter(~Q(first=1) | ~Q(last=F("count")))
    )
    for row in rows.iterator(chunk_size=CHUNK):
        what = f"{row['count']} resolutions numbered {row['first']} to {row['last']}: one is missing"
        yield Problem("resolutions", f"item {row['batch_item__uuid']}", what)
    ruled = (
        Resolution.objects.filter(adjudication__isnull=False)
        .order_by("pk")
        .values_list(
            "uuid", "value", "adjudication__value", "batch_item_id", "adjudication__disagreement__batch_item_id"
        )
    )
    for uuid, value, said, item, of_item in ruled.iterator(chunk_size=CHUNK):
        if value != said or item != of_item:
            yield Problem("resolutions", f"resolution {uuid}", "is not what its ruling says")


def check_rulings() -> Iterator[Problem]:
    """The rulings of each case are numbered without a gap; a case is ruled exactly when it has one; none is left out
    of the resolutions, and each with a value has its gold."""
    rows = (
        Adjudication.objects.order_by()
        .values("disagreement__uuid")
        .annotate(count=Count("pk"), first=Min("revision"), last=Max("revision"))
        .filter(~Q(first=1) | ~Q(last=F("count")))
    )
    for row in rows.iterator(chunk_size=CHUNK):
        what = f"{row['count']} rulings numbered {row['first']} to {row['last']}: one is missing"
        yield Problem("rulings", f"case {row['disagreement__uuid']}", what)
    has_one = Exists(Adjudication.objects.filter(disagreement=OuterRef("pk")))
    ruled = DisagreementStatus.RULED
    for uuid in Disagreement.objects.filter(~has_one, status=ruled).values_list("uuid", flat=True).iterator():
        yield Problem("rulings", f"case {uuid}", "ruled, and its ruling is missing")
    for uuid in Disagreement.objects.filter(has_one).exclude(status=ruled).values_list("uuid", flat=True).iterator():
        yield Problem("rulings", f"case {uuid}", "has a ruling, and is not ruled")
    for uuid in Adjudication.objects.filter(resolutions__isnull=True).values_list("uuid", flat=True).iterator():
        yield Problem("rulings", f"ruling {uuid}", "no resolution came of it")
    golds = Gold.objects.filter(adjudication_uuid=OuterRef("uuid"), origin=GoldOrigin.ADJUDICATED)
    without = Adjudication.objects.filter(~Exists(golds), value__isnull=False)
    for uuid in without.values_list("uuid", flat=True).iterator():
        yield Problem("rulings", f"ruling {uuid}", "its gold is missing")


def register() -> None:
    """Called when the app loads."""
    register_check("cases", check_cases)
    register_check("resolutions", check_resolutions)
    register_check("rulings", check_rulings)
