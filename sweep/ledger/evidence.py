"""The evidence study of a sweep: every use of its hold-out, written before the hold-out is opened,
what the gate said, what a reviewer asked for besides, and every rollback.

It is a second Optuna study, `<sweep>.evidence`, in the ledger's database, because in Optuna a
finished trial of the first cannot be changed. A use is counted by a compare-and-swap, so two
processes cannot both be the first. One that was begun and never finished counts too: its numbers
may have been seen.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from optuna.exceptions import DuplicatedStudyError
from optuna.storages import RDBStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from sweep.errors import HoldoutUsed
from sweep.ledger.compat import study_id, trial_id
from sweep.ledger.connection import (
    close_storage,
    compare_and_swap,
    open_storage,
    read_attribute,
    readable,
)
from sweep.ledger.quiet import quiet_optuna
from sweep.ledger.sql import LedgerStorage
from sweep.util.numbers import finite_or_none

SUFFIX = ".evidence"
#: Number of uses; a study is an evidence study exactly when it has this attribute.
COUNT_KEY = "ptxsweep:holdout_uses"
_USE, _RESULT, _VERDICT, _ROLLBACK = "use", "result", "verdict", "rollback"
_QUESTION = "question"
#: Key of a stored use for the trials that were scored; older than the word.
_TRIALS = "candidates"


@dataclass(frozen=True, kw_only=True)
class HoldoutUse:
    """One use of a hold-out.

    Attributes:
        number: One-based, of this sweep.
        timestamp: ISO 8601 time in UTC.
        purpose: What for.
        git_sha: Commit of the code that ran.
        holdout_digest: SHA-256 of the hold-out's cases.
        trials: Numbers of the scored trials.
        result: What came out, None if it never ended.
        id: Names this use beside the case store, too; None in what earlier versions kept.
    """

    number: int
    timestamp: str
    purpose: str
    git_sha: str
    holdout_digest: str
    trials: tuple[int, ...]
    result: Mapping[str, Any] | None = None
    id: str | None = None


class Evidence:
    """The evidence study of one sweep; it comes into being with the first use."""

    def __init__(self, storage: LedgerStorage | str, sweep: str) -> None:
        """Nothing is read yet.

        Args:
            storage: The ledger's, or the address of its database, which is opened here.
            sweep: Name of the sweep.

        Raises:
            LedgerError: The database cannot be reached.
        """
        self._storage = open_storage(storage) if isinstance(storage, str) else storage
        self._sweep = sweep

    def close(self) -> None:
        """Drop the database connections."""
        close_storage(self._storage)

    def uses(self) -> list[HoldoutUse]:
        """All uses by this sweep, oldest first."""
        with readable():
            study = self._find()
            return [] if study is None else _uses(self._storage, study)

    def num_uses(self) -> tuple[int, int]:
        """How many uses this sweep began, and how many of them came to an end."""
        uses = self.uses()
        return len(uses), sum(use.result is not None for use in uses)

    def ids_of_uses(self, holdout_digest: str) -> set[str]:
        """What tells uses of these very cases apart, by all sweeps of this database."""
        found = set()
        with readable():
            for study in self._storage.get_all_studies():
                if COUNT_KEY in study.user_attrs:
                    found |= {
                        use.id or f"{study.study_name} {use.number}"
                        for use in _uses(self._storage, study_id(study))
                        if use.holdout_digest == holdout_digest
                    }
        return found

    def begin(
        self,
        *,
        purpose: str,
        git_sha: str,
        holdout_digest: str,
        trials: Sequence[int],
        again: bool = False,
        use_id: str | None = None,
    ) -> int:
        """Write down a use of the hold-out. Only then may it be opened.

        Args:
            purpose: What for.
            git_sha: Commit of the code that runs.
            holdout_digest: SHA-256 of its cases.
            trials: Numbers of the trials to be scored.
            again: Whether a use after the first is meant.
            use_id: Names the use beside the case store, too.

        Returns:
            The number of the use, 1 for the first.

        Raises:
            HoldoutUsed: It was used before and `again` is not set, or another process was faster.
        """
        study = self._find()
        if study is None:
            study = self._make()
        stored = read_attribute(self._storage, study, COUNT_KEY)
        with readable():
            count = 0 if stored is None else int(json.loads(stored))
        if count and not again:
            raise HoldoutUsed(
                f"the hold-out of {self._sweep!r} was used {count} time(s) already{self._open()}; "
                "a score on it is honest once, so a further use must be asked for (`promote "
                "--again`), and is counted and shown"
            )
        if compare_and_swap(self._storage, study, COUNT_KEY, stored, count + 1) is None:
            raise HoldoutUsed(f"another process is using the hold-out of {self._sweep!r}")
        use = {
            "number": count + 1,
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "purpose": purpose,
            "git_sha": git_sha,
            "holdout_digest": holdout_digest,
            _TRIALS: list(trials),
            "id": use_id,
        }
        self._storage.create_new_trial(study, _template({_USE: use}))
        return count + 1

    def finish(self, number: int, result: Mapping[str, Any], score: float) -> None:
        """Keep what a use gave.

        Args:
            number: Number from `begin`.
            result: Plain JSON values; NaN becomes null.
            score: The trial's value, for readers of the study.
        """
        study = self._find()
        assert study is not None, "begin comes first"
        trial = next(
            trial for trial in _trials(self._storage, study, _USE) if _number(trial) == number
        )
        self._storage.set_trial_user_attr(trial_id(trial), _RESULT, _plain(result))
        self._storage.set_trial_state_values(trial_id(trial), TrialState.COMPLETE, [score])

    def add_verdict(self, verdict: Mapping[str, Any], score: float) -> None:
        """Keep what the gate said.

        Args:
            verdict: Plain JSON values.
            score: The trial's value, for readers of the study.
        """
        study = self._find()
        if study is None:
            study = self._make()
        trial = self._storage.create_new_trial(study, _template({_VERDICT: _plain(verdict)}))
        self._storage.set_trial_state_values(trial, TrialState.COMPLETE, [score])

    def verdicts(self) -> list[Mapping[str, Any]]:
        """All that the gate said, oldest first."""
        return self._kept(_VERDICT)

    def add_rollback(self, rollback: Mapping[str, Any]) -> None:
        """Keep that the champion went back to the one before.

        Args:
            rollback: Plain JSON values.
        """
        self._add(_ROLLBACK, rollback)

    def rollbacks(self) -> list[Mapping[str, Any]]:
        """All rollbacks that concern this sweep, oldest first."""
        return self._kept(_ROLLBACK)

    def add_question(self, question: Mapping[str, Any]) -> None:
        """Keep what a reviewer wants to know before a decision.

        Args:
            question: Plain JSON values.
        """
        self._add(_QUESTION, question)

    def questions(self) -> list[Mapping[str, Any]]:
        """All questions about winners of this sweep, oldest first."""
        return self._kept(_QUESTION)

    def _add(self, kind: str, value: Mapping[str, Any]) -> None:
        study = self._find()
        if study is None:
            study = self._make()
        trial = self._storage.create_new_trial(study, _template({kind: _plain(value)}))
        # The one end of a trial that has no value.
        self._storage.set_trial_state_values(trial, TrialState.PRUNED)

    def _open(self) -> str:
        """What to know of a use that has not ended."""
        if all(use.result is not None for use in self.uses()[-1:]):
            return ""
        return (
            ", and the last use has no result: if another process is scoring now, the same command "
            "takes what it finds once it has ended, and no further use is needed"
        )

    def _kept(self, kind: str) -> list[Mapping[str, Any]]:
        with readable():
            study = self._find()
            if study is None:
                return []
            return [trial.user_attrs[kind] for trial in _trials(self._storage, study, kind)]

    def _find(self) -> int | None:
        try:
            return self._storage.get_study_id_from_name(self._sweep + SUFFIX)
        except KeyError:
            return None

    def _make(self) -> int:
        name = self._sweep + SUFFIX
        try:
            with quiet_optuna():
                return self._storage.create_new_study([StudyDirection.MAXIMIZE], name)
        except DuplicatedStudyError:  # another process was faster
            return self._storage.get_study_id_from_name(name)


def _uses(storage: RDBStorage, study: int) -> list[HoldoutUse]:
    found = []
    for trial in _trials(storage, study, _USE):
        use = dict(trial.user_attrs[_USE])
        timestamp, trials = use.pop("at"), tuple(use.pop(_TRIALS))
        result = trial.user_attrs.get(_RESULT)
        found.append(
            HoldoutUse(**{**use, "timestamp": timestamp, "trials": trials, "result": result})
        )
    return found


def _trials(storage: RDBStorage, study: int, kind: str) -> list[FrozenTrial]:
    trials = storage.get_all_trials(study, deepcopy=False)
    return [trial for trial in trials if kind in trial.user_attrs]


def _number(trial: FrozenTrial) -> int:
    return int(trial.user_attrs[_USE]["number"])


def _template(attributes: dict[str, Any]) -> FrozenTrial:
    return FrozenTrial(
        number=-1,
        trial_id=-1,
        state=TrialState.RUNNING,
        value=None,
        datetime_start=datetime.now(),
        datetime_complete=None,
        params={},
        distributions={},
        user_attrs=attributes,
        system_attrs={},
        intermediate_values={},
    )


def _plain(value: Any) -> Any:
    """JSON has no NaN; it is kept as null."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return finite_or_none(value) if isinstance(value, float) else value
