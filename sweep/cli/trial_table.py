"""Trials as rows of a terminal: best first, and no more than a screen unless all are asked for."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sweep.util.words import count, duration

if TYPE_CHECKING:
    from rich.table import Table

    from sweep.analysis.summary import SweepSummary, TrialSummary

#: Rows that fit a screen.
NUM_ROWS = 20
#: Characters between two columns.
_GAP = 2
#: Those of a trial beside its score, which stands after the second.
_HEADINGS = ("trial", "state", "folds", "epochs", "time")
_FOLDS = 3
#: Characters of parameters below which they are left out.
_LEAST_PARAMETERS = 20
ORDERS = ("score", "number", "seconds", "epochs")


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Which trials are shown, and in which order.

    Attributes:
        order: One of `ORDERS`.
        states: Only trials in these; all where it is empty.
        num_rows: The most that are shown; None for all.
    """

    order: str = "score"
    states: Sequence[str] = ()
    num_rows: int | None = NUM_ROWS

    def of(self, summary: SweepSummary) -> list[TrialSummary]:
        """The trials in these states, in this order, however many they are."""
        chosen = [
            trial for trial in summary.trials if not self.states or trial.state in self.states
        ]
        if self.order == "seconds":
            return sorted(chosen, key=lambda trial: (-trial.seconds, trial.number))
        if self.order == "epochs":
            return sorted(chosen, key=lambda trial: (-trial.num_epochs, trial.number))
        if self.order == "number":
            return chosen
        sign = 1 if summary.standing.maximize else -1

        def key(trial: TrialSummary) -> tuple[bool, int, float, int]:
            """Means of fewer folds do not compare, so complete trials come first."""
            num_folds = sum(score is not None for score in trial.fold_scores)
            mean = math.nan if trial.mean is None else sign * trial.mean
            ranked = mean if math.isfinite(mean) else -math.inf
            return (trial.state != "complete", -num_folds, -ranked, trial.number)

        return sorted(chosen, key=key)


def trial_table(summary: SweepSummary, selection: Selection, width: int) -> Table:
    """The chosen trials, a line each; the caption says what is in brackets or left out.

    Args:
        summary: Summary of the sweep.
        selection: Which trials.
        width: Columns of the terminal. Parameters have columns of their own where they fit.
    """
    from rich.table import Table

    from sweep.analysis.operating_point import objective_name

    chosen = selection.of(summary)
    shown = chosen[: selection.num_rows]
    table = Table(
        title=f"{summary.name}{' (phantom)' if summary.phantom else ''}",
        box=None,
        padding=(0, _GAP, 0, 0),
        pad_edge=False,
        title_justify="left",
        caption_justify="left",
    )
    notes = _notes(summary, chosen, shown)
    rows = [_cells(trial, summary) for trial in shown]
    names = list(dict.fromkeys(name for trial in shown for name in trial.parameters))
    values = [[short(trial.parameters.get(name, "-")) for name in names] for trial in shown]
    headings = [*_HEADINGS[:2], objective_name(summary.metric), *_HEADINGS[2:]]
    if _width([*headings, *names], [[*r, *v] for r, v in zip(rows, values, strict=True)]) > width:
        for row, trial in zip(rows, shown, strict=True):
            row[_FOLDS] = f"{sum(score is not None for score in trial.fold_scores)}"
        left = width - _width(headings, rows) - _GAP
        names = ["parameters"] if left >= _LEAST_PARAMETERS else []
        values = [[cut(_sentence(trial.parameters), left)] * len(names) for trial in shown]
        notes.append("--wide shows scores by fold and all parameters")
    for heading in [*headings, *names]:
        is_text = heading in ("state", "folds", "parameters")
        table.add_column(
            heading.replace("_", "\n"), justify="left" if is_text else "right", no_wrap=True
        )
    for row, own in zip(rows, values, strict=True):
        table.add_row(*row, *own)
    table.caption = "; ".join(notes) or None
    return table


def _notes(
    summary: SweepSummary, chosen: Sequence[TrialSummary], shown: Sequence[TrialSummary]
) -> list[str]:
    notes = []
    if any(_mean(trial).startswith("(") for trial in shown):
        num_folds = max((len(trial.fold_scores) for trial in summary.trials), default=0)
        notes.append(
            f"in brackets: means of fewer than {count(num_folds, 'fold')}, which cannot win and "
            "do not compare with the others"
        )
    if len(chosen) > len(shown):
        notes.append(f"{count(len(chosen) - len(shown), 'more trial')}: --all shows them")
    return notes


def _cells(trial: TrialSummary, summary: SweepSummary) -> list[str]:
    scores = ["-" if score is None else f"{score:.3f}" for score in trial.fold_scores]
    return [
        f"{trial.number}{' *' if trial.number == summary.best else ''}",
        _state(trial),
        _mean(trial),
        " ".join(scores),
        f"{trial.num_epochs:,}",
        duration(trial.seconds),
    ]


def _width(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> int:
    """Columns of a table whose cells have a line each, and whose headings break between words."""
    cells = [[max(heading.split("_"), key=len) for heading in headings], *rows]
    return sum(max(map(len, column)) + _GAP for column in zip(*cells, strict=True)) - _GAP


def cut(text: str, width: int) -> str:
    """A text that is no longer than some characters."""
    return text if len(text) <= width else f"{text[: width - 1]}…"


def _sentence(parameters: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {short(value)}" for key, value in parameters.items())


def _state(trial: TrialSummary) -> str:
    """As every view says it, and how batches were split."""
    from sweep.analysis.phrases import state_text

    parts = f", batches in {trial.batch_parts} parts" if trial.batch_parts > 1 else ""
    return f"{state_text(trial.state, trial.reason)}{parts}"


def _mean(trial: TrialSummary) -> str:
    """In brackets where folds are missing: the easy ones may be there, the hard ones not."""
    if trial.mean is None:
        return "-"
    return f"{trial.mean:.4f}" if trial.state == "complete" else f"({trial.mean:.4f})"


def short(value: Any) -> str:
    """A value of a setting as tables have it."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)
