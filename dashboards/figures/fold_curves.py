"""Training of one trial: mean and SD over its folds, epoch by epoch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import stdev

from dashboards import theme
from dashboards.plot import Plot, panels, plain, rounded
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
        fold_numbers: Numbers of the folds.
    """

    metric: str
    curves: tuple[Curve, ...]
    fold_numbers: tuple[int, ...]
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
        fold_numbers=tuple(score.fold for score in scores),
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


_LOOK = {"training": (theme.OTHER, "dash"), "monitor": (theme.INK, "solid")}
_CONVENTION = {"dice": ", both empty = 1", "iou": ", both empty = 1"}


def fold_curves(info: CurvesInfo) -> Plot:
    """Draw it: thick lines are means, bands one SD, thin lines the monitor of single folds."""
    plot = panels(
        [titled(panel.metric) for panel in info.panels],
        columns=2 if len(info.panels) > 1 else 1,
        row_px=240,
    )
    for number, panel in enumerate(info.panels):
        for curve in panel.curves:
            add_curve(plot, curve, number, metric=panel.metric)
            if curve.name == "monitor":
                _add_folds(plot, curve, panel.fold_numbers, number)
        if panel.held:
            plot.add(
                number, x=list(panel.best_epochs), y=rounded(panel.held), mode="markers",
                name="held fold, scored once",
                marker={
                    "symbol": "x", "size": 9,
                    "color": [_fold_color(fold) for fold in panel.fold_numbers],
                    "line": {"width": 1, "color": "#ffffff"},
                },
                customdata=None, hovertext=[f"fold {fold}" for fold in panel.fold_numbers],
                hovertemplate="%{hovertext} held: %{y}, weights of epoch %{x}<extra></extra>",
            )  # fmt: skip
        plot.x(number, title="epoch")
        plot.y(number, title=plain(metric_name(panel.metric)))
    return plot.finished()


def titled(metric: str) -> str:
    """A metric as the title of a panel, with what it does with empty masks."""
    return metric_name(metric) + _CONVENTION.get(metric, "")


def _fold_color(fold: int) -> str:
    return theme.FOLDS[fold % len(theme.FOLDS)]


def _add_folds(plot: Plot, curve: Curve, folds: tuple[int, ...], panel: int) -> None:
    """Single folds, told apart by colour and dash; the legend names them once."""
    numbers = folds if len(folds) == len(curve.folds) else range(len(curve.folds))
    for fold, values in zip(numbers, curve.folds, strict=True):
        plot.add(
            panel, x=list(range(1, len(values) + 1)), y=rounded(values), mode="lines",
            name=f"monitor of fold {fold}",
            line={
                "color": _fold_color(fold), "width": 1.2,
                "dash": theme.DASHES[fold % len(theme.DASHES)],
            },
            hovertemplate=f"fold {fold}, epoch %{{x}}: %{{y}}<extra></extra>",
        )  # fmt: skip


def add_curve(plot: Plot, curve: Curve, panel: int, *, metric: str) -> None:
    """Draw mean and band of a curve into a panel, the band within what the metric can be."""
    color, dash = _LOOK[curve.name]
    epochs = list(range(1, len(curve.mean) + 1))
    least, most = bounds(metric)
    known = [
        (epoch, max(m - s, least), min(m + s, most))
        for epoch, m, s in zip(epochs, curve.mean, curve.sd, strict=True)
        if math.isfinite(m)
    ]
    plot.add(
        panel, x=[e for e, _, _ in known] + [e for e, _, _ in reversed(known)],
        y=rounded([high for _, _, high in known] + [low for _, low, _ in reversed(known)]),
        fill="toself", mode="lines", line={"width": 0}, fillcolor=color, opacity=0.12,
        hoverinfo="skip",
    )  # fmt: skip
    # Once folds stop early the mean is one of fewer folds: dotted, so that a jump is no surprise.
    full = sum(number == max(curve.num_folds) for number in curve.num_folds)
    for part, style in ((slice(0, full), dash), (slice(max(full - 1, 0), None), "dot")):
        plot.add(
            panel, x=epochs[part], y=rounded(curve.mean[part]), mode="lines",
            name=f"{curve.name}, mean over folds",
            line={"color": color, "width": 2.5, "dash": style},
            hovertext=[
                f"± {sd:.3f} ({number} folds)"
                for sd, number in zip(curve.sd[part], curve.num_folds[part], strict=True)
            ],
            hovertemplate="epoch %{x}: %{y} %{hovertext}<extra></extra>",
        )  # fmt: skip
