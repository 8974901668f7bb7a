"""How much of a leaderboard's order would stand with other patients.

The ranking is made again on resamples of the patients, as challenges in biomedical imaging are
judged (Wiesenfarth and others, Scientific Reports 11, 2021): how often each trial comes first, and
between which ranks it lies in 95% of the resamples. What a trial owes to its seeds is not in this,
since nothing is trained again.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Rank:
    """Ranks of one trial over the resamples.

    Attributes:
        trial: Its number.
        first: Share of the resamples in which it is first, in [0, 1]; shared first places are
            parted.
        low: Best rank of the middle 95%, 1 is first.
        high: Worst rank of the middle 95%.
    """

    trial: int
    first: float
    low: int
    high: int


def rank_stability(numbers: tuple[int, ...], scores: NDArray[np.float64]) -> tuple[Rank, ...]:
    """Ranks of trials over resamples, the trial that is first most often first.

    Args:
        numbers: Numbers of the trials.
        scores: Score of each on each resample, higher is better, shape (resamples, trials); NaN is
            last.
    """
    values = np.where(np.isfinite(scores), scores, -np.inf)
    is_best = values == values.max(1, keepdims=True)
    first = (is_best / is_best.sum(1, keepdims=True)).mean(0)
    ranks = 1 + (values[:, None, :] > values[:, :, None]).sum(2)
    low = np.quantile(ranks, 0.025, axis=0, method="inverted_cdf")
    high = np.quantile(ranks, 0.975, axis=0, method="inverted_cdf")
    found = [
        Rank(trial=number, first=float(first[i]), low=int(low[i]), high=int(high[i]))
        for i, number in enumerate(numbers)
    ]
    return tuple(sorted(found, key=lambda one: (-one.first, one.low, one.high, one.trial)))
