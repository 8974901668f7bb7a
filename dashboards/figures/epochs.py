"""One trial's monitor epoch by epoch, unfinished folds too, among those that became complete."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from dashboards import theme
from dashboards.figures.stops import stopped_fold
from dashboards.plot import Plot, panels, rounded
from dashboards.queries import fold_states, label, metric_of
from dashboards.text import metric_name
from sweep.ledger.projection import Projection, Trial
from sweep.records import State


@dataclass(frozen=True, kw_only=True)
class FoldEpochs:
    """One fold that was begun.

    Attributes:
        fold: Zero-based fold.
        state: What became of it, as `dashboards.queries.fold_states` says it.
        epochs: One-based epochs, growing.
        values: Objective on the monitor cases; NaN where it was none.
        judged: The value that the pruner stopped it for, and its threshold then; None where it was
            not stopped here, or that was not noted.
        others: Lowest, middle and highest value of the complete trials by epoch from 1, on
            this fold, as far as at least three of them went.
    """

    fold: int
    state: str
    epochs: tuple[int, ...]
    values: tuple[float, ...]
    judged: tuple[float, float] | None
    others: tuple[tuple[float, float, float], ...]


@dataclass(frozen=True, kw_only=True)
class EpochsInfo:
    """What the figure shows.

    Attributes:
        trial: Name of the trial.
        metric: The objective.
        folds: Folds that have an epoch.
    """

    trial: str
    metric: str
    folds: tuple[FoldEpochs, ...]


def epochs_info(projection: Projection, trial: Trial) -> EpochsInfo:
    """Collect a trial's epochs and those of the others at the same place."""
    states = fold_states(trial, projection.num_folds)
    complete = [
        other for other in projection.trials if other.state is State.COMPLETE and other is not trial
    ]
    return EpochsInfo(
        trial=label(trial),
        metric=metric_of(projection),
        folds=tuple(
            FoldEpochs(
                fold=fold,
                state=states[fold],
                epochs=tuple(sorted(trial.epochs[fold])),
                values=tuple(trial.epochs[fold][epoch] for epoch in sorted(trial.epochs[fold])),
                judged=trial.judged if stopped_fold(trial) == fold else None,
                others=_others(complete, fold),
            )
            for fold in sorted(trial.epochs)
            if fold < projection.num_folds and trial.epochs[fold]
        ),
    )


def _others(complete: Sequence[Trial], fold: int) -> tuple[tuple[float, float, float], ...]:
    found = []
    for epoch in range(1, 10_000):
        values = sorted(
            value
            for trial in complete
            if math.isfinite(value := trial.epochs.get(fold, {}).get(epoch, math.nan))
        )
        if len(values) < 3:
            break
        found.append((values[0], values[len(values) // 2], values[-1]))
    return tuple(found)


def sentence(info: EpochsInfo) -> str:
    """How to read it, and where the trial was stopped."""
    text = f"{metric_name(info.metric)} on the monitor cases by epoch."
    if any(one.others for one in info.folds):
        text += (
            " The band spans the other trials that became complete, the dashed line is their "
            "middle one."
        )
    if any(one.judged is not None for one in info.folds):
        text += (
            " The ring is the value that the pruner judged, the bar its threshold at that moment."
        )
    ends = [f"fold {one.fold}: {one.state}" for one in info.folds if one.state != "scored"]
    return f"{text} {info.trial} in {'; '.join(ends)}." if ends else text


def epochs(info: EpochsInfo) -> Plot:
    """Draw it: a panel a fold, a cross where it was stopped."""
    titles = [f"Fold {one.fold}" for one in info.folds]
    notes = ["" if one.state == "scored" else one.state for one in info.folds]
    columns = min(3, max(1, len(info.folds)))
    plot = panels(titles, notes=notes, columns=columns, row_px=190, shared_y=True)
    for panel, one in enumerate(info.folds):
        x = list(range(1, len(one.others) + 1))
        if x:
            plot.add(panel, x=x, y=rounded(o[2] for o in one.others), mode="lines", name="",
                     line={"width": 0}, showlegend=False, hoverinfo="skip")  # fmt: skip
            plot.add(panel, x=x, y=rounded(o[0] for o in one.others), mode="lines",
                     name="Range of complete trials", line={"width": 0}, fill="tonexty",
                     fillcolor="rgba(123,135,148,0.22)", hoverinfo="skip")  # fmt: skip
            plot.add(panel, x=x, y=rounded(o[1] for o in one.others), mode="lines",
                     name="Their middle",
                     line={"width": 1.5, "dash": "dash", "color": theme.OTHER})  # fmt: skip
        is_stopped = one.state not in ("scored", "running")
        sizes = [6.0] * len(one.epochs)
        symbols = ["circle"] * len(one.epochs)
        if is_stopped and one.epochs:
            sizes[-1], symbols[-1] = 12.0, "x"
        plot.add(panel, x=list(one.epochs), y=rounded(one.values), mode="lines+markers",
                 name=info.trial, line={"width": 2.5, "color": theme.WINNER},
                 marker={"size": sizes, "symbol": symbols, "color": theme.WINNER})  # fmt: skip
        if one.judged is not None and one.epochs:
            _threshold(plot, panel, one.epochs[-1], one.judged)
        plot.x(panel, title="epoch", rangemode="tozero")
    plot.y(0, title=metric_name(info.metric))
    return plot.finished()


def _threshold(plot: Plot, panel: int, epoch: int, judged: tuple[float, float]) -> None:
    """Where it was stopped: what was judged, and the pruner's threshold as a bar."""
    value, limit = rounded(judged)
    plot.add(
        panel,
        x=[epoch, epoch],
        y=[value, limit],
        mode="lines",
        name="",
        showlegend=False,
        hoverinfo="skip",
        line={"width": 1.5, "dash": "dot", "color": theme.DEFAULT},
    )
    plot.add(
        panel,
        x=[epoch],
        y=[value],
        mode="markers",
        name="Value that was judged",
        marker={"symbol": "circle-open", "size": 11, "color": theme.DEFAULT, "line": {"width": 2}},
    )
    plot.add(panel, x=[epoch], y=[limit], mode="markers", name="Pruner's threshold then",
             marker={"symbol": "line-ew-open", "size": 16, "color": theme.DEFAULT,
                     "line": {"width": 3, "color": theme.DEFAULT}})  # fmt: skip
