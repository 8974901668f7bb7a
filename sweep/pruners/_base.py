"""What a pruner is to a search space: its arguments, and the Optuna pruners that they build."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from optuna.pruners import BasePruner, PercentilePruner
from optuna.trial import FrozenTrial

from sweep.util.strict import Named, chosen_by_hand


@dataclass(frozen=True, kw_only=True)
class PrunerPair:
    """The pruners of a trial's epochs and of its folds; None never prunes there.

    Attributes:
        epoch: Judges the epochs of a fold.
        fold: Judges a trial's finished folds.
        is_paired: Whether `fold` compares raw fold scores with the best complete trial. If not, it
            compares running means with those of all trials at the same fold.
    """

    epoch: BasePruner | None = None
    fold: BasePruner | None = None
    is_paired: bool = False


def level_of(pruner: BasePruner, trial: FrozenTrial, *, maximize: bool) -> float:
    """The value that a pruner judges: its own `level(trial, step)` where it has one.

    Optuna's percentile pruners judge a trial's best value so far, the others its last.

    Args:
        pruner: Any.
        trial: A trial with a value.
        maximize: Whether higher values are better.
    """
    step, values = trial.last_step, trial.intermediate_values
    assert step is not None
    if hasattr(pruner, "level"):
        return float(pruner.level(trial, step))
    if isinstance(pruner, PercentilePruner):
        known = [value for value in values.values() if math.isfinite(value)]
        return (max if maximize else min)(known, default=math.nan)
    return values[step]


class PrunerSpec(Named):
    """The arguments of a pruner, all of them with their defaults, so that an Optuna upgrade changes
    no sweep by itself. A subclass is known to search spaces by the literal of its `name`.
    """

    def build(self) -> PrunerPair:
        """A fresh pruner with these arguments."""
        raise NotImplementedError

    def refuses(self, num_folds: int) -> Iterator[tuple[str, str]]:
        """Arguments that would count for nothing, or let no trial stop, in a new sweep.

        Args:
            num_folds: Folds of a complete trial.

        Yields:
            The argument, and what was expected.
        """
        yield from ()


def too_late(num_folds: int) -> str:
    """What was expected of a number of folds before the first look."""
    return f"expected at most {num_folds - 1}: with all {num_folds} folds nothing is left to stop"


class NoPruner(PrunerSpec):
    """Stops no trial."""

    name: Literal["none"] = "none"

    def build(self) -> PrunerPair:
        """See `PrunerSpec`."""
        return PrunerPair()


def pruner_spec(name: str, given: Mapping[str, Any]) -> PrunerSpec:
    """A pruner as a search space file would name it, with the defaults for what is left out.

    Raises:
        SpaceError: There is no such pruner, or an argument is missing, unknown or out of range.
    """
    return chosen_by_hand(PrunerSpec, "pruner", {"name": name, **given})
