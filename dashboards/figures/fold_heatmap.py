"""Trials x folds: which was scored where, and how far from the default on the very same cases.

Folds differ far more from each other than trials do (on a real task the SD between folds was
0.09 Dice, between models 0.004), so raw scores would only colour the columns. The colour is the
difference to a reference on the same fold; the number is the score itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import plotly.graph_objects as go

from dashboards import theme
from dashboards.queries import fold_scores, label, metric_of, ordered
from dashboards.text import in_sentence, score, signed
from sweep.ledger.projection import Projection
from sweep.records import as_score
from sweep.util.numbers import finite_or_none, mean_or


@dataclass(frozen=True, kw_only=True)
class HeatmapInfo:
    """What the heatmap shows; None stands for a fold that was not finished.

    Attributes:
        metric: The objective.
        names: Names of the trials, best first.
        states: Where each trial stands.
        scores: Scores by trial and fold, in the metric's own sign.
        differences: To the reference on the same fold; positive is better.
        reference: "the default trial", or "the fold's mean" when that lacks folds.
        num_omitted: Trials with a finished fold that did not fit.
        num_unscored: Trials without one.
    """

    metric: str
    names: tuple[str, ...]
    states: tuple[str, ...]
    scores: tuple[tuple[float | None, ...], ...]
    differences: tuple[tuple[float | None, ...], ...]
    reference: str
    num_omitted: int
    num_unscored: int


def fold_heatmap_info(projection: Projection, *, limit: int = 40) -> HeatmapInfo:
    """Collect the best `limit` trials that have at least one scored fold."""
    folds = range(projection.num_folds)
    scored = [trial for trial in ordered(projection) if trial.folds]
    shown = scored[:limit]
    scores = [fold_scores(projection, trial) for trial in shown]
    default = projection.default
    reference, name = {}, "the default trial"
    if default is not None:
        reference = fold_scores(projection, default)
    if len(reference) < projection.num_folds:
        by_trial = [fold_scores(projection, trial) for trial in scored]
        at = {f: {n: s[f] for n, s in enumerate(by_trial) if f in s} for f in folds}
        reference, name = (
            {f: mean_or(values.values()) for f, values in at.items()},
            "the fold's mean",
        )
    maximize = projection.maximize
    return HeatmapInfo(
        metric=metric_of(projection),
        names=tuple(label(trial) for trial in shown),
        states=tuple(str(trial.state) for trial in shown),
        scores=tuple(tuple(finite_or_none(row.get(f)) for f in folds) for row in scores),
        differences=tuple(
            tuple(
                finite_or_none(as_score(row[f] - reference[f], maximize=maximize))
                if f in row
                else None
                for f in folds
            )
            for row in scores
        ),
        reference=name,
        num_omitted=len(scored) - len(shown),
        num_unscored=len(projection.trials) - len(scored),
    )


def fold_heatmap(info: HeatmapInfo) -> go.Figure:
    """Draw it; empty cells are folds without a score."""
    num_folds = len(info.scores[0]) if info.scores else 0
    flat = [abs(d) for row in info.differences for d in row if d is not None]
    reach = max(flat, default=0.0) or 1.0
    names = [theme.plain(name) for name in info.names]
    hover = [
        [
            "not finished" if value is None else f"{score(value)} ({signed(difference)})"
            for value, difference in zip(row, differences, strict=True)
        ]
        for row, differences in zip(info.scores, info.differences, strict=True)
    ]
    figure = go.Figure(
        go.Heatmap(
            z=[list(row) for row in info.differences], x=list(range(num_folds)), y=names,
            text=[["" if v is None else score(v) for v in row] for row in info.scores],
            customdata=hover, texttemplate="%{text}", textfont={"size": 12},
            colorscale=[list(stop) for stop in theme.DIVERGING], zmin=-reach, zmax=reach,
            xgap=2, ygap=2, hoverongaps=False,
            hovertemplate="%{y}, fold %{x}: %{customdata}<extra></extra>",
            colorbar={
                "title": {
                    "text": f"better than<br>{info.reference}", "side": "top", "font": {"size": 12},
                },
                "thickness": 12, "len": 220, "lenmode": "pixels", "y": 1, "yanchor": "top",
                "tickformat": "+.2f",
            },
        )
    )  # fmt: skip
    theme.dress(figure, height=max(300, 60 + 26 * len(names)), legend=False)
    figure.update_xaxes(
        side="top", tickvals=list(range(num_folds)), showgrid=False,
        ticktext=[f"fold {fold}" for fold in range(num_folds)], title=None,
    )  # fmt: skip
    figure.update_yaxes(autorange="reversed", showgrid=False, type="category", ticksuffix="  ")
    figure.update_layout(plot_bgcolor="#fafbfc")
    return figure


def sentence(info: HeatmapInfo) -> str:
    """How to read the figure."""
    return (
        f"Each cell is the {in_sentence(info.metric)} of one trial on one held fold. Blue is "
        f"better and orange worse than {info.reference} on the same cases; empty cells are folds "
        "without a score, never run or not finished."
    )
