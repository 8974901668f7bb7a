"""Trials best first, beside what predicting nothing at all would score.

The all-empty baseline is drawn because a score near it means nothing: with 78% of cases empty, a
network that finds no pneumothorax at all reaches a Dice of 0.78 under the convention "both empty
counts as 1".
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from dashboards import theme
from dashboards.queries import (
    OperatingPoints,
    all_empty,
    fold_interval,
    fold_metric,
    fold_scores,
    label,
    leader_of,
    metric_of,
    operating_metric,
    ordered,
)
from dashboards.text import metric_name, score
from sweep.analysis.standing import is_over
from sweep.ledger.projection import Projection, Trial
from sweep.records import DEFAULT_TRIAL, State
from sweep.util.numbers import mean_or


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One trial in one panel.

    Attributes:
        number: Number of the trial.
        name: Name, as the axis shows it.
        mean: Over its finished folds.
        low: End of the corrected interval, None unless the trial is complete.
        high: Likewise.
        folds: Value of each finished fold, in order of fold.
        complete: Whether all folds are finished.
    """

    number: int
    name: str
    mean: float
    low: float | None
    high: float | None
    folds: tuple[float, ...]
    complete: bool


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One metric.

    Attributes:
        metric: Its name.
        title: Title, as the panel shows it.
        note: Below the title: that it is the objective, or which thresholds were used.
        entries: Best trial first.
        baseline: Score of predicting nothing, None where it is not known.
    """

    metric: str
    title: str
    note: str
    entries: tuple[Entry, ...]
    baseline: float | None


@dataclass(frozen=True, kw_only=True)
class LeaderboardInfo:
    """What the leaderboard shows.

    Attributes:
        num_folds: Folds of a complete trial.
        leader: Number of the winner (or of the leader so far), None without any score.
        is_over: Whether the leader has won.
        panels: The objective first, then Dice if that is not the objective itself.
        names: Names of the trials shown, best first.
        num_omitted: Scored trials that did not fit.
        num_unscored: Trials without a mean: no fold is finished, or one is NaN.
    """

    num_folds: int
    leader: int | None
    is_over: bool
    panels: tuple[Panel, ...]
    names: tuple[str, ...]
    num_omitted: int
    num_unscored: int


def leaderboard_info(
    projection: Projection, *, operating_points: OperatingPoints | None = None, limit: int = 20
) -> LeaderboardInfo:
    """Collect the best `limit` trials, and the default and the leader wherever they stand."""
    scored = [trial for trial in ordered(projection) if trial.folds and math.isfinite(trial.mean)]
    shown = scored[:limit]
    leader = leader_of(projection)
    shown += [trial for trial in scored[limit:] if trial is leader or trial.is_default]
    metric = metric_of(projection)
    panels = [
        Panel(
            metric=metric,
            title=metric_name(metric),
            note="objective",
            entries=_entries(
                projection,
                metric,
                {trial.number: fold_scores(projection, trial) for trial in shown},
            ),
            baseline=None if leader is None else all_empty(leader, metric),
        )
    ]
    if metric != "dice" and leader is not None:
        panels += _dice_panel(projection, shown, leader, operating_points or {})
    return LeaderboardInfo(
        num_folds=projection.num_folds,
        leader=None if leader is None else leader.number,
        is_over=is_over(projection),
        panels=tuple(panels),
        names=tuple(_name(trial, projection) for trial in shown),
        num_omitted=len(scored) - len(shown),
        num_unscored=len(projection.trials) - len(scored),
    )


def _dice_panel(
    projection: Projection, shown: list[Trial], leader: Trial, points: OperatingPoints
) -> list[Panel]:
    """Dice at leave-one-fold-out thresholds where they exist, else at the settings' threshold."""
    chosen = {trial.number: operating_metric(trial, "dice", points) for trial in shown}
    note = "threshold from the other folds"
    if not any(chosen.values()):
        chosen = {trial.number: fold_metric(trial, "dice") for trial in shown}
        note = "fixed threshold"
    entries = _entries(projection, "dice", chosen)
    if not entries:
        return []
    return [
        Panel(
            metric="dice",
            title="Dice, both empty = 1",
            note=note,
            entries=entries,
            baseline=all_empty(leader, "dice"),
        )
    ]


