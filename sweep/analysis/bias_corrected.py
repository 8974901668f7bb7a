"""The search score of a winner without the luck of having been chosen by it.

BBC-CV (Tsamardinos, Greasidou and Borboudakis, Machine Learning 107, 2018) bootstraps the choice
and not the training: cases are drawn with replacement, the trial that is best on them is chosen,
and is scored on those that were not drawn, which had no part in the choice. The mean over resamples
estimates what the chosen trial scores on other cases. It needs nothing but the predictions on held
folds that there are.

Its interval is the winner's own on the resamples, moved to the estimate and widened by how far the
trials lie apart that were chosen (the law of total variance: within a choice, and between). The
percentiles of the scores on what was left out, which the paper has, hold the truth in nearly all
searches: a resample leaves out a share of 1/e of the patients, and a mean over these varies by 1.72
times the variance of one over a new set of as many as there are (docs/results/evidence.md).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95


@dataclass(frozen=True, kw_only=True)
class BiasCorrected:
    """An estimate with its 95% interval, NaN where no resample has a score.

    Attributes:
        score: Mean score of the chosen trials where they were not chosen.
        low: Lower end of its interval.
        high: Upper end.
    """

    score: float
    low: float
    high: float


def bias_corrected(
    in_bag: NDArray[np.float64], out_of_bag: NDArray[np.float64], num_drawn: float = math.inf
) -> BiasCorrected:
    """Score of the trial that each resample would have chosen, where it was not chosen.

    Args:
        in_bag: Score of each trial on the cases that were drawn, higher is better, shape
            (resamples, trials); NaN where a trial has none.
        out_of_bag: Likewise on those that were not.
        num_drawn: Positive patients of a fold, which are drawn from each other: a resample of n
            varies by (n - 1) / n of what it should. No interval below 2.
    """
    chosen, known = _choices(in_bag)
    found = out_of_bag[known, chosen]
    if not np.isfinite(found).any():
        return BiasCorrected(score=math.nan, low=math.nan, high=math.nan)
    score, tail = float(found[np.isfinite(found)].mean()), (1 - CONFIDENCE) / 2
    if num_drawn < 2:
        return BiasCorrected(score=score, low=math.nan, high=math.nan)
    number, times = np.unique(chosen, return_counts=True)
    winner = in_bag[:, number[times.argmax()]]
    winner = winner[np.isfinite(winner)]
    levels = np.ma.masked_invalid(out_of_bag[:, number]).mean(0)
    share = times / times.sum()
    between = float((share * (levels - (share * levels).sum()) ** 2).sum())
    spread = max(float(winner.var()), np.finfo(np.float64).tiny)
    wider = math.sqrt(1 / (1 - 1 / num_drawn) + between / spread)
    ends = np.quantile(winner, [tail, 1 - tail]) - winner.mean()
    low, high = (score + wider * ends).tolist()
    return BiasCorrected(score=score, low=low, high=high)


def _choices(in_bag: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The trial that each resample chooses, and which resamples have any score."""
    known = np.flatnonzero(np.isfinite(in_bag).any(1))
    return np.where(np.isfinite(in_bag), in_bag, -np.inf)[known].argmax(1), known
