"""Trials best first: by how much each differs from the default on the same folds.

Folds differ far more from each other than trials do, so means with their own intervals overlap
wherever there is something to see. What can be compared is the difference on the same folds; it is
drawn wide, with the corrected interval that `compare` and the verdict have, and the absolute means
thin beside it: the objective, and Dice with what predicting nothing at all would score, because a
Dice near that line means nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from dashboards import theme
from dashboards.plot import Plot, panels, plain, rounded
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
from dashboards.text import in_sentence, metric_name, score, signed
from ptxcore.metrics import bounds
from sweep.analysis.cohort import overlap_ratio
from sweep.analysis.phrases import correction
from sweep.analysis.standing import compare_folds, is_over, num_compared
from sweep.ledger.projection import Projection, Trial
from sweep.records import DEFAULT_TRIAL, State
from sweep.util.numbers import mean_or


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One trial in one panel.

    Attributes:
        number: Number of the trial.
        name: Name, as the axis shows it.
        mean: Over its finished folds; of a difference over those that the reference has too.
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
        differences: To the default trial on the same folds, better is positive or negative as the
            metric has it; empty where the default has no score.
        num_compared: What their intervals are corrected for.
        panels: Absolute means: the objective first, then Dice if that is not the objective itself.
        names: Names of the trials shown, best first.
        num_omitted: Scored trials that did not fit.
        num_unscored: Trials without a mean: no fold is finished, or one is NaN.
    """

    num_folds: int
    leader: int | None
    is_over: bool
    differences: tuple[Entry, ...]
    num_compared: int
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
        differences=_differences(projection, shown),
        num_compared=num_compared(projection),
        panels=tuple(panels),
        names=tuple(_name(trial, projection) for trial in shown),
        num_omitted=len(scored) - len(shown),
        num_unscored=len(projection.trials) - len(scored),
    )


def _differences(projection: Projection, shown: Sequence[Trial]) -> tuple[Entry, ...]:
    default = projection.default
    reference = {} if default is None else fold_scores(projection, default)
    entries = []
    for trial in shown:
        values = fold_scores(projection, trial)
        found = compare_folds(
            values,
            reference,
            test_train_ratio=overlap_ratio(projection.header),
            num_compared=num_compared(projection),
        )
        if found is None:
            continue
        found = found.within(*bounds(metric_of(projection)))
        complete = trial.state is State.COMPLETE
        judged = complete and not trial.is_default and math.isfinite(found.low)
        entries.append(
            Entry(
                number=trial.number,
                name=_name(trial, projection),
                mean=found.mean,
                low=found.low if judged else None,
                high=found.high if judged else None,
                folds=tuple(
                    value - reference[fold]
                    for fold, value in values.items()
                    if math.isfinite(reference.get(fold, math.nan))
                ),
                complete=complete,
            )
        )
    return tuple(entries)


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
    return f"{label(trial)} · {len(trial.folds)}/{projection.num_folds}"


_LOOK = {
    "winner": ("Winner", theme.WINNER, "diamond", 11),
    "leader": ("In the lead, not over", theme.WINNER, "diamond-open", 11),
    "default": ("Default settings", theme.DEFAULT, "square", 9),
    "complete": ("Other complete trials", theme.INK, "circle", 8),
    "partial": ("Partial: fewer folds", theme.OTHER, "circle-open", 8),
}


def leaderboard(info: LeaderboardInfo) -> Plot:
    """Draw it: filled marks are complete, hollow ones partial, ticks single folds."""
    shown = _with_complete(info)
    titles = ["Difference to the default", *(panel.title for panel in shown)]
    notes = ["on the same folds", *(panel.note for panel in shown)]
    widths = (2.2, *(1.0 for _ in shown))
    plot = panels(
        titles, notes=notes, columns=len(titles), widths=widths, gap=0.05, shared_y=True,
        row_px=22 * max(3, len(info.names)) + 12, bottom=28,
    )  # fmt: skip
    reach = _reach(info.differences)
    names = [plain(name) for name in info.names]
    for column in range(len(titles)):
        plot.y(
            column, type="category", categoryorder="array", categoryarray=names, showgrid=False,
            range=[len(names) - 0.4, -0.6], ticksuffix="  ",
        )  # fmt: skip
    plot.vertical(0.0, color=theme.DEFAULT, width=1.5)
    plot.x(range=list(reach), tickformat="+.3~f", nticks=5, tickangle=0)
    for kind in _LOOK:
        entries = [entry for entry in info.differences if _kind(entry, info) == kind]
        _add_marks(plot, entries, kind, 0, reach)
    for number, panel in enumerate(shown, start=1):
        whole = [entry for entry in panel.entries if entry.complete]
        for kind in _LOOK:
            _add_marks(plot, [e for e in whole if _kind(e, info) == kind], kind, number, None)
        plot.x(number, nticks=3, tickangle=0)
        if panel.baseline is not None:
            plot.vertical(panel.baseline, number, color=theme.BASELINE, width=1.5, dash="dash")
            plot.text(
                f"all empty {score(panel.baseline)}", number, domain="y", x=panel.baseline, y=0,
                yanchor="bottom", bgcolor="rgba(255,255,255,0.85)",
            )  # fmt: skip
            # One empty row below the last trial keeps the label clear of the marks.
            for each in range(len(titles)):
                plot.y(each, range=[len(names) + 0.4, -0.6])
    return plot.finished()


