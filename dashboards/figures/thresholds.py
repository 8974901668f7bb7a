"""What a threshold would give, and whether probabilities are what they promise.

Both come from the tables of cases that the folds kept: every case as the network saw it that was
never trained on it. The curves show how much depends on the threshold; choosing it from them would
be choosing on the scored cases, so the rule that is deployed is only marked.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dashboards import theme
from dashboards.plot import Plot, panels, rounded
from dashboards.text import score
from ptxcore.metrics import concatenate
from ptxcore.types import LOGIT_RANGE, NUM_LOGIT_BINS, CaseTable, Rule
from sweep.util.words import count

Floats = NDArray[np.float64]
#: Every fourth edge of the logits' bins is a threshold of the curves.
_STEP = 4
_NUM_BINS = 15


@dataclass(frozen=True, kw_only=True)
class ThresholdsInfo:
    """What the figures show.

    Attributes:
        thresholds: Probabilities, ascending, shape (T,).
        dice: Mean Dice of all cases, both empty = 1, masks of all pixels at or above each.
        dice_positive: Mean Dice over the cases with a true mask; NaN without any.
        case_sensitivity: Share of these that get any mask.
        case_specificity: Share of the others that get none.
        all_empty: Dice of predicting nothing.
        rule: Rule that is deployed, None where none was chosen.
        promised: Mean probability of the pixels of each bin that has any.
        found: Share of these pixels inside a true mask.
        pixels: How many they are.
        num_cases: Cases.
        num_positive: Cases with a true mask.
    """

    thresholds: Floats
    dice: Floats
    dice_positive: Floats
    case_sensitivity: Floats
    case_specificity: Floats
    all_empty: float
    rule: Rule | None
    promised: Floats
    found: Floats
    pixels: Floats
    num_cases: int
    num_positive: int


def thresholds_info(tables: Mapping[int, CaseTable], rule: Rule | None) -> ThresholdsInfo | None:
    """Reduce the tables of a trial's folds; None without a case.

    Args:
        tables: Tables by fold.
        rule: Rule to mark.
    """
    if not any(len(table.case_ids) for table in tables.values()):
        return None
    table = concatenate([tables[fold] for fold in sorted(tables)])
    edges = np.arange(_STEP, NUM_LOGIT_BINS, _STEP)
    true_positive = _above(table.truth)[:, edges]
    predicted = true_positive + _above(table.background)[:, edges]
    truth = table.truth.sum(axis=1)
    is_positive = truth > 0
    under = predicted + truth[:, None]
    dice = np.divide(2 * true_positive, under, out=np.ones(under.shape), where=under > 0)
    is_found = predicted > 0
    low, high = LOGIT_RANGE
    width = (high - low) / NUM_LOGIT_BINS
    promised, found, pixels = _calibration(table)
    return ThresholdsInfo(
        thresholds=1 / (1 + np.exp(-(low + edges * width))),
        dice=dice.mean(axis=0),
        dice_positive=_mean(dice[is_positive]),
        case_sensitivity=_mean(is_found[is_positive].astype(float)),
        case_specificity=_mean((~is_found[~is_positive]).astype(float)),
        all_empty=float(np.mean(~is_positive)),
        rule=rule,
        promised=promised,
        found=found,
        pixels=pixels,
        num_cases=len(truth),
        num_positive=int(is_positive.sum()),
    )


def _above(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Pixels in each bin or a higher one."""
    above: NDArray[np.int64] = np.cumsum(counts[:, ::-1], axis=1)[:, ::-1]
    return above


def _mean(values: Floats) -> Floats:
    mean: Floats = values.mean(axis=0) if len(values) else np.full(values.shape[1], np.nan)
    return mean


def _calibration(table: CaseTable) -> tuple[Floats, Floats, Floats]:
    """Bins of equal width as `ptxcore.metrics` has them for the calibration error."""
    truth = table.truth.sum(axis=0).astype(float)
    pixels = truth + table.background.sum(axis=0)
    low, high = LOGIT_RANGE
    middles = np.linspace(low, high, 2 * NUM_LOGIT_BINS + 1)[1::2]
    probability = 1 / (1 + np.exp(-middles))
    place = (probability * _NUM_BINS).astype(np.int64)
    number, promised, found = (
        np.bincount(place, weights=weights, minlength=_NUM_BINS).astype(float)
        for weights in (pixels, pixels * probability, truth)
    )
    kept = number > 0
    return promised[kept] / number[kept], found[kept] / number[kept], number[kept]


