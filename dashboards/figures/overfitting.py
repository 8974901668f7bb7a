"""Overfitting of one trial: training and validation over the epochs, and where they part."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import median

from dashboards import theme
from dashboards.figures.diagnosis import FoldDiagnosis, diagnose, stop_metric
from dashboards.figures.fold_curves import Curve, add_curve, curve_of, titled
from dashboards.plot import Plot, panels, rounded
from dashboards.queries import label
from dashboards.text import duration, in_sentence, listed, metric_name, score, signed
from sweep.ledger.projection import Trial
from sweep.util.words import count


@dataclass(frozen=True, kw_only=True)
class OverfittingInfo:
    """What the figure shows.

    Attributes:
        trial: Its name.
        stop_metric: What early stopping watched.
        folds: Folds in order.
        losses: Training and monitor, each where it was recorded.
        watched: The stopping metric on the monitor; None if it is the loss, or was not recorded.
        departures: (epoch, monitor loss) of every fold that departed.
        kept: (epoch, stopping metric) of every fold's kept weights.
        median_departure: Median epoch of departure over the folds that departed, None without any.
        is_on_fold: Whether the scored cases themselves were the monitor.
    """

    trial: str
    stop_metric: str
    folds: tuple[FoldDiagnosis, ...]
    losses: tuple[Curve, ...]
    watched: Curve | None
    departures: tuple[tuple[int, float], ...]
    kept: tuple[tuple[int, float], ...]
    median_departure: float | None
    is_on_fold: bool


def overfitting_info(trial: Trial) -> OverfittingInfo | None:
    """Diagnose all finished folds; None without one that has both losses."""
    scores = [trial.folds[fold] for fold in sorted(trial.folds)]
    scores = [score for score in scores if {"train_loss", "monitor_loss"} <= set(score.curves)]
    if not scores:
        return None
    metric = stop_metric(trial.settings)
    folds = tuple(diagnose(score, trial.settings) for score in scores)
    key = f"monitor_{metric}"
    watched = tuple(tuple(score.curves[key]) for score in scores if score.curves.get(key))
    departed = [fold.departure for fold in folds if fold.departure is not None]
    return OverfittingInfo(
        trial=label(trial),
        stop_metric=metric,
        folds=folds,
        losses=tuple(
            curve_of(name, tuple(tuple(score.curves[f"{part}_loss"]) for score in scores))
            for name, part in (("training", "train"), ("monitor", "monitor"))
        ),
        watched=curve_of("monitor", watched) if watched and metric != "loss" else None,
        departures=tuple(
            (fold.departure, score.curves["monitor_loss"][fold.departure - 1])
            for fold, score in zip(folds, scores, strict=True)
            if fold.departure is not None
        ),
        kept=tuple(
            (fold.best_epoch, fold.metric_kept) for fold in folds if math.isfinite(fold.metric_kept)
        ),
        median_departure=median(departed) if departed else None,
        is_on_fold=trial.settings.get("selection") == "fold",
    )


def overfitting(info: OverfittingInfo) -> Plot:
    """Draw it: lines are means over the folds, bands one SD; departures and kept epochs marked."""
    columns = 1 if info.watched is None else 2
    titles = [titled(metric) for metric in ("loss", info.stop_metric)][:columns]
    plot = panels(titles, columns=columns, row_px=250)
    for curve in info.losses:
        add_curve(plot, curve, 0, metric="loss")
    _add_marks(plot, info.departures, "monitor departs", "diamond", 0)
    # A line for all folds would say of one departure what it does not show of the others.
    if info.median_departure is not None and 2 * len(info.departures) > len(info.folds):
        plot.vertical(info.median_departure, color=theme.DEFAULT, width=1.5, dash="dash")
        plot.text(
            f"median of {count(len(info.departures), 'departure')}: epoch "
            f"{info.median_departure:g}",
            domain="y", x=info.median_departure, y=1, xanchor="left", yanchor="top", xshift=4,
            bgcolor="rgba(255,255,255,0.8)",
        )  # fmt: skip
    if info.watched is not None:
        add_curve(plot, info.watched, 1, metric=info.stop_metric)
    _add_marks(plot, info.kept, "best epoch", "x", columns - 1)
    for panel, metric in enumerate(("loss", info.stop_metric)[:columns]):
        plot.x(panel, title="epoch")
        plot.y(panel, title=metric_name(metric))
    return plot.finished()


def _add_marks(
    plot: Plot, points: tuple[tuple[int, float], ...], name: str, symbol: str, panel: int
) -> None:
    if points:
        plot.add(
            panel, x=[epoch for epoch, _ in points], y=rounded(value for _, value in points),
            mode="markers", name=f"{name}, one a fold",
            marker={"symbol": symbol, "size": 9, "color": theme.DEFAULT},
            hovertemplate=f"{name}: epoch %{{x}}, %{{y}}<extra></extra>",
        )  # fmt: skip


def sentence(info: OverfittingInfo) -> str:
    """What the figure says, in numbers."""
    departed = [fold for fold in info.folds if fold.departure is not None]
    if departed:
        wider = [fold.gap_at_end - fold.gap_at_departure for fold in departed]
        rising = sum(fold.kind == "rises" for fold in departed)
        text = (
            f"In {len(departed)} of {count(len(info.folds), 'fold')} the monitor left the training "
            f"loss, which went on falling, at epoch{'s' if len(departed) > 1 else ''} "
            f"{listed([str(f.departure) for f in departed])}: {_ways(rising, len(departed))}. "
            f"By the end the gap had grown by {score(sum(wider) / len(wider))} on average. "
        )
    else:
        text = (
            f"In none of {count(len(info.folds), 'fold')} did the monitor loss rise or stall while "
            "the training loss fell, noise aside. "
        )
    text += _saved(info)
    if info.is_on_fold:
        text += " The monitor is the scored fold itself here, so the kept values are optimistic."
    return text + (
        " Training is measured on augmented patches with dropout and the monitor on whole images, "
        "so the gap's growth says more than its size."
    )


def _ways(rising: int, departed: int) -> str:
    """How the folds departed."""
    if rising in (0, departed):
        return "it got worse" if rising else "it got no better any more"
    return f"in {rising} it got worse, in {departed - rising} no better any more"


def _saved(info: OverfittingInfo) -> str:
    missing = sum(fold.epochs_not_run for fold in info.folds)
    seconds = sum(fold.seconds_not_run for fold in info.folds)
    text = (
        f"Stopping early saved {count(missing, 'epoch')} (about {duration(seconds)})"
        if missing
        else "No epoch was saved: all folds ran to their last"
    )
    gains = [
        fold.metric_kept - fold.metric_at_end
        for fold in info.folds
        if math.isfinite(fold.metric_kept) and math.isfinite(fold.metric_at_end)
    ]
    if gains:
        text += (
            f"; keeping the best epoch instead of the last changed the monitor's "
            f"{in_sentence(info.stop_metric)} by {signed(sum(gains) / len(gains))} on average"
        )
    return f"{text}."
