"""Parallel coordinates: each trial a line through its parameters to its score on the first fold.

plotly's own trace of that kind is not in the cartesian bundle and needs WebGL; lines over equal
steps show the same, and print. Trials stopped in the first fold end before the score.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from optuna.distributions import CategoricalDistribution

from dashboards import theme
from dashboards.plot import Plot, note, panels, plain, rounded
from dashboards.queries import leader_of, metric_of, varied
from dashboards.text import in_sentence, metric_name, setting
from sweep.analysis.standing import is_over
from sweep.ledger.projection import Projection, Trial
from sweep.records import State
from sweep.util.words import count

#: Lines of trials that are neither winner, default nor complete; more are an even grey.
_MAX_LINES = 150
#: Place of trials in which a parameter was not active.
_INACTIVE = -0.18


@dataclass(frozen=True, kw_only=True)
class Axis:
    """One parameter, or the score: its ticks as (place from 0 to 1, words)."""

    name: str
    ticks: tuple[tuple[float, str], ...]


@dataclass(frozen=True, kw_only=True)
class Line:
    """One trial: its place on every axis, None where it has none; `kind` is a key of `_LOOK`."""

    number: int
    kind: str
    places: tuple[float | None, ...]


@dataclass(frozen=True, kw_only=True)
class ParallelInfo:
    """What the figure shows.

    Attributes:
        metric: The objective, on fold 0; the last axis.
        axes: Parameters that took more than one value, then the score.
        lines: Trials that were begun.
        num_omitted: Trials that are not drawn, evenly chosen among the stopped and parked.
    """

    metric: str
    axes: tuple[Axis, ...]
    lines: tuple[Line, ...]
    num_omitted: int


def parallel_info(projection: Projection) -> ParallelInfo:
    """Collect trials that were begun, all complete ones among them."""
    begun = [trial for trial in projection.trials if trial.folds or trial.log]
    leader, over = leader_of(projection), is_over(projection)
    kinds = {trial.number: _kind(trial, leader, over=over) for trial in begun}
    others = [trial for trial in begun if kinds[trial.number] == "other"]
    step = max(1, math.ceil(len(others) / _MAX_LINES))
    dropped = {trial.number for place, trial in enumerate(others) if place % step}
    shown = [trial for trial in begun if trial.number not in dropped]
    axes, columns = [], []
    for name in varied(projection):
        if len({str(t.parameters[name]) for t in shown if name in t.parameters}) > 1:
            axis, places = _axis(name, shown)
            axes.append(axis)
            columns.append(places)
    if axes:
        axis, places = _score_axis(metric_of(projection), shown)
        axes.append(axis)
        columns.append(places)
    return ParallelInfo(
        metric=metric_of(projection),
        axes=tuple(axes),
        lines=tuple(
            Line(number=trial.number, kind=kinds[trial.number], places=row)
            for trial, row in zip(shown, zip(*columns, strict=True), strict=True)
        )
        if axes
        else (),
        num_omitted=len(dropped) if axes else 0,
    )


def _axis(name: str, trials: Sequence[Trial]) -> tuple[Axis, list[float | None]]:
    distribution = next(t.distributions[name] for t in trials if name in t.distributions)
    values = [trial.parameters.get(name) for trial in trials]
    if isinstance(distribution, CategoricalDistribution):
        choices = [setting(choice) for choice in distribution.choices]
        top = max(1, len(choices) - 1)
        ticks = tuple((place / top, choice) for place, choice in enumerate(choices))
        known = dict((choice, place) for place, choice in ticks)
        return _with_inactive(
            name, ticks, [None if value is None else known.get(setting(value)) for value in values]
        )
    low, high = float(distribution.low), float(distribution.high)
    scale = math.log if getattr(distribution, "log", False) else float
    start, span = scale(low), (scale(high) - scale(low)) or 1.0
    places = [None if value is None else (scale(value) - start) / span for value in values]
    return _with_inactive(name, ((0.0, setting(low)), (1.0, setting(high))), places)


def _with_inactive(
    name: str, ticks: tuple[tuple[float, str], ...], places: Sequence[float | None]
) -> tuple[Axis, list[float | None]]:
    """A place below the axis for trials in which the parameter was not active."""
    if None in places:
        ticks = ((_INACTIVE, "not active"), *ticks)
    return Axis(name=name, ticks=ticks), [_INACTIVE if p is None else p for p in places]


def _score_axis(metric: str, trials: Sequence[Trial]) -> tuple[Axis, list[float | None]]:
    scores = [_finite(trial.folds[0].value) if 0 in trial.folds else None for trial in trials]
    known = [value for value in scores if value is not None]
    low, high = (min(known), max(known)) if known else (0.0, 1.0)
    span = (high - low) or 1.0
    axis = Axis(name=metric_name(metric), ticks=((0.0, f"{low:.3f}"), (1.0, f"{high:.3f}")))
    return axis, [None if value is None else (value - low) / span for value in scores]


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _kind(trial: Trial, leader: Trial | None, *, over: bool) -> str:
    if trial is leader:
        return "winner" if over and trial.state is State.COMPLETE else "leader"
    if trial.is_default:
        return "default"
    return "complete" if trial.state is State.COMPLETE else "other"


_LOOK: dict[str, tuple[str, str, float, float, str]] = {
    "other": ("Stopped or parked", theme.OTHER, 0.8, 0.35, "solid"),
    "complete": ("Complete", theme.INK, 1.2, 0.6, "solid"),
    "default": ("Default settings", theme.DEFAULT, 3.0, 1.0, "dash"),
    "leader": ("In the lead", theme.WINNER, 3.0, 1.0, "solid"),
    "winner": ("Winner", theme.WINNER, 3.0, 1.0, "solid"),
}


def parallel(info: ParallelInfo) -> Plot:
    """Draw it: one trace of lines for each kind of trial."""
    if not info.axes:
        return note("No parameter took more than one value.")
    plot = panels(row_px=300, bottom=40)
    columns = list(range(len(info.axes)))
    has_inactive = any(axis.ticks[0][0] == _INACTIVE for axis in info.axes)
    for column, axis in enumerate(info.axes):
        plot.vertical(column, color=theme.PALE, width=1.5)
        for place, words in axis.ticks:
            plot.text(
                plain(words), x=column, y=place, xanchor="center",
                font={"size": 11, "color": theme.INK}, bgcolor="rgba(255,255,255,0.85)",
                yanchor="bottom" if place == 1 else "top" if place in (0, _INACTIVE) else "middle",
            )  # fmt: skip
    for kind, (name, color, width, opacity, dash) in _LOOK.items():
        lines = [line for line in info.lines if line.kind == kind]
        if lines:
            plot.add(
                x=[*columns, None] * len(lines),
                y=rounded((place for line in lines for place in (*line.places, None)), 3),
                mode="lines+markers", name=name, opacity=opacity,
                line={"color": color, "width": width, "dash": dash},
                marker={"size": 3 if kind in ("other", "complete") else 6, "color": color},
                customdata=[line.number for line in lines for _ in (*line.places, None)],
                hovertemplate="#%{customdata}<extra></extra>",
            )  # fmt: skip
    plot.x(
        tickvals=columns, ticktext=[plain(axis.name) for axis in info.axes], showgrid=False,
        range=[-0.4, len(columns) - 0.6],
    )  # fmt: skip
    plot.y(visible=False, range=[-0.28 if has_inactive else -0.1, 1.1])
    return plot.finished()


def sentence(info: ParallelInfo) -> str:
    """How to read the figure."""
    text = (
        f"Each line is a trial, from its parameters to its {in_sentence(info.metric)} on fold 0, "
        "the rightmost axis; lines of trials that were stopped in that fold end before it."
    )
    if info.num_omitted:
        text += f" Left out evenly: {count(info.num_omitted, 'trial')} that were stopped or parked."
    return text
