"""A leader beside the second of its sweep, and beside predicting nothing."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ptxcore.metrics import bounds
from sweep.analysis.cohort import overlap_ratio
from sweep.analysis.operating_point import fold_values, rule_of, rule_text
from sweep.analysis.standing import Standing, compare_folds, num_compared, num_looked_at
from sweep.analysis.statistics import PairedDifference
from sweep.ledger.projection import Projection, Trial
from sweep.records import DEFAULT_TRIAL, State

#: Dice that is no more than the baseline's own rounding.
ROUNDING = 1e-9


@dataclass(frozen=True, kw_only=True)
class BesideSecond:
    """The winner beside the second of the complete trials.

    Attributes:
        number: Number of the second.
        difference: Winner minus second on the folds that both have, in the metric's own sign; None
            where they share none. The two were chosen among all, so it is corrected for all pairs,
            or for all trials where one of the two is the default.
        is_beside_default: Whether one of the two is the default.
    """

    number: int
    difference: PairedDifference | None
    is_beside_default: bool


@dataclass(frozen=True, kw_only=True)
class BesideNothing:
    """The Dice of a trial beside that of an empty mask for every case.

    Attributes:
        dice: Mean over its finished folds, both empty = 1.
        all_empty: Likewise of predicting nothing on the same cases.
        threshold: The rule behind the masks in words.
        gain: The difference, corrected for the trials looked at.
    """

    dice: float
    all_empty: float
    threshold: str
    gain: PairedDifference

    @property
    def is_beaten(self) -> bool:
        """Whether the trial is above predicting nothing at all."""
        return self.dice - self.all_empty > ROUNDING


def beside_second(projection: Projection, found: Standing) -> BesideSecond | None:
    """The winner beside the best of the other complete trials; None without either.

    While a sweep is not over a second would be one of fewer folds.

    Args:
        projection: Projection of the sweep.
        found: Where it stands.
    """
    others = [
        trial
        for trial in projection.trials
        if trial.state is State.COMPLETE
        and trial.number != found.winner
        and math.isfinite(trial.mean)
    ]
    if found.winner is None or not others:
        return None
    other = max(others, key=lambda trial: (trial.mean, -trial.number))
    is_default = DEFAULT_TRIAL in (found.winner, other.number)
    winner = projection.trials[found.winner]
    difference = compare_folds(
        *({fold: score.value for fold, score in trial.folds.items()} for trial in (winner, other)),
        test_train_ratio=overlap_ratio(projection.header),
        num_compared=num_compared(projection, DEFAULT_TRIAL if is_default else other.number),
    )
    if difference is not None:
        difference = difference.within(*bounds(projection.header.metric))
    return BesideSecond(number=other.number, difference=difference, is_beside_default=is_default)


def beside_nothing(projection: Projection, leader: Trial) -> BesideNothing | None:
    """A trial beside predicting nothing on its own folds; None where none has a Dice.

    Args:
        projection: Projection of the sweep.
        leader: Trial with finished folds.
    """
    own, empty = fold_values(leader, "dice"), fold_values(leader, "dice_all_empty")
    gain = compare_folds(
        own,
        empty,
        test_train_ratio=overlap_ratio(projection.header),
        num_compared=max(1, num_looked_at(projection)),
    )
    if gain is None:
        return None
    known = [fold for fold in own if math.isfinite(own[fold] - empty.get(fold, math.nan))]
    return BesideNothing(
        dice=math.fsum(own[fold] for fold in known) / len(known),
        all_empty=math.fsum(empty[fold] for fold in known) / len(known),
        threshold=rule_text(rule_of(leader, "dice"), leader.settings),
        gain=gain.within(*bounds("dice")),
    )
