"""Score against each parameter: where in the space the good trials lie.

As in the importance figure, trials are compared on the one fold that all of them ran. Small
multiples rather than parallel coordinates: sixty crossing lines show nothing that a reader could
check, and a point shows its value.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go
from optuna.distributions import CategoricalDistribution
from plotly.subplots import make_subplots

from dashboards import theme
from dashboards.queries import fold_scores, leader_of, metric_of, varied
from dashboards.text import in_sentence, listed, metric_name, score, setting
from sweep.analysis.standing import is_over
from sweep.ledger.projection import Projection, Trial
from sweep.records import State
from sweep.util.words import count


@dataclass(frozen=True, kw_only=True)
class Point:
    """One trial in one panel; `kind` is a key of `_LOOK`."""

    number: int
    value: Any
    score: float
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
        num_unscored: Trials without a score on that fold.
        equal: Parameters that varied, of which all trials here have one value.
    """

    metric: str
    fold: int
    slices: tuple[Slice, ...]
    num_unscored: int
    equal: tuple[str, ...]


def slices_info(projection: Projection) -> SlicesInfo:
    """Collect trials with a finite score on the first fold."""
    leader, over = leader_of(projection), is_over(projection)
    scored = [
        (trial, fold_scores(projection, trial)[0])
        for trial in projection.trials
        if 0 in trial.folds and math.isfinite(trial.folds[0].score)
    ]
    slices = []
    for name in varied(projection):
        points = tuple(
            Point(
                number=trial.number,
                value=trial.parameters[name],
                score=value,
                kind=_kind(trial, leader, over=over),
            )
            for trial, value in scored
            if name in trial.parameters
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
    "other": ("Stopped or parked", theme.OTHER, "circle-open", 7),
    "complete": ("Complete", theme.OTHER, "circle", 7),
    "default": ("Default settings", theme.DEFAULT, "square", 10),
    "leader": ("In the lead", theme.WINNER, "diamond-open", 11),
    "winner": ("Winner", theme.WINNER, "diamond", 11),
}


def slices(info: SlicesInfo) -> go.Figure:
    """Draw it: a panel per parameter, one point per trial."""
    if not info.slices:
        return theme.note("No parameter took more than one value.")
    columns = 3 if len(info.slices) in (3, 5, 6, 9) else min(4, len(info.slices))
    rows = math.ceil(len(info.slices) / columns)
    figure = make_subplots(
        rows=rows, cols=columns, shared_yaxes=True, horizontal_spacing=0.025,
        vertical_spacing=0.3 / rows,
    )  # fmt: skip
    named: set[str] = set()
    for number, panel in enumerate(info.slices):
        place = {"row": number // columns + 1, "col": number % columns + 1}
        for kind, (name, color, symbol, size) in _LOOK.items():
            points = [point for point in panel.points if point.kind == kind]
            if not points:
                continue
            figure.add_trace(
                go.Scatter(
                    x=[theme.plain(setting(p.value)) if panel.is_categorical else p.value
                       for p in points],
                    y=[p.score for p in points], mode="markers", name=name, legendgroup=kind,
                    showlegend=kind not in named,
                    marker={"color": color, "symbol": symbol, "size": size},
                    customdata=[
                        [f"#{p.number}: {theme.plain(setting(p.value))}, {score(p.score)}"]
                        for p in points
                    ],
                    hovertemplate="%{customdata[0]}<extra></extra>",
                ),
                **place,
            )  # fmt: skip
            named.add(kind)
        figure.update_xaxes(title_text=theme.plain(panel.parameter), **place)
        if panel.is_categorical:
            values = sorted({point.value for point in panel.points}, key=_sortable)
            shown = [theme.plain(setting(value)) for value in values]
            figure.update_xaxes(
                type="category", categoryorder="array", categoryarray=shown,
                range=[-0.6, len(shown) - 0.4], **place,
            )  # fmt: skip
        elif panel.is_log:
            figure.update_xaxes(type="log", dtick=1, exponentformat="power", **place)
        else:
            figure.update_xaxes(nticks=5, **place)
        if place["col"] == 1:
            figure.update_yaxes(title_text=theme.plain(metric_name(info.metric)), **place)
    return theme.dress(figure, height=110 + 230 * rows)


def _sortable(value: Any) -> tuple[bool, float, str]:
    is_number = isinstance(value, int | float)
    return (not is_number, float(value) if is_number else 0.0, str(value))


def sentence(info: SlicesInfo) -> str:
    """How to read the figure."""
    return (
        f"The {in_sentence(info.metric)} on fold {info.fold} against each parameter. A cloud "
        "without a slope means that the parameter made no visible difference; points crowd where "
        "the sampler expected good values." + _missing(info)
    )


def _missing(info: SlicesInfo) -> str:
    """What the figure cannot show: the worst trials are often stopped in their first fold."""
    missing = []
    if info.num_unscored:
        missing.append(f"{count(info.num_unscored, 'trial')} without a score on this fold")
    if info.equal:
        missing.append(f"{listed(info.equal)}, of which the others have one value")
    return f" Not shown: {'; '.join(missing)}." if missing else ""
