"""How many samples of an epoch come from positive cases, and which negatives come more often."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ptxcore.settings import FoldSettings


def positive_fraction(settings: FoldSettings, epoch: int) -> float:
    """Share of an epoch's samples that come from positive cases.

    From `positive_fraction` in the first epoch to `positive_fraction_end` in the last planned one,
    on a straight line or half a cosine; or the first all along. The winners of SIIM-ACR went from
    0.8 to 0.4: first the network learns what a pneumothorax looks like, then how rare it is.

    Args:
        settings: Settings of the fold.
        epoch: One-based.

    Returns:
        In [0, 1].
    """
    start, end = settings.positive_fraction, settings.positive_fraction_end
    if settings.positive_fraction_schedule == "constant":
        return start
    done = min(1.0, (epoch - 1) / max(1, settings.max_epochs - 1))
    if settings.positive_fraction_schedule == "cosine":
        done = 0.5 * (1 - math.cos(math.pi * done))
    return start + (end - start) * done


class HardNegatives:
    """Remembers the last training loss of each negative case, and draws by it.

    A case is drawn in proportion to its loss (Loshchilov and Hutter 2016, arXiv:1511.06343, rank
    batches by loss likewise). One that has not been trained on yet counts as the hardest seen.
    """

    def __init__(self, cases: Sequence[int]) -> None:
        """Know nothing yet.

        Args:
            cases: Store indices of the negative cases, in a reproducible order.
        """
        self._cases = list(cases)
        self._places = {case: place for place, case in enumerate(self._cases)}
        self._losses = np.full(len(self._cases), np.nan)

    @property
    def losses(self) -> NDArray[np.float64]:
        """Last loss of each case in the given order, NaN where there is none; shape (N,)."""
        return self._losses.copy()

    def restore(self, losses: NDArray[np.float64]) -> None:
        """The inverse of `losses`.

        Args:
            losses: Shape (N,) in the given order, at least 0, NaN where there is none; copied.
        """
        assert losses.shape == self._losses.shape
        self._losses = losses.astype(np.float64)

    def remember(self, cases: Sequence[int], losses: Sequence[float]) -> None:
        """Take in the losses of samples, in the order of training; positive cases are passed over.

        Args:
            cases: Store index of each sample.
            losses: Losses, at least 0, finite.
        """
        for case, loss in zip(cases, losses, strict=True):
            if case in self._places:
                self._losses[self._places[case]] = loss

    def draw(self, number: int, rng: np.random.Generator) -> list[int]:
        """Store indices of cases, drawn with replacement.

        Args:
            number: How many, 0 or more.
            rng: Source of the draws.

        Returns:
            `number` indices; none while no loss is known, or all are 0.
        """
        if np.isnan(self._losses).all() or not np.nansum(self._losses) > 0:
            return []
        weights = np.where(np.isnan(self._losses), np.nanmax(self._losses), self._losses)
        chosen = rng.choice(len(self._cases), size=number, p=weights / weights.sum())
        return [self._cases[place] for place in chosen]
