"""Two trials case by case: which is better on how many, and on which kinds of cases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dashboards import theme
from dashboards.plot import Plot, panels, rounded
from dashboards.report.markup import Markup, join, table, tag
from dashboards.report.predictions import CaseScores, score_cases
from dashboards.text import score, signed
from ptxcore.errors import CoreError
from ptxcore.metrics import load_table
from ptxcore.types import Rule
from sweep.analysis.operating_point import known_point
from sweep.ledger.projection import Trial
from sweep.util.words import count

#: Marks of a figure; of more cases every so many is drawn.
_MAX_MARKS = 2000
#: Dice of one case that differs by less is the same.
_SAME = 0.01
#: Shares of the image up to which a mask counts as small, and as middling.
_SIZES = (0.005, 0.02)


@dataclass(frozen=True, kw_only=True)
class Cases:
    """Cases that both trials were scored on, in one order; all arrays have shape (N,).

    Attributes:
        first: Dice of the first trial, both empty = 1.
        second: Likewise of the second.
        share: Share of the image inside the true mask.
        threshold: The rule behind both in words.
    """

    first: NDArray[np.float64]
    second: NDArray[np.float64]
    share: NDArray[np.float64]
    threshold: str


def cases_of(first: Trial, second: Trial, folders: Sequence[Path | None]) -> Cases | None:
    """Match two trials case by case, from their tables.

    Args:
        first: Any trial.
        second: Another one, on the same folds.
        folders: Folder of the sweep of each; None where it has none.

    Returns:
        None where a table is gone, or no fold is shared.
    """
    shared = sorted(set(first.folds) & set(second.folds))
    points = [known_point(trial) for trial in (first, second)]
    is_tuned = all(point is not None and point.rules for point in points)
    scores = []
    for trial, point, folder in zip((first, second), points, folders, strict=True):
        tuned = point.rules if is_tuned and point is not None else None
        found = None if folder is None else _scores(trial, shared, folder, tuned)
        if found is None:
            return None
        scores.append(found)
    one, other = scores
    _, here, there = np.intersect1d(one.case_ids, other.case_ids, return_indices=True)
    if not len(here):
        return None
    return Cases(
        first=one.dice[here],
        second=other.dice[there],
        share=one.truth_share[here],
        threshold="threshold from the other folds" if is_tuned else "fixed threshold",
    )


def _scores(
    trial: Trial, folds: Sequence[int], folder: Path, tuned: Sequence[Rule] | None
) -> CaseScores | None:
    tables, rules = {}, {}
    threshold = float(trial.settings.get("threshold", 0.5))
    order = sorted(trial.folds)
    for fold in folds:
        name = trial.folds[fold].cases
        if name is None or not (folder / name).is_file():
            return None
        try:
            tables[fold] = load_table(folder / name)
        except CoreError:
            return None
        fixed = Rule(top=threshold, min_area=0.0, bottom=threshold)
        rules[fold] = fixed if tuned is None else tuned[order.index(fold)]
    return score_cases(tables, rules) if tables else None


def cases_table(found: Cases, names: tuple[str, str]) -> Markup:
    """Which trial is better on how many cases, by kind of case."""
    small, middling = _SIZES
    share = found.share
    kinds = {
        "all cases": np.ones(len(share), bool),
        "no pneumothorax": share == 0,
        f"mask up to {small:.1%} of the image": (share > 0) & (share <= small),
        f"mask up to {middling:.1%}": (share > small) & (share <= middling),
        "larger mask": share > middling,
    }
    rows = []
    for kind, chosen in kinds.items():
        if not chosen.any():
            continue
        first, second = found.first[chosen], found.second[chosen]
        gain = second - first
        rows.append(
            (
                kind,
                f"{int(chosen.sum()):,}",
                score(float(first.mean())),
                score(float(second.mean())),
                signed(float(gain.mean())),
                f"{int((gain < -_SAME).sum()):,}",
                f"{int((np.abs(gain) <= _SAME).sum()):,}",
                f"{int((gain > _SAME).sum()):,}",
            )
        )
    one, other = names
    head = ("cases", "number", one, other, "difference", f"{one} better", "same", f"{other} better")
    text = (
        f"Mean Dice over cases, both empty = 1, {found.threshold}; each case was scored by the "
        f"network that had not seen it. The same: within {_SAME:g}."
    )
    return join(
        (
            table(head, rows, label="Case by case", numeric=range(1, 8)),
            tag("p", text, class_="small"),
        )
    )


def cases_plot(found: Cases, names: tuple[str, str]) -> Plot:
    """Dice of one trial against that of the other, a mark a case with a mask."""
    chosen = np.flatnonzero(found.share > 0)
    step = max(1, -(-len(chosen) // _MAX_MARKS))
    chosen = chosen[::step]
    plot = panels(row_px=420)
    size = 5 + 60 * np.sqrt(found.share[chosen])
    plot.add(
        x=rounded(found.first[chosen].tolist()), y=rounded(found.second[chosen].tolist()),
        mode="markers", name=f"{count(len(chosen), 'case')} with a mask, larger where it is larger",
        marker={"size": rounded(np.minimum(size, 22.0).tolist(), 3), "color": theme.WINNER,
                "opacity": 0.5},
    )  # fmt: skip
    plot.add(x=[0, 1], y=[0, 1], mode="lines", name="the same", hoverinfo="skip",
             line={"width": 1, "dash": "dash", "color": theme.OTHER})  # fmt: skip
    plot.x(title=f"Dice of {names[0]}", range=[-0.02, 1.02])
    plot.y(title=f"Dice of {names[1]}", range=[-0.02, 1.02])
    return plot.finished()