def _entries(
    projection: Projection, metric: str, values: dict[int, dict[int, float]]
) -> tuple[Entry, ...]:
    found = []
    for number, folds in values.items():
        if not folds:
            continue
        trial = projection.trials[number]
        complete = trial.state is State.COMPLETE
        low = high = None
        if complete and len(folds) > 1:
            interval = fold_interval(projection, metric, folds)
            low, high = interval.low, interval.high
        found.append(
            Entry(
                number=number,
                name=_name(trial, projection),
                mean=mean_or(folds.values()),
                low=low,
                high=high,
                folds=tuple(folds.values()),
                complete=complete,
            )
        )
    return tuple(found)


def _name(trial: Trial, projection: Projection) -> str:
    if trial.state is State.COMPLETE:
        return label(trial)
    return f"{label(trial)} · {len(trial.folds)} of {projection.num_folds} folds"


def leaderboard(info: LeaderboardInfo) -> go.Figure:
    """Draw it: filled marks are complete, hollow ones partial, dots single folds."""
    titles = [
        f"{theme.plain(panel.title)}<br>"
        f'<span style="font-size:12px;color:{theme.MUTED}">{theme.plain(panel.note)}</span>'
        for panel in info.panels
    ]
    figure = make_subplots(
        rows=1, cols=len(info.panels), shared_yaxes=True, subplot_titles=titles,
        horizontal_spacing=0.04,
    )  # fmt: skip
    for column, panel in enumerate(info.panels, start=1):
        for kind in ("winner", "leader", "default", "complete", "partial"):
            entries = [e for e in panel.entries if _kind(e, info) == kind]
            _add_marks(figure, entries, kind, column, first=column == 1)
        if panel.baseline is not None:
            figure.add_vline(
                panel.baseline, row=1, col=column,
                line={"color": theme.BASELINE, "width": 1.5, "dash": "dash"},
                annotation={
                    "text": f"all empty {score(panel.baseline)}", "yref": "y domain", "y": 0.0,
                    "yanchor": "bottom", "bgcolor": "rgba(255,255,255,0.85)",
                    "font": {"size": 12, "color": theme.BASELINE},
                },
            )  # fmt: skip
    theme.dress(figure, top=56, height=150 + 24 * max(4, len(info.names) + 1))
    # One empty row below the last trial keeps the baseline's label clear of the marks.
    figure.update_yaxes(
        categoryorder="array", categoryarray=[theme.plain(name) for name in info.names],
        range=[len(info.names) + 0.2, -0.7], showgrid=False,
    )  # fmt: skip
    return figure


_LOOK = {
    "winner": ("Winner", theme.WINNER, "diamond", 12),
    "leader": ("In the lead, not over", theme.WINNER, "diamond-open", 12),
    "default": ("Default settings", theme.DEFAULT, "square", 10),
    "complete": ("Other complete trials", theme.OTHER, "circle", 9),
    "partial": ("Partial: fewer folds", theme.OTHER, "circle-open", 9),
}


def _kind(entry: Entry, info: LeaderboardInfo) -> str:
    if entry.number == info.leader and not info.is_over:
        return "leader"
    if not entry.complete:
        return "partial"
    if entry.number == info.leader:
        return "winner"
    return "default" if entry.number == DEFAULT_TRIAL else "complete"


def _add_marks(
    figure: go.Figure, entries: list[Entry], kind: str, column: int, *, first: bool
) -> None:
    if not entries:
        return
    name, color, symbol, size = _LOOK[kind]
    figure.add_trace(
        go.Scatter(
            x=[value for e in entries for value in e.folds],
            y=[theme.plain(e.name) for e in entries for _ in e.folds],
            mode="markers", marker={"size": 4, "color": color, "opacity": 0.45},
            hovertemplate="%{y}: one fold %{x:.3f}<extra></extra>", showlegend=False,
        ),
        row=1, col=column,
    )  # fmt: skip
    bars = None
    if kind != "partial":
        bars = {
            "type": "data", "symmetric": False, "thickness": 1.5, "width": 4,
            "array": [0.0 if e.high is None else e.high - e.mean for e in entries],
            "arrayminus": [0.0 if e.low is None else e.mean - e.low for e in entries],
        }  # fmt: skip
    figure.add_trace(
        go.Scatter(
            x=[e.mean for e in entries], y=[theme.plain(e.name) for e in entries],
            error_x=bars, mode="markers", name=name, legendgroup=kind, showlegend=first,
            marker={"size": size, "color": color, "symbol": symbol, "line": {"width": 1.5}},
            hovertemplate="%{y}: mean %{x:.3f}<extra></extra>",
        ),
        row=1, col=column,
    )  # fmt: skip
