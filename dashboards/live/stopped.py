"""Why trials did not become complete: reasons, how often each, and which trials."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence

from dashboards.live.page import sweep_url
from dashboards.queries import label
from dashboards.report.markup import Markup, join, table, tag
from dashboards.text import duration
from sweep.ledger.projection import Projection, Trial
from sweep.records import State
from sweep.util.words import count

#: Trials that a row names; the table of trials has them all.
_NAMED = 8
_PLACE = re.compile(r"^(?:pruned|failed) in fold (\d+)(?:, epoch (\d+))?$")
_STOPPED = (State.PRUNED, State.FAILED, State.ABANDONED)


def stopped(name: str, projection: Projection) -> Markup:
    """A table of reasons, those of most trials first.

    Args:
        name: Name of the sweep.
        projection: Projection of it.
    """
    by_reason: dict[tuple[str, str], list[Trial]] = defaultdict(list)
    for trial in projection.trials:
        if trial.state in _STOPPED:
            by_reason[_reason(trial)].append(trial)
    if not by_reason:
        return tag("p", "No trial was stopped.")
    groups = sorted(by_reason.items(), key=lambda group: -len(group[1]))
    rows = [
        (what, where, f"{len(trials):,}", _epochs(trials), _spent(trials), _named(name, trials))
        for (what, where), trials in groups
    ]
    head = ("why", "where", "trials", "epochs trained", "time", "which")
    total = sum(map(len, by_reason.values()))
    seconds = sum(trial.total_seconds for trials in by_reason.values() for trial in trials)
    text = (
        f"{count(total, 'trial')} of {len(projection.trials):,} did not become complete and took "
        f"{duration(seconds)}. A trial that was pruned was worse than the others at the same fold "
        "and epoch, by the rule of the search space; its page shows its curve among theirs."
    )
    return join(
        (tag("p", text), table(head, rows, label="Why trials were stopped", numeric=(2, 3, 4)))
    )


def _reason(trial: Trial) -> tuple[str, str]:
    """What stopped a trial, and in which fold."""
    reason = trial.reason or ""
    if found := _PLACE.match(reason):
        return str(trial.state), f"fold {found[1]}"
    fold = f"fold {trial.log[-1].fold}" if trial.log else "before its first fold"
    if trial.state is State.ABANDONED:
        fold = "between folds"
    return f"{trial.state}: {reason}" if reason else str(trial.state), fold


def _epochs(trials: Sequence[Trial]) -> str:
    low, high = min(t.num_epochs for t in trials), max(t.num_epochs for t in trials)
    return f"{low}" if low == high else f"{low} to {high}"


def _spent(trials: Sequence[Trial]) -> str:
    return duration(sum(trial.total_seconds for trial in trials))


def _named(name: str, trials: Sequence[Trial]) -> Markup:
    shown = [
        tag("a", label(trial), href=sweep_url(name, "t", trial.number)) for trial in trials[:_NAMED]
    ]
    more = len(trials) - len(shown)
    links: list[object] = []
    for link in shown:
        links += [", ", link] if links else [link]
    return join((*links, f" and {more:,} more" if more else None))
