"""Dice against case sensitivity, and against the time of an image where that was measured.

What wins on one number may lose on another that matters as much in use. Trials that no other
complete trial beats on both stand on the front.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from dashboards import theme
from dashboards.plot import Plot, note, panels, plain, rounded
from dashboards.queries import (
    OperatingPoints,
    fold_metric,
    fold_usage,
    label,
    leader_of,
    operating_metric,
)
from dashboards.text import metric_name
from ptxcore.metrics import better
from sweep.analysis.standing import is_over
from sweep.ledger.projection import Projection, Trial
from sweep.records import State
from sweep.util.numbers import mean_or
from sweep.util.words import count

_SECONDS = "seconds_per_image"
#: The other axes beside Dice, each drawn of the complete trials that have it.
_BESIDE = ("case_sensitivity", _SECONDS)


@dataclass(frozen=True, kw_only=True)
class Spot:
    """One complete trial: the other metric, its Dice, and whether it stands on the front."""

    number: int
    name: str
    kind: str
    beside: float
    dice: float
    is_front: bool


@dataclass(frozen=True, kw_only=True)
class ParetoInfo:
    """What the figure shows.

    Attributes:
        threshold: Rule behind the masks, in words.
        panels: By other metric its trials.
    """

    threshold: str
    panels: tuple[tuple[str, tuple[Spot, ...]], ...]


def pareto_info(
    projection: Projection, operating_points: OperatingPoints | None = None
) -> ParetoInfo:
    """Collect complete trials with both metrics, all under one rule."""
    complete = [trial for trial in projection.trials if trial.state is State.COMPLETE]
    points = operating_points or {}
    tuned = bool(complete) and all(trial.number in points for trial in complete)
    kinds = _kinds(projection, complete)

    def mean(trial: Trial, metric: str) -> float:
        if metric == _SECONDS:
            values = fold_usage(trial, metric)
        elif tuned:
            values = operating_metric(trial, metric, points)
        else:
            values = fold_metric(trial, metric)
        known = [value for value in values.values() if math.isfinite(value)]
        return mean_or(known) if len(known) == len(trial.folds) else math.nan

    found = []
    for metric in _BESIDE:
        pairs = [(trial, mean(trial, metric), mean(trial, "dice")) for trial in complete]
        known = [pair for pair in pairs if math.isfinite(pair[1]) and math.isfinite(pair[2])]
        if len(known) < 2:
            continue
        sign = -1.0 if better(metric) == "lower" or metric == _SECONDS else 1.0
        spots = tuple(
            Spot(
                number=trial.number,
                name=label(trial),
                kind=kinds[trial.number],
                beside=beside,
                dice=dice,
                is_front=not any(
                    sign * other >= sign * beside
                    and rival >= dice
                    and (other, rival) != (beside, dice)
                    for _, other, rival in known
                ),
            )
            for trial, beside, dice in known
        )
        found.append((metric, spots))
    return ParetoInfo(
        threshold="threshold from the other folds" if tuned else "fixed threshold",
        panels=tuple(found),
    )


def _kinds(projection: Projection, complete: Sequence[Trial]) -> dict[int, str]:
    leader, over = leader_of(projection), is_over(projection)
    kinds = {}
    for trial in complete:
        kind = "default" if trial.is_default else "complete"
        if trial is leader:
            kind = "winner" if over else "leader"
        kinds[trial.number] = kind
    return kinds


_SECONDS_TITLE = "Seconds an image"
_LOOK = {
    "complete": ("Complete", theme.OTHER, "circle", 7),
    "default": ("Default settings", theme.DEFAULT, "square", 10),
    "leader": ("In the lead", theme.WINNER, "diamond-open", 11),
    "winner": ("Winner", theme.WINNER, "diamond", 11),
}


def pareto(info: ParetoInfo) -> Plot:
    """Draw it: a panel for each other metric, the front as a line."""
    if not info.panels:
        return note("Fewer than two complete trials have Dice and case sensitivity.")
    plot = panels([""] * len(info.panels), columns=len(info.panels), row_px=250, gap=0.12)
    for number, (metric, spots) in enumerate(info.panels):
        front = sorted((s for s in spots if s.is_front), key=lambda spot: spot.beside)
        plot.add(
            number, x=rounded(spot.beside for spot in front), y=rounded(s.dice for s in front),
            mode="lines", name="Pareto front", hoverinfo="skip",
            line={"color": theme.INK, "width": 1.2, "dash": "dot"},
        )  # fmt: skip
        for kind, (name, color, symbol, size) in _LOOK.items():
            own = [spot for spot in spots if spot.kind == kind]
            if own:
                plot.add(
                    number, x=rounded(spot.beside for spot in own),
                    y=rounded(spot.dice for spot in own), mode="markers", name=name,
                    marker={"color": color, "symbol": symbol, "size": size},
                    customdata=[spot.number for spot in own],
                    hovertemplate="#%{customdata}: %{x}, Dice %{y}<extra></extra>",
                )  # fmt: skip
        if len(front) <= 8:
            for spot in front:
                plot.text(
                    plain(f"#{spot.number}"), number, x=spot.beside, y=spot.dice, xanchor="left",
                    yanchor="bottom", xshift=6, yshift=2,
                )  # fmt: skip
        plot.x(number, title=_SECONDS_TITLE if metric == _SECONDS else plain(metric_name(metric)))
        plot.y(number, title="Dice, both empty = 1")
    return plot.finished()


def sentence(info: ParetoInfo) -> str:
    """How to read the figure."""
    text = (
        f"Complete trials, means over all folds ({info.threshold}). No other trial beats those on "
        "the dotted front on both; near neighbours are not told apart by the folds."
    )
    timed = [len(spots) for metric, spots in info.panels if metric == _SECONDS]
    if not timed:
        return f"{text} The time of an image was not measured in this sweep."
    text += (
        " The time of an image is that of one network beside whatever else its host did, the "
        "median of a few held images of a fold, the mean over folds"
    )
    untimed = max(len(spots) for _, spots in info.panels) - timed[0]
    return f"{text}; {count(untimed, 'trial')} without it." if untimed else f"{text}."
