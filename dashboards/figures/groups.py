"""Scores by size of the true mask and by view: a mean over all cases hides what is missed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from dashboards import theme
from dashboards.plot import Plot, panels, plain, rounded
from dashboards.text import metric_name
from sweep.analysis.statistics import Interval

#: Panels: what is measured, by which group, and the title.
_PANELS = (
    ("dice", "size", "Dice by size of the mask"),
    ("case_sensitivity", "size", "Case sensitivity by size of the mask"),
    ("dice", "view", "Dice by view, both empty = 1"),
    ("dice_positive", "view", "Dice over positive cases by view"),
)


class Row(Protocol):
    """A metric of one group; `dashboards.report.findings.MetricRow` is one."""

    @property
    def metric(self) -> str:
        """Its name, the group included."""

    @property
    def winner(self) -> Interval:
        """The winner's, or the leader's, over the folds."""

    @property
    def rival(self) -> Interval | None:
        """Likewise of the trial that it is compared with."""

    @property
    def all_empty(self) -> float | None:
        """Score of predicting nothing."""


@dataclass(frozen=True, kw_only=True)
class GroupsInfo:
    """What the figure shows: by panel its title and the rows, groups in their order."""

    panels: tuple[tuple[str, tuple[Row, ...]], ...]


def groups_info(rows: Iterable[Row]) -> GroupsInfo:
    """Sort rows into panels; those without a group are left out."""
    known = {row.metric: row for row in rows}
    found = []
    for metric, group, title in _PANELS:
        own = tuple(row for name, row in known.items() if name.startswith(f"{metric}_{group}_"))
        if own:
            found.append((title, own))
    return GroupsInfo(panels=tuple(found))


def groups(info: GroupsInfo, *, name: str, rival: str = "default") -> Plot:
    """Draw it: means with intervals over the folds.

    Args:
        info: See `groups_info`.
        name: What the trial is called, as a legend entry.
        rival: What the trial is called that it is compared with.
    """
    most = max((len(rows) for _, rows in info.panels), default=1)
    plot = panels(
        [title for title, _ in info.panels] or [""], columns=min(2, max(1, len(info.panels))),
        row_px=34 * most + 10, gap=0.2, bottom=28,
    )  # fmt: skip
    for number, (_, rows) in enumerate(info.panels):
        labels = [plain(_group(row.metric)) for row in rows]
        rivals = [(n, row.rival) for n, row in enumerate(rows) if row.rival is not None]
        _add(plot, number, rivals, labels, rival, theme.DEFAULT, "square", 0.16)
        winners = [(n, row.winner) for n, row in enumerate(rows)]
        _add(plot, number, winners, labels, name, theme.WINNER, "diamond", -0.16)
        empty = [(n, row.all_empty) for n, row in enumerate(rows) if row.all_empty is not None]
        if empty:
            plot.add(
                number, x=rounded(value for _, value in empty), y=[n for n, _ in empty],
                mode="markers", name="predicting nothing",
                marker={
                    "symbol": "line-ns-open", "size": 22, "color": theme.INK, "line": {"width": 2}
                },
                hovertemplate="predicting nothing: %{x}<extra></extra>",
            )  # fmt: skip
        plot.x(number, range=[-0.02, 1.02], nticks=6)
        plot.y(
            number, tickvals=list(range(len(labels))), ticktext=labels, showgrid=False,
            range=[len(labels) - 0.5, -0.5], ticksuffix="  ",
        )  # fmt: skip
    return plot.finished()


def _add(
    plot: Plot,
    panel: int,
    found: list[tuple[int, Interval]],
    labels: list[str],
    name: str,
    color: str,
    symbol: str,
    shift: float,
) -> None:
    if not found:
        return
    places = [n + shift for n, _ in found]
    ends = [x for _, one in found for x in (one.low, one.high, None)]
    plot.add(
        panel, x=rounded(ends), y=[y for place in places for y in (place, place, None)],
        mode="lines", line={"color": color, "width": 1.5}, hoverinfo="skip",
    )  # fmt: skip
    plot.add(
        panel, x=rounded(one.mean for _, one in found), y=places, mode="markers", name=plain(name),
        marker={"color": color, "symbol": symbol, "size": 9},
        hovertext=[labels[n] for n, _ in found],
        hovertemplate="%{hovertext}: %{x}<extra></extra>",
    )  # fmt: skip


def _group(metric: str) -> str:
    """Only the group of a metric's name, "smallest quarter"."""
    group = metric_name(metric).rsplit(", ", 1)[-1]
    return group.removesuffix(" of masks").removeprefix("view ")


def sentence() -> str:
    """How to read the figure."""
    return (
        "Means over the folds with 95% intervals that take overlapping training parts into "
        "account, not corrected for the number of groups. Quarters are parted by the areas of the "
        "positive cases of all folds on the original grid; the hold-out has no part in them. Empty "
        "masks count as everywhere; a fold without a case of a group is left out of its mean."
    )
