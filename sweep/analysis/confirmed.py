"""The score of a sweep's best trials on fresh folds, beside the score that the search chose by.

The search's best score is the largest of many noisy numbers, so it is too high. `ptxsweep confirm`
trains the best trials again on folds that no search has scored. The best of these few is a choice
again, if a small one; so its score on each fresh fold is that of the trial that is best on the
*other* folds: these cases played no part in that choice (nested cross-validation, as in Varma and
Simon, BMC Bioinformatics 7, 2006). What remains is slightly too low, because one fold less chooses.
`make bench-evidence` measures both.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from sweep.errors import UnknownSweep, UsageError
from sweep.ledger import Ledger, Projection
from sweep.ledger.family import CONFIRMATION
from sweep.ledger.projection import Trial
from sweep.ledger.read import read_sweep
from sweep.records import State, SweepState


@dataclass(frozen=True, kw_only=True)
class ConfirmedScore:
    """What fresh folds say of a sweep's best trials, in the objective and its own sign.

    Attributes:
        sweep: Name of the sweep on fresh folds.
        state: Where that sweep stands.
        metric: Objective.
        search_score: Mean over the search's folds of the trial that won the search.
        confirmed_score: Mean over the fresh folds of the trial that is best on the other folds;
            None while the sweep is not finished.
        trial: Number of the best trial on all fresh folds, in that sweep; None likewise.
        searched_trial: Number of the same trial in the search.
        num_trials: Trials on fresh folds, the default among them.
    """

    sweep: str
    state: SweepState
    metric: str
    search_score: float | None
    confirmed_score: float | None
    trial: int | None
    searched_trial: int | None
    num_trials: int

    @property
    def sentence(self) -> str:
        """The same in words."""
        if self.confirmed_score is None or self.search_score is None:
            return f"Not confirmed yet: {self.sweep} is {self.state}."
        return (
            f"Confirmed score: {self.confirmed_score:.4f} on fresh folds ({self.sweep}, "
            f"{self.num_trials} trials), the search said {self.search_score:.4f}; best there is "
            f"trial #{self.searched_trial}."
        )


def open_confirming(url: str, name: str) -> Ledger | None:
    """The ledger of the sweep that trains a sweep's best trials again; None if there is none.

    Args:
        url: Address of the ledgers.
        name: Name of the search.

    Raises:
        LedgerError: The database cannot be reached.
    """
    try:
        ledger = Ledger.open(url, name + CONFIRMATION)
    except UnknownSweep:
        return None
    if ledger.header.confirms == name:
        return ledger
    ledger.close()
    return None


def promoted_sweep(url: str, name: str) -> str:
    """Name of the sweep with the winner that is promoted for a sweep.

    It is the sweep's confirmation, if there is one with a winner.

    Args:
        url: Address of the ledgers.
        name: Name of the sweep.

    Raises:
        UsageError: The confirmation is not finished.
        LedgerError: The database cannot be reached.
    """
    ledger = open_confirming(url, name)
    if ledger is None:
        return name
    state, best = ledger.projection.sweep_state, ledger.projection.best()
    ledger.close()
    if state is not SweepState.FINISHED:
        raise UsageError(
            f"{name} is being confirmed on fresh folds, and {ledger.name} is {state}: `ptxsweep "
            f"confirm {name}` goes on with it, and with `--hours 0.001` it ends as it stands"
        )
    return name if best is None else ledger.name  # a budget may end it before anything is complete


def find_confirmed(url: str, name: str, search: Projection) -> ConfirmedScore | None:
    """What fresh folds say of a sweep; None if it was not confirmed.

    Args:
        url: Address of the ledgers.
        name: Name of the search.
        search: Projection of the search.

    Raises:
        LedgerError: The database cannot be reached.
    """
    try:
        fresh = read_sweep(url, name + CONFIRMATION)
    except UnknownSweep:
        return None
    if fresh.header.confirms != name:
        return None
    return confirmed_score(name + CONFIRMATION, search, fresh)


def confirmed_score(name: str, search: Projection, fresh: Projection) -> ConfirmedScore:
    """Both scores of a search that was confirmed, or is being.

    Args:
        name: Name of the sweep on fresh folds.
        search: Projection of the search.
        fresh: Projection of the sweep on fresh folds.
    """
    led, best = search.best(), None
    if fresh.sweep_state is SweepState.FINISHED:
        best = fresh.best()
    sign = 1.0 if fresh.maximize else -1.0
    complete = [
        trial
        for trial in fresh.trials
        if trial.state is State.COMPLETE and math.isfinite(trial.mean)
    ]
    scores = [[trial.folds[fold].score for fold in sorted(trial.folds)] for trial in complete]
    return ConfirmedScore(
        sweep=name,
        state=fresh.sweep_state,
        metric=fresh.header.metric,
        search_score=None if led is None else led.mean_value,
        confirmed_score=None if best is None else sign * cross_selected(scores),
        trial=None if best is None else best.number,
        searched_trial=None if best is None else searched(best, search),
        num_trials=len(fresh.trials),
    )


def cross_selected(scores: Sequence[Sequence[float]]) -> float:
    """Mean over the folds of the score of the trial that is best on the other folds.

    Args:
        scores: One row a trial, one column a fold, at least one row and two columns; higher is
            better. Of equal trials the first counts.
    """
    num_folds = len(scores[0])
    chosen = []
    for fold in range(num_folds):
        best = max(scores, key=lambda own: sum(own) - own[fold])
        chosen.append(best[fold])
    return sum(chosen) / num_folds


def searched(trial: Trial, search: Projection) -> int | None:
    """Number that a trial on fresh folds has in the search; None if it is not there.

    Args:
        trial: The trial on fresh folds.
        search: Projection of the search.
    """
    found = (own.number for own in search.trials if dict(own.settings) == dict(trial.settings))
    return next(found, None)
