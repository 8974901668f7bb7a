"""What each pruned trial was stopped for beside the pruner's threshold at that moment.

A threshold moves as other trials come by, so each trial has its own: what the ledger noted when it
was stopped, see `sweep.ledger.projection.Trial`.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from dashboards import theme
from dashboards.plot import Plot, note, panels, rounded
from dashboards.queries import label, metric_of
from dashboards.text import metric_name
from sweep.ledger.projection import Projection, Trial
from sweep.records import State
from sweep.util.words import count

#: Pruned trials of a panel up to which a value is tied to its threshold by a line.
_MAX_TIES = 120


@dataclass(frozen=True, kw_only=True)
class Stop:
    """One pruned trial: where it was stopped in words, what for, and the threshold then."""

    number: int
    name: str
    where: str
    value: float
    limit: float


@dataclass(frozen=True, kw_only=True)
class StopsInfo:
    """What the figure shows.

    Attributes:
        metric: The objective.
        panels: By title the trials that were stopped there, by number.
        num_unknown: Pruned trials of which the ledger holds no threshold.
    """

    metric: str
    panels: tuple[tuple[str, tuple[Stop, ...]], ...]
    num_unknown: int


def stopped_fold(trial: Trial) -> int | None:
    """The fold that a trial was pruned in, by its epochs; None where it was not pruned so."""
    if trial.state is not State.PRUNED or not trial.log or trial.log[-1].fold in trial.folds:
        return None
    return trial.log[-1].fold


def stops_info(projection: Projection) -> StopsInfo:
    """Collect the pruned trials."""
    pruned = [trial for trial in projection.trials if trial.state is State.PRUNED]
    found: dict[int | None, list[Stop]] = defaultdict(list)
    for trial in pruned:
        if trial.judged is None:
            continue
        fold, (value, limit) = stopped_fold(trial), trial.judged
        where = f"after {count(len(trial.folds), 'fold')}"
        if fold is not None:
            where = f"epoch {max(trial.epochs.get(fold, {}), default=0)}"
        found[fold].append(
            Stop(number=trial.number, name=label(trial), where=where, value=value, limit=limit)
        )
    return StopsInfo(
        metric=metric_of(projection),
        panels=tuple(
            ("Means over folds" if fold is None else f"Monitor of fold {fold}", tuple(found[fold]))
            for fold in sorted(found, key=lambda fold: (fold is None, fold or 0))
        ),
        num_unknown=len(pruned) - sum(map(len, found.values())),
    )


def sentence(info: StopsInfo) -> str:
    """How to read it."""
    if not info.panels:
        return f"Of {count(info.num_unknown, 'pruned trial')} the ledger holds no threshold."
    text = (
        f"Each cross is the {metric_name(info.metric).lower()} for which the pruner stopped a "
        "trial, the bar above or below it where it would have gone on: the pruner's threshold at "
        "that moment. Trials stand in the order of proposal."
    )
    if info.num_unknown:
        text += f" Of {count(info.num_unknown, 'more trial')} no threshold was noted."
    return text


def stops(info: StopsInfo) -> Plot:
    """Draw it: a panel for each fold in which trials were stopped."""
    if not info.panels:
        return note("No threshold was noted.")
    columns = min(3, len(info.panels))
    plot = panels(
        [title for title, _ in info.panels], columns=columns, row_px=220, shared_y=True
    )  # fmt: skip
    for panel, (_, shown) in enumerate(info.panels):
        x = [stop.number for stop in shown]
        if len(shown) <= _MAX_TIES:
            plot.add(
                panel, x=[n for number in x for n in (number, number, None)],
                y=rounded(v for stop in shown for v in (stop.value, stop.limit, None)),
                mode="lines", name="", showlegend=False, hoverinfo="skip",
                line={"width": 1, "color": theme.PALE},
            )  # fmt: skip
        plot.add(
            panel, x=x, y=rounded(stop.limit for stop in shown), mode="markers",
            name="Pruner's threshold then",
            marker={"symbol": "line-ew-open", "size": 9, "color": theme.WINNER,
                    "line": {"width": 2.5, "color": theme.WINNER}},
            customdata=x, hovertemplate="#%{customdata}: threshold %{y}<extra></extra>",
        )  # fmt: skip
        plot.add(
            panel, x=x, y=rounded(stop.value for stop in shown), mode="markers",
            name="Value that was judged",
            marker={"symbol": "x", "size": 7, "color": theme.DEFAULT},
            customdata=x, hovertext=[stop.where for stop in shown],
            hovertemplate="#%{customdata}: %{y}, %{hovertext}<extra></extra>",
        )  # fmt: skip
        plot.x(panel, title="trial")
        if panel % columns == 0:
            plot.y(panel, title=metric_name(info.metric))
    return plot.finished()
