"""What a driver shows while it works: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sweep.analysis.operating_point import objective_name
from sweep.analysis.phrases import short
from sweep.analysis.progress import MeanDice, Overview, listing, make_overview, mean_dice
from sweep.records import State
from sweep.util.words import duration

if TYPE_CHECKING:
    from rich.table import Table

    from sweep.analysis.cost import Cost
    from sweep.ledger.projection import Projection, Trial

#: Rows of the live table; those that run come first, and the leader is always among them.
NUM_ROWS = 12
#: States of which the table only says how many there are.
_STOPPED = (State.PRUNED, State.FAILED, State.ABANDONED)
_DASH = "-"
#: Columns of a terminal that has room for all of the table's.
_WIDE = 110


@contextmanager
def watching(name: str) -> Iterator[Callable[[Projection], None]]:
    """A callback that shows a sweep's progress on standard error while the block runs."""
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.live import Live

        screen = Console(stderr=True)
        with Live(console=screen, refresh_per_second=4, transient=True) as live:
            yield lambda projection: live.update(table(name, projection, screen.width))
        return
    yield _Lines(name)


class _Lines:
    """One line per change of what is done, and one a minute in between."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._last: object = None
        self._said_at = time.monotonic()

    def __call__(self, projection: Projection) -> None:
        now = make_overview(projection)
        mark = (now.num_folds_run, now.num_trials)
        if mark == self._last and time.monotonic() - self._said_at < 60:
            return
        self._last, self._said_at = mark, time.monotonic()
        print(f"{self._name}: {line(now)}", file=sys.stderr, flush=True)


def line(now: Overview) -> str:
    """An overview in one line."""
    return ", ".join(parts for parts in (_done(now), _found(now), _left(now)) if parts)


def _done(now: Overview) -> str:
    """How far it is."""
    stopped = [f"{now.states[state]:,} {state}" for state in _STOPPED if state in now.states]
    text = f"trials {now.num_trials}/{now.num_wanted}"
    text += f" ({', '.join(stopped)})" if stopped else ""
    expected = f"{'at most ' if now.is_bound else '~'}{now.num_folds_expected}"
    return f"{text}, folds {now.num_folds_run}/{expected}"


def _found(now: Overview) -> str:
    """Which trial leads."""
    parts = [short(now.standing, now.metric)]
    if now.dice is not None:
        parts.append(f"Dice of #{now.standing.leader} {_dice(now.dice)}")
    return ", ".join((*parts, *now.cautions))


def _left(now: Overview) -> str:
    """What it has cost, what is still to come, and by what that is reckoned."""
    parts = []
    if now.cost is not None:
        parts.append(f"{_hours(now.cost.hours)} {now.cost.unit} h spent" + _money(now.cost))
        if now.cost.hours_left:
            parts.append(f"about {_hours(now.cost.hours_left)} to go")
    if now.seconds_left:  # 0 when nothing more is expected
        parts.append(f"about {duration(now.seconds_left)} left ({now.basis})")
    return ", ".join(parts)


def _money(cost: Cost) -> str:
    """Its price and the limit; nothing without one."""
    return "" if cost.money is None else f" ({cost.money})"


def _hours(hours: float) -> str:
    return f"{hours:,.0f}" if hours >= 10 else f"{hours:.2f}"


def _dice(dice: MeanDice) -> str:
    """A Dice with its rule, and what predicting nothing scores."""
    nothing = f"predicting nothing {_number(dice.baseline)}"
    if not dice.beats_nothing:
        nothing = f"no better than {nothing}"
    return f"{dice.value:.3f} ({dice.threshold}; {nothing})"


def table(name: str, projection: Projection, width: int = _WIDE) -> Table:
    """The live table: an overview in its title, the leaders in its rows.

    Args:
        name: Name of the sweep.
        projection: Projection of it.
        width: Columns of the terminal; on a narrow one what is the same in most rows is left out.
    """
    from rich.table import Table

    now = make_overview(projection)
    phantom = " (phantom)" if projection.header.is_phantom else ""
    is_wide = width >= _WIDE
    column = " as the last but one column says" if is_wide else f" {_nothing(now.dice)}"
    title = [f"{name}{phantom}: {_done(now)}", _found(now), _left(now)]
    result = Table(
        title="\n".join(text for text in title if text),
        caption="Dice counts a case as 1 when mask and prediction are both empty, so that "
        f"predicting nothing scores{column}; ahead: of the default (of the "
        "leader while that has no fold) on the folds that both have"
        + (f"\n{now.caution}" if now.caution else ""),
        title_justify="left",
        caption_justify="left",
        expand=False,
    )
    headings = ("trial", "state", "folds", objective_name(now.metric), "ahead", "Dice")
    more = ("threshold", "nothing", "seconds") if is_wide else ("seconds",)
    for heading in (*headings, *more):
        is_text = heading in ("state", "threshold")
        text = heading if is_wide else heading.replace("_", "\n")
        result.add_column(text, justify="left" if is_text else "right")
    able = listing(projection)
    shown = able[:NUM_ROWS]
    first = [pair for pair in able if pair[0].number == now.standing.leader]
    if first and first[0] not in shown:
        shown[-1:] = first
    for trial, ahead in shown:
        cells = _cells(trial, ahead, projection)
        if not is_wide:
            cells = [cells[0], cells[1].removeprefix("running "), *cells[2:6], cells[-1]]
        result.add_row(*cells)
    if len(able) > len(shown):
        result.add_row("...", f"{len(able) - len(shown)} more")
    return result


def _cells(trial: Trial, ahead: float, projection: Projection) -> list[str]:
    """A trial's row."""
    running = "" if trial.running_fold is None else f" fold {trial.running_fold}"
    if trial.running_fold is not None:
        running += f" epoch {max(trial.epochs.get(trial.running_fold, {}), default=0)}"
    dice = mean_dice(trial)
    return [
        f"{trial.number}",
        f"{trial.state}{running}",
        f"{len(trial.folds)}/{projection.num_folds}",
        _number(trial.mean_value),
        "" if trial.is_default else _signed(ahead),
        _number(None if dice is None else dice.value),
        "" if dice is None else dice.threshold.replace("threshold ", ""),
        _number(None if dice is None else dice.baseline),
        f"{trial.total_seconds:.0f}",
    ]


def _nothing(dice: MeanDice | None) -> str:
    """What predicting nothing scores, where no column says it."""
    return "well, too" if dice is None or dice.baseline is None else f"{dice.baseline:.3f}"


def _number(value: float | None) -> str:
    return _DASH if value is None or not math.isfinite(value) else f"{value:.3f}"


def _signed(value: float) -> str:
    return f"{value:+.3f}" if math.isfinite(value) else _DASH
