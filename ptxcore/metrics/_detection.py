"""Whether a case has anything to segment at all, from the same histograms as its mask."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ptxcore.errors import TrainingDiverged
from ptxcore.metrics._counts import BIN_WIDTH, quantise
from ptxcore.types import LOGIT_RANGE, NUM_LOGIT_BINS, CaseTable


def case_scores(table: CaseTable, min_area: float = 0.0) -> NDArray[np.float64]:
    """One logit a case: the highest that more than a share of its image reaches.

    A rule of the same least area finds exactly the cases of a score at or above the bin of its
    `top`, so that ranking cases by it asks what the mask's own rule would find as `top` falls.

    Args:
        table: Counts of N cases.
        min_area: Share of the image in [0, 1), as in `Rule`.

    Returns:
        Lower edges of bins, float64 of shape (N,).
    """
    both = table.truth + table.background
    above = np.cumsum(both[:, ::-1], axis=1)[:, ::-1]
    reached = above > min_area * both.sum(1, keepdims=True)
    # Those that are reached are the lowest bins, without a gap.
    scores: NDArray[np.float64] = LOGIT_RANGE[0] + BIN_WIDTH * np.maximum(reached.sum(1) - 1.0, 0.0)
    return scores


def case_score(logits: NDArray[np.float32], min_area: float = 0.0) -> float:
    """The score of one case, as `case_scores` has it from its counts.

    Args:
        logits: Shape (H, W), finite.
        min_area: Share of the image in [0, 1).

    Raises:
        TrainingDiverged: A logit is NaN or infinite.
    """
    bins = np.bincount(quantise(logits).ravel(), minlength=NUM_LOGIT_BINS)
    above = np.cumsum(bins[::-1])[::-1]
    return LOGIT_RANGE[0] + BIN_WIDTH * max(int((above > min_area * bins.sum()).sum()) - 1, 0)


def finite_case_logit(logit: float) -> float:
    """A logit of a case head, if it is one.

    Raises:
        TrainingDiverged: It is NaN or infinite.
    """
    if not math.isfinite(logit):
        raise TrainingDiverged(
            f"case head: found a logit of {logit}, expected a finite one; the network has diverged "
            "or its weights are damaged"
        )
    return logit


def roc_area(scores: NDArray[np.float64], positive: NDArray[np.bool_]) -> float:
    """Share of pairs of a positive and a healthy case that the scores order right, ties one half.

    The area under the ROC curve of cases (Hanley and McNeil, Radiology 143, 1982).

    Args:
        scores: Shape (N,).
        positive: Whether each case has a true mask, shape (N,).

    Returns:
        In [0, 1]; NaN without a case of either kind.
    """
    num_positive, num_healthy = int(positive.sum()), int((~positive).sum())
    if not num_positive or not num_healthy:
        return math.nan
    healthy, ill = np.sort(scores[~positive]), scores[positive]
    below = np.searchsorted(healthy, ill, "left") + np.searchsorted(healthy, ill, "right")
    return float(below.sum() / (2 * num_positive * num_healthy))


def fit_calibration(
    scores: NDArray[np.float64], positive: NDArray[np.bool_]
) -> tuple[float, float]:
    """Slope and intercept with which `expit(slope * score + intercept)` is a probability.

    Platt's scaling with his targets, which keep it finite where the scores part the cases cleanly
    (Advances in Large Margin Classifiers, 1999); the slope is at least 0, so that no order turns.

    Args:
        scores: Shape (N,), of cases that the probabilities will not be judged on.
        positive: Likewise, at least one case.

    Returns:
        Slope, 1 over a temperature, and intercept.
    """
    from scipy.optimize import minimize  # a fifth of a second that most commands do not need
    from scipy.special import expit, log_expit

    num_positive, num_healthy = int(positive.sum()), int((~positive).sum())
    target = np.where(positive, (num_positive + 1) / (num_positive + 2), 1 / (num_healthy + 2))

    def loss(values: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        logit = values[0] * scores + values[1]
        gap = expit(logit) - target
        cost = -(target * log_expit(logit) + (1 - target) * log_expit(-logit)).mean()
        return float(cost), np.array([(gap * scores).mean(), gap.mean()])

    found = minimize(loss, np.array([1.0, 0.0]), jac=True, bounds=[(0, None), (None, None)])
    return float(found.x[0]), float(found.x[1])


def threshold_for(scores: NDArray[np.float64], specificity: float) -> float:
    """The lowest score from which a case may be called positive at a specificity.

    Args:
        scores: Scores of healthy cases, at least one, as `case_scores` gives them.
        specificity: Share in (0, 1) of them that must lie below.

    Returns:
        An edge of a bin; one bin above the highest where no score is free of too many.
    """
    ordered = np.sort(scores)
    # The tolerance keeps 0.95 of 20 from needing all of them.
    needed = math.ceil(specificity * len(ordered) - 1e-9)
    return float(ordered[needed - 1]) + BIN_WIDTH