_LINES = (
    ("dice", "Dice, both empty = 1", theme.WINNER, "solid"),
    ("dice_positive", "Dice over positive cases", theme.DEFAULT, "dash"),
    ("case_sensitivity", "case sensitivity", theme.SECOND, "dot"),
    ("case_specificity", "case specificity", theme.MUTED, "dashdot"),
)


def thresholds(info: ThresholdsInfo) -> Plot:
    """Draw scores against the threshold."""
    plot = panels(row_px=250)
    for field, name, color, dash in _LINES:
        values: Floats = getattr(info, field)
        if not np.isnan(values).all():
            plot.add(
                x=rounded(info.thresholds.tolist()), y=rounded(values.tolist()), mode="lines",
                name=name, line={"color": color, "dash": dash, "width": 2},
                hovertemplate=f"{name} %{{y}} at %{{x}}<extra></extra>",
            )  # fmt: skip
    plot.horizontal(info.all_empty, color=theme.BASELINE, width=1.5, dash="dash")
    plot.text(
        f"all empty {score(info.all_empty)}", domain="x", x=0, y=info.all_empty, xanchor="left",
        yanchor="bottom", xshift=4, bgcolor="rgba(255,255,255,0.85)",
    )  # fmt: skip
    if info.rule is not None:
        plot.vertical(info.rule.bottom, color=theme.MUTED, width=1.5, dash="dot")
        plot.text(
            f"deployed rule {info.rule.bottom:g}", domain="y", x=info.rule.bottom, y=0,
            xanchor="left", yanchor="bottom", xshift=4, bgcolor="rgba(255,255,255,0.85)",
        )  # fmt: skip
    plot.x(title="threshold", range=[0, 1])
    plot.y(range=[-0.02, 1.02])
    return plot.finished()


def calibration(info: ThresholdsInfo) -> Plot:
    """Draw the share of true pixels against the probability that was promised."""
    plot = panels(row_px=250)
    plot.add(
        x=[0, 1], y=[0, 1], mode="lines", name="as promised", hoverinfo="skip",
        line={"color": theme.MUTED, "width": 1.5, "dash": "dash"},
    )  # fmt: skip
    plot.add(
        x=rounded(info.promised.tolist()), y=rounded(info.found.tolist()), mode="lines+markers",
        name="found", line={"color": theme.WINNER, "width": 2}, marker={"size": 7},
        hovertext=[f"{pixels:,.0f} pixels" for pixels in info.pixels],
        hovertemplate="promised %{x}, found %{y}: %{hovertext}<extra></extra>",
    )  # fmt: skip
    plot.x(title="mean probability", range=[-0.02, 1.02])
    plot.y(title="share of true pixels", range=[-0.02, 1.02])
    return plot.finished()


def thresholds_sentence(info: ThresholdsInfo) -> str:
    """How to read the curves."""
    text = (
        f"Of all {count(info.num_cases, 'out-of-fold case')} ({info.num_positive:,} positive), "
        "masks of every pixel at or above the threshold, without a least area. "
    )
    if info.rule is not None:
        text += f"The deployed rule takes {info.rule.words}. "
    return text + (
        "Choosing a threshold here would be choosing on the scored cases; the scores of this "
        "report stand under rules that other folds chose."
    )


def calibration_sentence(info: ThresholdsInfo) -> str:
    """What the reliability curve says."""
    gaps = info.promised - info.found
    far = int(np.argmax(np.abs(gaps)))
    word = "too sure" if gaps[far] > 0 else "not sure enough"
    widest = float(gaps[far])
    said = (
        ""
        if math.isclose(widest, 0.0, abs_tol=0.005)
        else f" Farthest off, by {abs(widest):.2f}, are pixels of {info.promised[far]:.2f}: {word}."
    )
    return (
        f"Pixels of all out-of-fold cases in {_NUM_BINS} bins of probability: below the dashed "
        f"line the network is too sure.{said} Most pixels lie in the first bin."
    )
