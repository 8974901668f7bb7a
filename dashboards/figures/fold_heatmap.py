"""Trials x folds: which was scored where, and how far from the default on the very same cases.

Folds differ far more from each other than trials do (on a real task the SD between folds was
0.09 Dice, between models 0.004), so raw scores would only colour the columns. The colour is the
difference to a reference on the same fold; the number is the score itself. A fold without a score
says why: pruned, failed, lost, running; an empty cell was never run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dashboards import theme
from dashboards.plot import Plot, panels, plain, rounded
from dashboards.queries import fold_scores, fold_states, label, metric_of, ordered
from dashboards.text import in_sentence, score, signed
from sweep.ledger.projection import Projection, Trial
from sweep.records import State, as_score
from sweep.util.numbers import finite_or_none, mean_or
from sweep.util.words import count


@dataclass(frozen=True, kw_only=True)
class HeatmapInfo:
    """What the heatmap shows; None stands for a fold that was not finished.

    Attributes:
        metric: The objective.
        numbers: Numbers of the trials, best first; the last ones have no finished fold.
        names: Their names.
        states: Where each trial stands.
        scores: Scores by trial and fold, in the metric's own sign.
        differences: To the reference on the same fold; positive is better.
        cells: What became of each fold, see `dashboards.queries.fold_states`.
        reference: "the default trial", or "the fold's mean" when that lacks folds.
        num_omitted: Trials that did not fit.
    """

    metric: str
    numbers: tuple[int, ...]
    names: tuple[str, ...]
    states: tuple[str, ...]
    scores: tuple[tuple[float | None, ...], ...]
    differences: tuple[tuple[float | None, ...], ...]
    cells: tuple[tuple[str, ...], ...]
    reference: str
    num_omitted: int


def fold_heatmap_info(projection: Projection, *, limit: int = 30) -> HeatmapInfo:
    """Collect the best `limit` trials; a third of the rows is kept for those without a fold."""
    folds = range(projection.num_folds)
    scored = [trial for trial in ordered(projection) if trial.folds]
    shown = _chosen(projection, scored, limit)
    scores = [fold_scores(projection, trial) for trial in shown]
    reference, name = _reference(projection, scored)
    maximize = projection.maximize
    return HeatmapInfo(
        metric=metric_of(projection),
        numbers=tuple(trial.number for trial in shown),
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
        cells=tuple(fold_states(trial, projection.num_folds) for trial in shown),
        reference=name,
        num_omitted=len(projection.trials) - len(shown),
    )


def _chosen(projection: Projection, scored: Sequence[Trial], limit: int) -> list[Trial]:
    rest = [trial for trial in projection.trials if not trial.folds]
    room = min(len(rest), max(limit // 3, limit - len(scored)))
    best = list(scored[: limit - room])
    best += [trial for trial in scored[limit - room :] if trial.is_default]
    return best + rest[:room]


def _reference(projection: Projection, scored: Sequence[Trial]) -> tuple[dict[int, float], str]:
    default = projection.default
    if default is not None and len(default.folds) == projection.num_folds:
        return fold_scores(projection, default), "the default trial"
    by_trial = [fold_scores(projection, trial) for trial in scored]
    at = {f: [s[f] for s in by_trial if f in s] for f in range(projection.num_folds)}
    return {f: mean_or(values) for f, values in at.items()}, "the fold's mean"


#: Cells without a score: name in the legend, symbol, colour.
_MARKS = {
    "pruned": ("pruned", "triangle-down-open", theme.MUTED),
    "failed": ("failed", "x-thin-open", theme.INK),
    "running": ("running", "circle", theme.SECOND),
    "lost": ("lost, may run again", "diamond-open", theme.MUTED),
    "abandoned": ("abandoned", "square-open", theme.MUTED),
    "NaN": ("scored NaN", "asterisk-open", theme.INK),
}


def fold_heatmap(info: HeatmapInfo) -> Plot:
    """Draw it; an empty cell is a fold that was never run."""
    num_folds = len(info.scores[0]) if info.scores else 0
    names = [
        plain(name if state == State.COMPLETE else f"{name} · {state}")
        for name, state in zip(info.names, info.states, strict=True)
    ]
    plot = panels(row_px=max(120, 22 * len(names)), bottom=76)
    plot.layout["margin"]["t"] += 26
    plot.narrow["margin"]["t"] += 26
    for layout in (plot.layout, plot.narrow):
        layout["height"] += 26
    _scores(plot, info, names)
    _marks(plot, info, names)
    plot.x(
        side="top", tickvals=list(range(num_folds)), showgrid=False,
        ticktext=[f"fold {fold}" for fold in range(num_folds)],
        range=[-0.5, max(num_folds, 1) - 0.5],
    )  # fmt: skip
    plot.y(
        type="category", categoryorder="array", categoryarray=names, showgrid=False,
        ticksuffix="  ", range=[len(names) - 0.5, -0.5],
    )  # fmt: skip
    plot.layout["plot_bgcolor"] = "#fafbfc"
    return plot.finished()


def _scores(plot: Plot, info: HeatmapInfo, names: list[str]) -> None:
    """A coloured cell for each score."""
    num_folds = len(info.scores[0]) if info.scores else 0
    flat = [abs(d) for row in info.differences for d in row if d is not None]
    reach = max(flat, default=0.0) or 1.0
    plot.add(
        type="heatmap", z=[rounded(row) for row in info.differences], x=list(range(num_folds)),
        y=names, text=[["" if v is None else score(v) for v in row] for row in info.scores],
        hovertext=[
            ["" if v is None else f"{score(v)} ({signed(d)})" for v, d in zip(row, ds, strict=True)]
            for row, ds in zip(info.scores, info.differences, strict=True)
        ],
        customdata=[[number] * num_folds for number in info.numbers],
        texttemplate="%{text}", textfont={"size": 12, "color": theme.INK},
        colorscale=[list(stop) for stop in theme.DIVERGING], zmin=-reach, zmax=reach,
        xgap=2, ygap=2, hoverongaps=False,
        hovertemplate="%{y}, fold %{x}: %{hovertext}<extra></extra>",
        colorbar={
            "title": {"text": f"better than {info.reference}", "side": "top", "font": {"size": 12}},
            "orientation": "h", "thickness": 10, "len": 200, "lenmode": "pixels", "x": 0,
            "xanchor": "left", "y": 0, "yanchor": "top", "ypad": 14, "tickformat": "+.2f",
            "outlinewidth": 0, "nticks": 5,
        },
    )  # fmt: skip


def _marks(plot: Plot, info: HeatmapInfo, names: list[str]) -> None:
    """What became of folds without a score."""
    for kind, (name, symbol, color) in _MARKS.items():
        places = [
            (fold, names[row], info.numbers[row], cell)
            for row, cells in enumerate(info.cells)
            for fold, cell in enumerate(cells)
            if cell.split(" ")[0] == kind
        ]
        if places:
            plot.add(
                x=[place[0] for place in places], y=[place[1] for place in places], name=name,
                mode="markers+text", text=[_epoch(place[3]) for place in places],
                textposition="middle right", textfont={"size": 11, "color": theme.MUTED},
                marker={"symbol": symbol, "size": 9, "color": color, "line": {"width": 1.5}},
                customdata=[place[2] for place in places],
                hovertext=[place[3] for place in places],
                hovertemplate="%{y}, fold %{x}: %{hovertext}<extra></extra>",
            )  # fmt: skip


def _epoch(cell: str) -> str:
    """The epoch of "pruned in epoch 4" as "e4"."""
    _, _, epoch = cell.partition(" in epoch ")
    return f"e{epoch}" if epoch else ""


def sentence(info: HeatmapInfo) -> str:
    """How to read the figure."""
    text = (
        f"Each cell is the {in_sentence(info.metric)} of one trial on one held fold. Blue is "
        f"better and orange worse than {info.reference} on the same cases. A fold without a score "
        "has a mark that says why, with the epoch if it was stopped in one; empty cells were never "
        "run."
    )
    if info.num_omitted:
        text += f" {count(info.num_omitted, 'trial')} more stand in the table of all trials."
    return text
