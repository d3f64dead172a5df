"""How the intervals of a group of figures are wanted, said once and handed on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from .estimate import Estimate
from .intervals import Basis, Kind
from .item_sums import Function, ItemGroups, Vectors, ratio, ratio_estimate

__all__ = ["Asked"]


@dataclass(frozen=True)
class Asked:
    """How intervals are wanted (as in `measure_hlp`), and what was left out, which is said about every figure."""

    kind: Kind
    confidence: float
    bootstrap: int
    seed: int
    excluded: Mapping[str, int] = field(default_factory=dict)

    def missing(self, reason: str, basis: Basis) -> Estimate:
        """An undefined figure with its reason and counts."""
        return Estimate.missing(
            reason,
            level=self.confidence,
            n_items=basis.n_items,
            n_raters=basis.n_raters,
            n_ratings=basis.n_ratings,
            excluded=self.excluded,
        )

    def estimate(
        self,
        groups: ItemGroups,
        vectors: Vectors,
        used: NDArray[np.bool_],
        basis: Basis,
        *,
        value_of: Function = ratio,
    ) -> Estimate:
        """`ratio_estimate` with the interval that is wanted."""
        return ratio_estimate(
            groups,
            vectors,
            used,
            basis,
            value_of=value_of,
            kind=self.kind,
            confidence=self.confidence,
            bootstrap=self.bootstrap,
            seed=self.seed,
        )
