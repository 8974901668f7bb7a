"""What happened and what was decided: plain values that every part of the platform shares.

Candidates are numbered from 0 in the order they were proposed; the number equals the Optuna
trial number. Folds are numbered from 0, epochs from 1. Scores are "higher is better" inside
the platform: the ledger turns a minimised objective around at its border.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

#: Stored Optuna step of (fold, epoch): fold * STEPS_PER_FOLD + epoch.
STEPS_PER_FOLD = 10_000


#: Number of the candidate at the space's defaults: completed early and never pruned, because every
#: winner is compared with it.
DEFAULT_CANDIDATE = 0


class State(StrEnum):
    """Where a candidate stands."""

    RUNNING = "running"  # a fold of it is being trained
    PARKED = "parked"  # between folds, may be continued
    COMPLETE = "complete"  # all folds finished
    PRUNED = "pruned"  # stopped for good by the pruner
    FAILED = "failed"  # ended by an error, for good
    ABANDONED = "abandoned"  # parked when the sweep ended

    @property
    def is_final(self) -> bool:
        """Whether the candidate can never run again in this sweep."""
        return self in (State.COMPLETE, State.PRUNED, State.FAILED, State.ABANDONED)


class SweepState(StrEnum):
    """Where a whole sweep stands."""

    CREATED = "created"  # no driver has begun
    RUNNING = "running"  # a driver is at work, or died at it
    FINISHED = "finished"  # for good
    INTERRUPTED = "interrupted"  # may be resumed


@dataclass(frozen=True, kw_only=True)
class Assignment:
    """A fold to train.

    Attributes:
        candidate: Number of the candidate.
        fold: Zero-based fold.
        attempt: One-based; reports must carry it.
        parameters: The whole configuration.
    """

    candidate: int
    fold: int
    attempt: int
    parameters: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """One epoch of one fold; `value` is the objective on the monitor split, higher is better."""

    candidate: int
    fold: int
    attempt: int
    epoch: int
    value: float
    seconds: float


@dataclass(frozen=True, kw_only=True)
class ChoiceScore:
    """A trained fold scored with one choice of the settings that count in inference alone.

    Attributes:
        inference: The choice, such as {"overlap": 0.5, "tta": False}.
        score: Objective on the held fold.
        metrics: Metrics of the held fold by name.
        cases: Path of the per-case table, relative to the sweep's storage; None if not kept.
    """

    inference: Mapping[str, Any]
    score: float
    metrics: Mapping[str, float] = field(default_factory=dict)
    cases: str | None = None


@dataclass(frozen=True, kw_only=True)
class FoldScore:
    """One finished fold. `score` is the objective on the held fold.

    Attributes:
        metrics: Metrics of the held fold by name.
        curves: Per-epoch values by name, one per epoch.
        cases: Path of the per-case table, relative to the sweep's storage; None if not kept.
        weights: Path of the best weights, relative likewise; None if not kept.
        choices: The same weights with every choice for inference, in the space's order; empty
            in a sweep that has none. Score, metrics and cases are those of one of them.
        inference: Which one; empty without choices.
    """

    candidate: int
    fold: int
    attempt: int
    score: float
    seconds: float
    num_epochs: int
    best_epoch: int
    metrics: Mapping[str, float] = field(default_factory=dict)
    curves: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    cases: str | None = None
    weights: str | None = None
    choices: tuple[ChoiceScore, ...] = ()
    inference: Mapping[str, Any] = field(default_factory=dict)

    def with_choice(self, choice: int) -> FoldScore:
        """The same fold with the score, metrics and cases of one choice, by its place."""
        one = self.choices[choice]
        return replace(
            self, score=one.score, metrics=one.metrics, cases=one.cases, inference=one.inference
        )


@dataclass(frozen=True, kw_only=True)
class CandidateAdded:
    """A new configuration entered the sweep."""

    candidate: int
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class FoldStarted:
    """A slot was given to a fold."""

    candidate: int
    fold: int


@dataclass(frozen=True, kw_only=True)
class FoldFinished:
    """A fold was scored and committed. A NaN or infinite score counts as worst.

    Attributes:
        candidate: Whose fold.
        fold: Zero-based.
        score: At the candidate's common choice for inference, as of now.
        seconds: Training time.
        revised: Scores of the candidate's earlier folds where this one changed that choice.
    """

    candidate: int
    fold: int
    score: float
    seconds: float
    revised: Mapping[int, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class FoldLost:
    """A fold ended without a score and may be tried again (a worker died, the driver stopped)."""

    candidate: int
    fold: int


@dataclass(frozen=True, kw_only=True)
class CandidateStopped:
    """A candidate left for good before its last fold: pruned or failed."""

    candidate: int
    state: State


Event = CandidateAdded | FoldStarted | FoldFinished | FoldLost | CandidateStopped


@dataclass(frozen=True, kw_only=True)
class RunFold:
    """Give a free slot to the next fold of a known candidate."""

    candidate: int
    fold: int


@dataclass(frozen=True, kw_only=True)
class NewCandidate:
    """Propose a configuration.

    Attributes:
        start: Whether its first fold gets a free slot at once. If not, it takes no slot: the policy
            sees its parameters and decides later whether it is worth a fold.
    """

    start: bool = True


Decision = RunFold | NewCandidate
