"""Which annotation counts for what.

For resolutions and exports: the highest revision. For agreement, HLP and self-agreement: the highest *blind* revision,
written before the item was discussed or ruled and without model help, of a place that was planned before any answer.
Who is set aside counts for neither; the ledger keeps their answers.
"""

from __future__ import annotations

from collections.abc import Iterable

from django.db.models import Exists, OuterRef, Q, QuerySet

from ..models import Annotation, Batch, Exclusion
from ..vocabulary import PlaceOrigin


def is_set_aside() -> Q:
    """Condition on annotations: their rater or their place is set aside now."""
    active = Exclusion.objects.filter(lifted_at__isnull=True)
    return Q(Exists(active.filter(member=OuterRef("assignment__member")))) | Q(
        Exists(active.filter(assignment=OuterRef("assignment")))
    )


def _within(batches: Iterable[Batch] | QuerySet[Batch]) -> Q:
    if isinstance(batches, QuerySet):
        return Q(assignment__batch__in=batches)
    return Q(assignment__batch_id__in=[batch.pk for batch in batches])


def that_resolve(batches: Iterable[Batch] | QuerySet[Batch]) -> QuerySet[Annotation]:
    """Annotations that count for resolutions and exports: the highest revision of each place, nobody set aside."""
    return latest_within(_within(batches))


def latest_within(which: Q) -> QuerySet[Annotation]:
    """The same for the places that a condition on annotations names."""
    later = Annotation.objects.filter(assignment=OuterRef("assignment"), revision__gt=OuterRef("revision"))
    return Annotation.objects.filter(which).filter(~Exists(later)).exclude(is_set_aside())


def that_measure(batches: Iterable[Batch] | QuerySet[Batch], *, with_set_aside: bool = False) -> QuerySet[Annotation]:
    """Annotations that count for agreement, HLP and self-agreement: the highest blind revision of planned places.

    A replacement stands for the planned place it replaced. `with_set_aside` keeps who is set aside: to count them.
    """
    blind = Q(blind=True, assisted_by="")
    later = Annotation.objects.filter(blind, assignment=OuterRef("assignment"), revision__gt=OuterRef("revision"))
    rows = (
        Annotation.objects.filter(blind)
        .filter(_within(batches))
        .exclude(assignment__origin=PlaceOrigin.EXTRA)
        .filter(~Exists(later))
    )
    return rows if with_set_aside else rows.exclude(is_set_aside())
