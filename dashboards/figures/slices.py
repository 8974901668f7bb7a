"""Score against each parameter: where in the space the good trials lie.

As in the importance figure, trials are compared on the one fold that all of them ran. Those stopped
in it have no score and are often the worst of all, so they stand in a strip below the others.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from optuna.distributions import CategoricalDistribution

from dashboards import theme
from dashboards.plot import Plot, note, panels, plain, rounded
from dashboards.queries import fold_scores, leader_of, metric_of, varied
from dashboards.text import in_sentence, listed, metric_name, setting
from sweep.analysis.standing import is_over
from sweep.ledger.projection import Projection, Trial
from sweep.records import State
from sweep.util.numbers import finite_or_none
from sweep.util.words import count

#: Stopped or parked trials that are drawn; more hide each other and make paper heavy.
_MAX_CROWD = 400


@dataclass(frozen=True, kw_only=True)
class Point:
    """One trial in one panel; `kind` is a key of `_LOOK`, the score None where it was stopped."""

    number: int
    value: Any
    score: float | None
    kind: str


@dataclass(frozen=True, kw_only=True)
class Slice:
    """One parameter: trials for which it was inactive have no point."""

    parameter: str
    is_log: bool
    is_categorical: bool
    points: tuple[Point, ...]


@dataclass(frozen=True, kw_only=True)
class SlicesInfo:
    """What the figure shows: the objective on one fold against every parameter that varied.

    Attributes:
        metric: The objective.
        fold: The one that all trials here have.
        slices: A panel each.
        num_stopped: Trials that were begun and have no score on that fold.
        num_omitted: Trials that are not drawn, evenly chosen among those that are not complete.
        num_unscored: Trials that were never begun.
        equal: Parameters of which all trials here have one value.
    """

    metric: str
    fold: int
    slices: tuple[Slice, ...]
    num_stopped: int
    num_omitted: int
    num_unscored: int
    equal: tuple[str, ...]


def slices_info(projection: Projection) -> SlicesInfo:
    """Collect trials that were begun; a score that is not finite is none."""
    leader, over = leader_of(projection), is_over(projection)
    scored: list[tuple[Trial, float | None]] = [
        (trial, finite_or_none(fold_scores(projection, trial).get(0, math.nan)))
        for trial in projection.trials
        if trial.folds or trial.log
    ]
    kinds = {
        trial.number: "stopped" if value is None else _kind(trial, leader, over=over)
        for trial, value in scored
    }
    crowd = [trial.number for trial, _ in scored if kinds[trial.number] in ("other", "stopped")]
    step = max(1, math.ceil(len(crowd) / _MAX_CROWD))
    omitted = {number for place, number in enumerate(crowd) if place % step}
    slices = []
    for name in varied(projection):
        points = tuple(
            Point(
                number=trial.number,
                value=trial.parameters[name],
                score=value,
                kind=kinds[trial.number],
            )
            for trial, value in scored
            if name in trial.parameters and trial.number not in omitted
        )
        if len({str(point.value) for point in points}) > 1:
            distribution = next(
                trial.distributions[name]
                for trial in projection.trials
                if name in trial.distributions
            )
            slices.append(
                Slice(
                    parameter=name,
                    is_log=bool(getattr(distribution, "log", False)),
                    is_categorical=isinstance(distribution, CategoricalDistribution),
                    points=points,
                )
            )
    shown = {panel.parameter for panel in slices}
    return SlicesInfo(
        metric=metric_of(projection),
        fold=0,
        slices=tuple(slices),
        num_omitted=len(omitted),
        num_stopped=sum(value is None for _, value in scored),
        num_unscored=len(projection.trials) - len(scored),
        equal=tuple(name for name in varied(projection) if name not in shown),
    )


def _kind(trial: Trial, leader: Trial | None, *, over: bool) -> str:
    if trial is leader and not over:
        return "leader"
    if trial is leader and trial.state is State.COMPLETE:
        return "winner"
    if trial.is_default:
        return "default"
    return "complete" if trial.state is State.COMPLETE else "other"


_LOOK = {
    "stopped": ("Without a score on this fold", theme.DEFAULT, "line-ns-open", 8),
    "other": ("Stopped or parked later", theme.OTHER, "circle-open", 7),
    "complete": ("Complete", theme.OTHER, "circle", 7),
    "default": ("Default settings", theme.DEFAULT, "square", 10),
    "leader": ("In the lead", theme.WINNER, "diamond-open", 11),
    "winner": ("Winner", theme.WINNER, "diamond", 11),
}


def slices(info: SlicesInfo) -> Plot:
    """Draw it: a panel per parameter, one point per trial."""
    if not info.slices:
        return note("No parameter took more than one value.")
    columns = min(3, len(info.slices))
    plot = panels(
        [""] * len(info.slices), columns=columns, row_px=200, gap=0.03 if columns > 1 else 0.0,
        shared_y=True,
    )  # fmt: skip
    scores = [p.score for panel in info.slices for p in panel.points if p.score is not None]
    low, high = (min(scores), max(scores)) if scores else (0.0, 1.0)
    room = (high - low) or 0.1
    strip = low - 0.16 * room
    for number, panel in enumerate(info.slices):
        crowded = len(panel.points) > 150
        for kind, (name, color, symbol, size) in _LOOK.items():
            points = [point for point in panel.points if point.kind == kind]
            if not points:
                continue
            is_crowd = crowded and kind in ("other", "complete", "stopped")
            plot.add(
                number,
                x=[plain(setting(p.value)) for p in points] if panel.is_categorical
                else rounded(p.value for p in points),
                y=rounded(strip if p.score is None else p.score for p in points),
                mode="markers", name=name,
                marker={
                    "color": color, "symbol": symbol, "size": 5 if is_crowd else size,
                    "opacity": 0.45 if is_crowd else 1.0,
                },
                customdata=[p.number for p in points],
                hovertemplate="#%{customdata}: %{x}, %{y}<extra></extra>"
                if kind != "stopped"
                else "#%{customdata}: %{x}, no score<extra></extra>",
            )  # fmt: skip
        plot.x(number, title=plain(panel.parameter))
        _scale(plot, panel, number)
        plot.y(number, range=[strip - 0.08 * room, high + 0.08 * room])
        if number % columns == 0:
            plot.y(number, title=plain(metric_name(info.metric)))
        if info.num_stopped:
            plot.horizontal(low - 0.08 * room, number, color=theme.PALE, width=1, dash="dot")
    return plot.finished()


def _scale(plot: Plot, panel: Slice, number: int) -> None:
    if panel.is_categorical:
        values = sorted({point.value for point in panel.points}, key=_sortable)
        shown = [plain(setting(value)) for value in values]
        plot.x(
            number, type="category", categoryorder="array", categoryarray=shown,
            range=[-0.6, len(shown) - 0.4],
        )  # fmt: skip
    elif panel.is_log:
        plot.x(number, type="log", dtick=1, tickformat="~g")
    else:
        plot.x(number, nticks=5)


def _sortable(value: Any) -> tuple[bool, float, str]:
    is_number = isinstance(value, int | float)
    return (not is_number, float(value) if is_number else 0.0, str(value))


def sentence(info: SlicesInfo) -> str:
    """How to read the figure."""
    text = (
        f"The {in_sentence(info.metric)} on fold {info.fold} against each parameter. A cloud "
        "without a slope means that the parameter made no visible difference; points crowd where "
        "the sampler expected good values."
    )
    if info.num_stopped:
        text += (
            f" {count(info.num_stopped, 'trial')} without a score on this fold, mostly stopped in "
            "it, stand in the strip below: their height says nothing."
        )
    return text + _missing(info)


def _missing(info: SlicesInfo) -> str:
    """What the figure cannot show."""
    missing = []
    if info.num_omitted:
        missing.append(f"{count(info.num_omitted, 'trial')} of those not complete, left out evenly")
    if info.num_unscored:
        missing.append(f"{count(info.num_unscored, 'trial')} that never ran")
    if info.equal:
        missing.append(f"{listed(info.equal)}, of which all have one value")
    return f" Not shown: {'; '.join(missing)}." if missing else ""
