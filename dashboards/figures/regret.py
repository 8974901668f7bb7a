"""Regret against cost: how far the best complete trial was from the final one, fold time by time.

Only complete trials count, since only they can win; their means are of all folds, so a step is a
trial that finished its last fold. Cost is the time that all tries at folds took, those of stopped
trials included, up to that moment.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from dashboards import theme
from dashboards.plot import Plot, note, panels, plain, rounded
from dashboards.queries import metric_of
from dashboards.text import duration, in_sentence
from sweep.ledger.projection import Projection
from sweep.records import State


@dataclass(frozen=True, kw_only=True)
class RegretInfo:
    """What the figure shows.

    Attributes:
        metric: The objective.
        numbers: Trials that were the best so far, in order of their completion.
        hours: Cost until each was complete.
        regrets: Distance of each from the last of them, at least 0.
        default: Distance of the default trial from the last, None where it is not complete.
        total_hours: Cost of the whole sweep so far.
    """

    metric: str
    numbers: tuple[int, ...]
    hours: tuple[float, ...]
    regrets: tuple[float, ...]
    default: float | None
    total_hours: float


def regret_info(projection: Projection) -> RegretInfo:
    """Collect the trials that were the best complete one at their time."""
    ends = sorted(
        (attempt.ended_at, attempt.seconds or 0.0)
        for trial in projection.trials
        for attempt in trial.log
        if attempt.ended_at is not None
    )
    complete = sorted(
        (trial.ended_at, trial.number)
        for trial in projection.trials
        if trial.state is State.COMPLETE and trial.ended_at and math.isfinite(trial.mean)
    )
    steps: list[tuple[int, float]] = []
    best, spent, place = -math.inf, 0.0, 0
    for at, number in complete:
        while place < len(ends) and ends[place][0] <= at:
            spent += ends[place][1]
            place += 1
        mean = projection.trials[number].mean
        if mean > best:
            best = mean
            steps.append((number, spent / 3600))
    total = math.fsum(seconds for _, seconds in ends) / 3600
    default = projection.default
    has_default = default is not None and default.number in {number for _, number in complete}
    return RegretInfo(
        metric=metric_of(projection),
        numbers=tuple(number for number, _ in steps),
        hours=tuple(hours for _, hours in steps),
        regrets=tuple(best - projection.trials[number].mean for number, _ in steps),
        default=best - default.mean if has_default and default is not None else None,
        total_hours=total,
    )


def regret(info: RegretInfo) -> Plot:
    """Draw it: a step down for each new best, the default as a line."""
    if not info.numbers:
        return note("No trial is complete yet.")
    unit, name = (1.0, "hours") if info.total_hours >= 2 else (1 / 60, "minutes")
    plot = panels(row_px=200)
    plot.add(
        x=rounded([*(hours / unit for hours in info.hours), info.total_hours / unit]),
        y=rounded([*info.regrets, 0.0]), mode="lines",
        line={"color": theme.WINNER, "width": 2, "shape": "hv"}, hoverinfo="skip",
    )  # fmt: skip
    plot.add(
        x=rounded(hours / unit for hours in info.hours), y=rounded(info.regrets),
        mode="markers+text", name="new best trial", text=_labels(info),
        textposition=[
            f"top {'left' if hours > info.total_hours / 2 else 'right'}" for hours in info.hours
        ],
        textfont={"size": 12, "color": theme.INK},
        marker={"size": 8, "color": theme.WINNER, "symbol": "diamond"},
        customdata=list(info.numbers),
        hovertemplate=f"#%{{customdata}}: %{{y}} after %{{x}} {name}<extra></extra>",
    )  # fmt: skip
    if info.default is not None:
        plot.add(
            x=rounded([0.0, info.total_hours / unit]), y=rounded([info.default] * 2), mode="lines",
            name="default settings", hovertemplate="default: %{y}<extra></extra>",
            line={"color": theme.DEFAULT, "width": 1.5, "dash": "dash"},
        )  # fmt: skip
    plot.x(title=f"{name} of training, stopped trials included", rangemode="tozero")
    top = max(*info.regrets, info.default or 0.0) or 0.01
    plot.y(title=plain("regret"), range=[-0.06 * top, 1.2 * top])
    return plot.finished()


def _labels(info: RegretInfo) -> list[str]:
    """Names of the trials, those of near neighbours left out; the last stands there always."""
    labels = [""] * len(info.numbers)
    wide, high = info.total_hours or 1.0, max(info.regrets) or 1.0
    at, regret = -math.inf, math.inf
    for place, number in reversed(list(enumerate(info.numbers))):
        near = abs(at - info.hours[place]) < 0.08 * wide
        if not near or abs(info.regrets[place] - regret) > 0.12 * high:
            labels[place] = f"#{number}"
            at, regret = info.hours[place], info.regrets[place]
    return labels


def sentence(info: RegretInfo) -> str:
    """What the figure says."""
    text = (
        f"How much {in_sentence(info.metric)}, as a mean over all folds, the best complete trial "
        "lacked against the one that is best now, by the time that all training had taken until "
        "then."
    )
    if info.numbers:
        text += (
            f" #{info.numbers[-1]} was complete after {duration(3600 * info.hours[-1])} of "
            f"{duration(3600 * info.total_hours)}."
        )
    return text + " Means are of the same folds that chose it, so the way down looks too good."
