"""What a driver shows while it works: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sweep.analysis.progress import Overview, listing, make_overview
from sweep.analysis.standing import Outcome
from sweep.analysis.verdict import leading
from sweep.records import State

if TYPE_CHECKING:
    from rich.table import Table

    from sweep.ledger.projection import Projection

#: Rows of the live table; those that run come first, and who leads is always among them.
NUM_ROWS = 12
#: States of which the table only says how many there are.
_STOPPED = (State.PRUNED, State.FAILED, State.ABANDONED)
_DASH = "-"


@contextmanager
def watching(name: str) -> Iterator[Callable[[Projection], None]]:
    """A callback that shows a sweep's progress on standard error while the block runs."""
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.live import Live

        with Live(console=Console(stderr=True), refresh_per_second=4, transient=True) as live:
            yield lambda projection: live.update(table(name, projection))
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
        mark = (now.num_folds_run, now.num_candidates)
        if mark == self._last and time.monotonic() - self._said_at < 60:
            return
        self._last, self._said_at = mark, time.monotonic()
        print(f"{self._name}: {line(now)}", file=sys.stderr, flush=True)


def line(now: Overview) -> str:
    """An overview in one line."""
    parts = [
        f"trials {now.num_candidates}/{now.num_wanted}",
        f"folds {now.num_folds_run}/{'at most ' if now.is_bound else '~'}{now.num_folds_expected}",
    ]
    found = now.standing
    if found.winner is not None:
        parts.append(f"winner #{found.winner} {_number(found.mean)}")
    elif found.outcome is Outcome.OPEN:
        parts.append(f"no winner yet: {leading(found)}")
    if found.leader is not None:
        parts.append(
            f"Dice of #{found.leader} at the fixed threshold {_number(now.dice)} "
            f"(predicting nothing {_number(now.baseline)})"
        )
    parts += now.cautions
    if now.seconds_left is not None:
        parts.append(f"about {duration(now.seconds_left)} left")
    return ", ".join(parts)


def table(name: str, projection: Projection) -> Table:
    """The live table: an overview in its title, the leaders in its rows."""
    from rich.table import Table

    now = make_overview(projection)
    phantom = " (phantom)" if projection.header.is_phantom else ""
    result = Table(
        title=f"{name}{phantom}: {line(now)}",
        caption="Dice, at the fixed threshold of the settings, counts a case as 1 when mask and "
        "prediction are both empty; ahead: of the default (of who leads while that has no fold) "
        "on the folds that both have" + (f"\n{now.caution}" if now.caution else ""),
        expand=False,
    )
    metric = projection.header.metric
    for heading in ("trial", "state", "folds", metric, "ahead", "Dice", "seconds"):
        result.add_column(heading, justify="left" if heading == "state" else "right")
    able = listing(projection)
    shown = able[:NUM_ROWS]
    first = [pair for pair in able if pair[0].number == now.standing.leader]
    if first and first[0] not in shown:
        shown[-1:] = first
    for one, ahead in shown:
        dice = [score.metrics["dice"] for score in one.folds.values() if "dice" in score.metrics]
        running = "" if one.running_fold is None else f" fold {one.running_fold}"
        if one.running_fold is not None:
            running += f" epoch {max(one.epochs.get(one.running_fold, {}), default=0)}"
        result.add_row(
            f"{one.number}",
            f"{one.state}{running}",
            f"{len(one.folds)}/{projection.num_folds}",
            _number(projection.displayed(one.mean)),
            "" if one.is_default else _signed(ahead),
            _number(sum(dice) / len(dice) if dice else None),
            f"{one.seconds:.0f}",
        )
    rest = [f"{len(able) - len(shown)} more"] if len(able) > len(shown) else []
    rest += [f"{now.states[state]} {state}" for state in _STOPPED if state in now.states]
    if rest:
        result.add_row("...", ", ".join(rest), *[""] * 5)
    return result


def duration(seconds: float) -> str:
    """A time span for people: "45 s", "12 min", "3 h 20 min"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def _number(value: float | None) -> str:
    return _DASH if value is None or not math.isfinite(value) else f"{value:.3f}"


def _signed(value: float) -> str:
    return f"{value:+.3f}" if math.isfinite(value) else _DASH