def _with_complete(info: LeaderboardInfo) -> list[Panel]:
    """Means of fewer folds have no place beside those of all."""
    return [panel for panel in info.panels if any(entry.complete for entry in panel.entries)]


def _reach(entries: Sequence[Entry]) -> tuple[float, float]:
    """What the axis shows: every fold, not every end of a wide interval."""
    values = [0.0, *(value for entry in entries for value in entry.folds)]
    low, high = min(values), max(values)
    room = 0.12 * (high - low) or 0.01
    return low - room, high + room


def _kind(entry: Entry, info: LeaderboardInfo) -> str:
    if entry.number == info.leader and not info.is_over:
        return "leader"
    if not entry.complete:
        return "partial"
    if entry.number == info.leader:
        return "winner"
    return "default" if entry.number == DEFAULT_TRIAL else "complete"


def _add_marks(
    plot: Plot,
    entries: Sequence[Entry],
    kind: str,
    panel: int,
    reach: tuple[float, float] | None,
) -> None:
    if not entries:
        return
    name, color, symbol, size = _LOOK[kind]
    write = score if panel else signed
    plot.add(
        panel,
        x=rounded(value for entry in entries for value in entry.folds),
        y=[plain(entry.name) for entry in entries for _ in entry.folds],
        mode="markers",
        marker={"size": 9, "symbol": "line-ns-open", "color": color, "line": {"width": 1}},
        hovertemplate="%{y}: one fold %{x}<extra></extra>",
    )
    judged = [entry for entry in entries if entry.low is not None and entry.high is not None]
    xs: list[float | None] = []
    for entry in judged:
        assert entry.low is not None
        assert entry.high is not None
        ends = (entry.low, entry.high) if reach is None else (
            max(entry.low, reach[0]), min(entry.high, reach[1]))  # fmt: skip
        xs += [*ends, None]
    plot.add(
        panel, x=rounded(xs), y=[y for e in judged for y in (plain(e.name), plain(e.name), None)],
        mode="lines", line={"color": color, "width": 1.5}, hoverinfo="skip",
    )  # fmt: skip
    if reach is not None:
        _add_ends(plot, judged, color, reach)
    texts = [
        f"{entry.name}: {write(entry.mean)}"
        + ("" if entry.low is None else f" ({write(entry.low)} to {write(entry.high)})")
        for entry in entries
    ]
    plot.add(
        panel, x=rounded(entry.mean for entry in entries), y=[plain(e.name) for e in entries],
        mode="markers", name=name, legendgroup=kind, showlegend=panel == 0,
        marker={"size": size, "color": color, "symbol": symbol, "line": {"width": 1.5}},
        customdata=[entry.number for entry in entries], hovertext=[plain(text) for text in texts],
        hovertemplate="%{hovertext}<extra></extra>",
    )  # fmt: skip


def _add_ends(plot: Plot, entries: Sequence[Entry], color: str, reach: tuple[float, float]) -> None:
    """Arrows where an interval goes on beyond the axis."""
    for side, symbol in ((0, "triangle-left"), (1, "triangle-right")):
        beyond = [
            entry.name
            for entry in entries
            if entry.low is not None
            and entry.high is not None
            and (entry.low < reach[0] if side == 0 else entry.high > reach[1])
        ]
        if beyond:
            plot.add(
                x=[reach[side]] * len(beyond), y=[plain(name) for name in beyond], mode="markers",
                marker={"symbol": symbol, "size": 8, "color": color}, cliponaxis=False,
                hoverinfo="skip",
            )  # fmt: skip


def sentence(info: LeaderboardInfo, metric: str) -> str:
    """How to read the leaderboard."""
    start = "Left the" if (has_means := bool(_with_complete(info))) else "The"
    text = (
        f"{start} difference in {in_sentence(metric)} to the default on the folds that both have: "
        "marks are means, ticks single folds, lines 95% intervals "
        f"({correction(info.num_compared)}; an arrow where one goes on). An interval that crosses "
        "the line at 0 does not tell the two apart. Hollow marks have fewer folds (2/5: two of "
        "five), no interval, and cannot win."
    )
    if not has_means:
        return text
    return (
        f"{text} Right the absolute means of complete trials with plain 95% intervals, which must "
        "not be compared by overlap."
    )
