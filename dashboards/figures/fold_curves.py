"""Training of one trial: mean and SD over its folds, epoch by epoch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import stdev

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from dashboards import theme
from dashboards.queries import fold_metric, label, metric_of
from dashboards.text import metric_name
from ptxcore.metrics import bounds
from sweep.ledger.projection import Projection, Trial
from sweep.util.numbers import mean_or


@dataclass(frozen=True, kw_only=True)
class Curve:
    """One quantity over the epochs.

    Attributes:
        name: "training" or "monitor".
        folds: Values by fold, as many as the fold trained epochs; NaN where there was none.
        mean: Over the folds that still trained, one per epoch.
        sd: Sample SD likewise; 0 where a single fold is left.
        num_folds: Folds that still trained, by epoch.
    """

    name: str
    folds: tuple[tuple[float, ...], ...]
    mean: tuple[float, ...]
    sd: tuple[float, ...]
    num_folds: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class CurvePanel:
    """One metric.

    Attributes:
        metric: Its name.
        curves: Training and monitor where they exist.
        best_epochs: One-based epoch that was best on the monitor, by fold.
        held: Score of those weights on the held fold, empty where the metric has none.
    """

    metric: str
    curves: tuple[Curve, ...]
    best_epochs: tuple[int, ...]
    held: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class CurvesInfo:
    """What the figure shows: `trial` and one panel per metric, loss first."""

    trial: str
    panels: tuple[CurvePanel, ...]


def fold_curves_info(projection: Projection, trial: Trial) -> CurvesInfo:
    """Collect loss, Dice, IoU and the objective, each where it was recorded."""
    metrics = list(dict.fromkeys(("loss", metric_of(projection), "dice", "iou")))
    panels = (_panel(trial, metric) for metric in metrics)
    return CurvesInfo(trial=label(trial), panels=tuple(panel for panel in panels if panel.curves))


def _panel(trial: Trial, metric: str) -> CurvePanel:
    scores = [trial.folds[fold] for fold in sorted(trial.folds)]
    curves = []
    for name, key in (("training", f"train_{metric}"), ("monitor", f"monitor_{metric}")):
        folds = tuple(tuple(score.curves[key]) for score in scores if score.curves.get(key))
        if folds:
            curves.append(curve_of(name, folds))
    held = tuple(fold_metric(trial, metric).values())
    return CurvePanel(
        metric=metric,
        curves=tuple(curves),
        best_epochs=tuple(score.best_epoch for score in scores),
        held=held if len(held) == len(scores) else (),
    )


def curve_of(name: str, folds: tuple[tuple[float, ...], ...]) -> Curve:
    """Mean and SD over the folds that still trained, epoch by epoch; `name` as in `Curve`."""
    means, sds, counts = [], [], []
    for epoch in range(max(map(len, folds))):
        values = [fold[epoch] for fold in folds if epoch < len(fold) and math.isfinite(fold[epoch])]
        means.append(mean_or(values))
        sds.append(stdev(values) if len(values) > 1 else 0.0)
        counts.append(len(values))
    return Curve(name=name, folds=folds, mean=tuple(means), sd=tuple(sds), num_folds=tuple(counts))


_LOOK = {"training": (theme.OTHER, "dash"), "monitor": (theme.WINNER, "solid")}


def fold_curves(info: CurvesInfo) -> go.Figure:
    """Draw it: thin lines are folds, thick ones the mean, the band is one SD to each side."""
    columns = 2 if len(info.panels) > 1 else 1
    rows = max(1, math.ceil(len(info.panels) / columns))
    figure = make_subplots(
        rows=rows, cols=columns, horizontal_spacing=0.09, vertical_spacing=0.16,
        subplot_titles=[theme.plain(metric_name(panel.metric)) for panel in info.panels],
    )  # fmt: skip
    named: set[str] = set()
    for number, panel in enumerate(info.panels):
        place = {"row": number // columns + 1, "col": number % columns + 1}
        for curve in panel.curves:
            first = curve.name not in named
            add_curve(figure, curve, place, metric=panel.metric, first=first)
            named.add(curve.name)
        if panel.held:
            figure.add_trace(
                go.Scatter(
                    x=list(panel.best_epochs), y=list(panel.held), mode="markers",
                    name="held fold, scored once", legendgroup="held",
                    showlegend="held" not in named,
                    marker={"symbol": "x", "size": 8, "color": theme.DEFAULT},
                    hovertemplate="held fold %{y:.3f}, weights of epoch %{x}<extra></extra>",
                ),
                **place,
            )  # fmt: skip
            named.add("held")
        figure.update_xaxes(title_text="epoch", rangemode="tozero", **place)
    return theme.dress(figure, height=110 + 270 * rows)


def add_curve(
    figure: go.Figure, curve: Curve, place: dict[str, int], *, metric: str, first: bool
) -> None:
    """Draw a curve into a panel, its band within what the metric can be.

    The `first` of its name stands in the legend.
    """
    color, dash = _LOOK[curve.name]
    for fold in curve.folds:
        figure.add_trace(
            go.Scatter(
                x=list(range(1, len(fold) + 1)), y=list(fold), mode="lines", showlegend=False,
                line={"color": color, "width": 0.8}, opacity=0.35, hoverinfo="skip",
            ),
            **place,
        )  # fmt: skip
    epochs = list(range(1, len(curve.mean) + 1))
    least, most = bounds(metric)
    upper = [min(m + s, most) for m, s in zip(curve.mean, curve.sd, strict=True)]
    lower = [max(m - s, least) for m, s in zip(curve.mean, curve.sd, strict=True)]
    figure.add_trace(
        go.Scatter(
            x=epochs + epochs[::-1], y=upper + lower[::-1], fill="toself", mode="lines",
            line={"width": 0}, fillcolor=color, opacity=0.15, hoverinfo="skip", showlegend=False,
        ),
        **place,
    )  # fmt: skip
    # Once folds stop early the mean is one of fewer folds: dotted, so that a jump is no surprise.
    full = sum(number == max(curve.num_folds) for number in curve.num_folds)
    for part, style in ((slice(0, full), dash), (slice(max(full - 1, 0), None), "dot")):
        figure.add_trace(
            go.Scatter(
                x=epochs[part], y=list(curve.mean[part]), mode="lines",
                name=f"{curve.name}, mean over folds", legendgroup=curve.name,
                showlegend=first and part.start == 0,
                line={"color": color, "width": 2.5, "dash": style},
                customdata=list(zip(curve.sd[part], curve.num_folds[part], strict=True)),
                hovertemplate="epoch %{x}: %{y:.3f} ± %{customdata[0]:.3f} "
                "(%{customdata[1]} folds)<extra></extra>",
            ),
            **place,
        )  # fmt: skip
