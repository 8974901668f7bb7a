"""What happened and what was decided: plain values that every part of the platform shares.

Trials are numbered from 0 in the order they were proposed; the number equals the Optuna
trial number. Folds are numbered from 0, epochs from 1. A *value* of the objective is in the
metric's own sign, as a reader knows it; a *score* is higher when it is better, and is what
everything is ranked by.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

#: Stored Optuna step of (fold, epoch): fold * STEPS_PER_FOLD + epoch.
STEPS_PER_FOLD = 10_000


#: Number of the trial at the space's defaults: completed early and never pruned, because every
#: winner is compared with it.
DEFAULT_TRIAL = 0


def as_score(value: float, *, maximize: bool) -> float:
    """A value of the objective as a score, which is higher when it is better.

    Args:
        value: Value in the metric's own sign.
        maximize: Whether the metric itself is better when higher.
    """
    return value if maximize else -value


class State(StrEnum):
    """Where a trial stands."""

    RUNNING = "running"  # a fold of it is being trained
    PARKED = "parked"  # between folds, may be continued
    COMPLETE = "complete"  # all folds finished
    PRUNED = "pruned"  # stopped for good by the pruner
    FAILED = "failed"  # ended by an error, for good
    ABANDONED = "abandoned"  # not complete when the sweep ended: parked, or running

    @property
    def is_final(self) -> bool:
        """Whether the trial can never run again in this sweep."""
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
        trial: Number of the trial.
        fold: Zero-based fold.
        attempt: One-based; reports must carry it.
        settings: The whole configuration, plain values.
    """

    trial: int
    fold: int
    attempt: int
    settings: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """One epoch of one fold; `value` is the objective on the monitor split, in its own sign."""

    trial: int
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
        value: Objective on the held fold, in the metric's own sign.
        score: The same, higher is better.
        metrics: Metrics of the held fold by name.
        cases: Path of the per-case table, relative to the sweep's storage; None if not kept.
        seconds_per_image: Median time of an image of the held fold; NaN where it is not known.
    """

    inference: Mapping[str, Any]
    value: float
    score: float
    metrics: Mapping[str, float] = field(default_factory=dict)
    cases: str | None = None
    seconds_per_image: float = field(default=math.nan, compare=False)


def known_seconds(value: float) -> dict[str, float]:
    """Seconds an image as an entry of a fold's usage; nothing where it was not measured."""
    return {"seconds_per_image": value} if math.isfinite(value) else {}


@dataclass(frozen=True, kw_only=True)
class FoldScore:
    """One finished fold.

    Attributes:
        value: Objective on the held fold, in the metric's own sign.
        score: The same, higher is better.
        metrics: Metrics of the held fold by name.
        curves: Per-epoch values by name, one per epoch.
        cases: Path of the per-case table, relative to the sweep's storage; None if not kept.
        weights: Path of the best weights, relative likewise; None if not kept.
        choices: The same weights with every choice for inference, in the space's order; empty
            in a sweep that has none. Value, score, metrics and cases are those of one of them.
        inference: Which one; empty without choices.
        usage: What it took by name, see `sweep.ray.usage`; empty of an older sweep.
    """

    trial: int
    fold: int
    attempt: int
    value: float
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
    usage: Mapping[str, float] = field(default_factory=dict, compare=False)

    def with_choice(self, choice: int) -> FoldScore:
        """The same fold with the score, metrics and cases of one choice, by its place."""
        chosen = self.choices[choice]
        return replace(
            self,
            value=chosen.value,
            score=chosen.score,
            metrics=chosen.metrics,
            cases=chosen.cases,
            inference=chosen.inference,
            usage={**self.usage, **known_seconds(chosen.seconds_per_image)},
        )


@dataclass(frozen=True, kw_only=True)
class TrialAdded:
    """A new configuration entered the sweep."""

    trial: int
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class FoldStarted:
    """A slot was given to a fold."""

    trial: int
    fold: int


@dataclass(frozen=True, kw_only=True)
class FoldFinished:
    """A fold was scored and committed. A NaN or infinite score counts as worst.

    Attributes:
        trial: Number of the fold's trial.
        fold: Zero-based.
        score: At the trial's common choice for inference, as of now.
        seconds: Training time.
        revised: Scores of the trial's earlier folds where this one changed that choice.
    """

    trial: int
    fold: int
    score: float
    seconds: float
    revised: Mapping[int, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class FoldLost:
    """A fold ended without a score and may be tried again (a worker died, the driver stopped)."""

    trial: int
    fold: int


@dataclass(frozen=True, kw_only=True)
class FoldPaused:
    """A fold gave its slot back after an epoch, to be judged beside others; it may go on there.

    Attributes:
        trial: Number of the fold's trial.
        fold: Zero-based.
        scores: What its epochs scored on the monitor split so far, higher is better.
    """

    trial: int
    fold: int
    scores: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class TrialStopped:
    """A trial left for good before its last fold: pruned or failed."""

    trial: int
    state: State


Event = TrialAdded | FoldStarted | FoldFinished | FoldLost | FoldPaused | TrialStopped


@dataclass(frozen=True, kw_only=True)
class RunFold:
    """Give a free slot to the next fold of a known trial."""

    trial: int
    fold: int


@dataclass(frozen=True, kw_only=True)
class NewTrial:
    """Propose a configuration.

    Attributes:
        start: Whether its first fold gets a free slot at once. If not, it takes no slot: the policy
            sees its parameters and decides later whether it is worth a fold.
    """

    start: bool = True


Decision = RunFold | NewTrial


@dataclass(frozen=True, kw_only=True)
class Note:
    """What a person wrote down about a sweep.

    Attributes:
        at: When, in ISO 8601.
        text: One line.
    """

    at: str
    text: str
