"""From a published version to the batch that shows whether it helped: which items are labeled again, by whom."""

from __future__ import annotations

import random
import secrets
from dataclasses import dataclass
from datetime import datetime

from labeling import relabeling
from labeling.access import Seat, hold_right
from labeling.models import Batch, GuidelineVersion
from labeling.project_settings import delta_min
from labeling.refusals import BadValue, Refusal
from labeling.relabeling import RelabelItems

from .queries.ratings import read_ratings
from .queries.relabels import Offer, fresh_items, offer_for
from .statistics.agreement import coefficient
from .statistics.estimate import Estimate
from .statistics.relabel_size import fresh_items_needed, paired_items_needed

# Up to here everything is labeled again: small data is looked at whole.
SMALL = 500
MOST_AFFECTED, USUAL_CONTROL = 2000, 100


@dataclass(frozen=True)
class Sizes:
    """How many items of each kind a relabel batch gets. `whole`: all of the earlier batch, which then needs no others."""

    whole: bool = False
    affected: int = 0
    control: int = 0
    normal: int = 0
    fresh: int = 0


@dataclass(frozen=True)
class Suggestion:
    """Sizes, and the rule they come from. `paired_needed` and `fresh_needed` are items that would decide."""

    sizes: Sizes
    alpha: Estimate
    delta_min: float
    paired_needed: int | None
    fresh_needed: int | None


def suggest_sizes(offer: Offer) -> Suggestion:
    """Sizes by the rule of how many items decide (docs/statistics.md A.9), within what is there."""
    reading = read_ratings([offer.parent], retests=False)
    alpha = coefficient(reading.table, "krippendorff_alpha", level=reading.level, interval="items")
    smallest = delta_min(offer.parent.project)
    paired = fresh = None
    if alpha.se_items and reading.table.n_items:
        paired = paired_items_needed(alpha.se_items, reading.table.n_items, smallest)
        fresh = fresh_items_needed(alpha.se_items, reading.table.n_items, smallest)
    # Some of the fresh items stay for the next round.
    spare = -(-2 * offer.fresh // 3)
    wanted_fresh = min(spare, fresh if fresh is not None else max(offer.items, 1))
    whole = offer.items <= SMALL or paired is None or paired >= 0.6 * offer.items
    if whole:
        sizes = Sizes(whole=True, fresh=wanted_fresh)
    else:
        assert paired is not None  # or the whole batch was suggested
        sizes = Sizes(
            affected=min(len(offer.affected), MOST_AFFECTED),
            control=min(len(offer.untouched), USUAL_CONTROL),
            normal=min(paired, offer.items),
            fresh=wanted_fresh,
        )
    return Suggestion(sizes, alpha, smallest, paired, fresh)


def choose_items(offer: Offer, sizes: Sizes, *, seed: int) -> RelabelItems:
    """Which items: the random sample is drawn first, from all; what else is wanted comes from the rest."""
    for name in ("affected", "control", "normal", "fresh"):
        if getattr(sizes, name) < 0:
            raise BadValue("bad_value", "A number of items is 0 or more.", field=name)
    rng = random.Random(seed)
    fresh_there = list(fresh_items(offer.version).values_list("pk", flat=True)) if sizes.fresh else []
    fresh = _draw(rng, fresh_there, sizes.fresh)
    if sizes.whole:
        return RelabelItems(
            affected=offer.affected, control=(*offer.untouched, *offer.rest), fresh=fresh, examples=offer.examples
        )
    normal = _draw(rng, sorted((*offer.affected, *offer.untouched, *offer.rest)), sizes.normal)
    taken = set(normal)
    affected = _draw(rng, [pk for pk in offer.affected if pk not in taken], sizes.affected)
    control = _draw(rng, [pk for pk in offer.untouched if pk not in taken], sizes.control)
    return RelabelItems(affected=affected, control=control, normal=normal, fresh=fresh, examples=offer.examples)


def _draw(rng: random.Random, ids: list[int], count: int) -> list[int]:
    return sorted(rng.sample(ids, min(count, len(ids))))


def accept_relabel_offer(
    *,
    by: Seat,
    parent: Batch,
    version: GuidelineVersion,
    sizes: Sizes,
    name: str = "",
    same_raters: bool = True,
    seed: int | None = None,
    at: datetime | None = None,
) -> Batch:
    """Open the relabel batch of an offer. A job lays it out; the items are those the seed draws from what is there now."""
    hold_right(by.membership, "dispatch")
    offer = offer_for(parent, version)
    seed = secrets.randbelow(2**31) if seed is None else seed
    items = choose_items(offer, sizes, seed=seed)
    if not any(items.by_role().values()):
        raise Refusal("no_items", "Nothing would be labeled again. Choose at least one item.")
    return relabeling.open_relabel_batch(
        by=by,
        parent=parent,
        guideline_version=version,
        name=name or suggest_name(parent, version),
        items=items,
        same_raters=same_raters,
        seed=seed,
        at=at,
    )


def suggest_name(parent: Batch, version: GuidelineVersion) -> str:
    """“First look, again under v2”, numbered when there is one already."""
    root = parent
    while root.parent is not None:
        root = root.parent
    stem = f"{root.name[:90]}, again under {version}"
    taken = set(Batch.objects.filter(project=parent.project_id, name__startswith=stem).values_list("name", flat=True))
    name, number = stem, 1
    while name in taken:
        number += 1
        name = f"{stem} ({number})"
    return name
