"""What masks are worth where ill cases are more or less frequent than among those at hand.

At a prevalence P the expected Dice (both empty = 1) is P times the mean over positive cases plus
1 - P times the mean over healthy ones; predicting nothing has 1 - P. A rule may be chosen for that
(`ptxcore.metrics.choose_rule`). What it promises is said of each fold under the rule that the
*other* folds choose for the same prevalence, so that no case judges a rule that it had a say in.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptxcore.errors import DataError
from ptxcore.metrics import (
    concatenate,
    leave_one_fold_out,
    load_table,
    per_case_dice,
    prevalence_weights,
)
from ptxcore.types import CaseTable, Rule
from sweep.analysis.intervals import DIFFERENCE, SHARE, TOO_FEW, Ends, stated_interval
from sweep.errors import UsageError
from sweep.ledger.projection import Trial
from sweep.util.numbers import finite_or_none

#: A value with the ends of its 95% interval, NaN where there are too few patients.
Estimate = tuple[float, float, float]
#: A gain of rules over themselves.
_SAME: Estimate = (0.0, 0.0, 0.0)


@dataclass(frozen=True, kw_only=True)
class ExpectedDice:
    """Dice at a prevalence, with 95% intervals over patients.

    Attributes:
        prevalence: Share of positive cases that is reckoned with.
        own_prevalence: Share of positive cases among those that were scored.
        dice: Expected Dice.
        all_empty: That of predicting nothing, 1 - `prevalence`.
        gain: By how much it exceeds what the same networks have there under rules for
            `own_prevalence`; three zeros where these are the same rules, None where one rule alone
            was scored.
    """

    prevalence: float
    own_prevalence: float
    dice: Estimate
    all_empty: float
    gain: Estimate | None = None

    @property
    def sentence(self) -> str:
        """The same in words, without a capital and a stop."""
        text = (
            f"at a prevalence of {self.prevalence:.1%} (here {self.own_prevalence:.1%}) Dice "
            f"{self.dice[0]:.4f} is expected ({_spread(self.dice, '.4f')}; both empty = 1), "
            f"predicting nothing has {self.all_empty:.4f}"
        )
        if self.gain is None:
            return text
        if self.gain == _SAME:
            return f"{text}; rules for the cases' own prevalence are the same"
        return (
            f"{text}; rules for the cases' own prevalence would have "
            f"{self.dice[0] - self.gain[0]:.4f} there, a difference of {self.gain[0]:+.4f} "
            f"({_spread(self.gain, '+.4f')})"
        )

    @classmethod
    def from_stored(cls, stored: Mapping[str, Any]) -> ExpectedDice:
        """As a ledger holds it; `to_stored` gives the same mapping again."""
        gain = stored.get("gain")
        return cls(
            prevalence=float(stored["prevalence"]),
            own_prevalence=float(stored["own_prevalence"]),
            dice=_numbers(stored["dice"]),
            all_empty=float(stored["all_empty"]),
            gain=None if gain is None else _numbers(gain),
        )

    def to_stored(self) -> dict[str, Any]:
        """Plain JSON values, None for NaN."""
        return {
            "prevalence": self.prevalence,
            "own_prevalence": self.own_prevalence,
            "dice": [finite_or_none(value) for value in self.dice],
            "all_empty": self.all_empty,
            "gain": None if self.gain is None else [finite_or_none(one) for one in self.gain],
        }


def expected_dice(
    dice: NDArray[np.float64],
    positive: NDArray[np.bool_],
    groups: Sequence[str],
    prevalence: float,
    other: NDArray[np.float64] | None = None,
) -> ExpectedDice:
    """Dice of some cases as it is expected at a prevalence.

    Args:
        dice: Dice of each case (both empty = 1), shape (N,).
        positive: Whether each case has a true mask.
        groups: The patient of each case.
        prevalence: Share of positive cases in (0, 1).
        other: Dice of the same cases under rules for their own prevalence.

    Raises:
        UsageError: The cases are all of one kind.
    """
    estimate = partial(_estimate, positive=positive, groups=groups, prevalence=prevalence)
    return ExpectedDice(
        prevalence=prevalence,
        own_prevalence=float(positive.mean()),
        dice=estimate(dice, ends=SHARE),
        all_empty=1 - prevalence,
        gain=None if other is None else estimate(dice - other, ends=DIFFERENCE),
    )


def promised_dice(
    tables: Sequence[CaseTable], groups: Mapping[str, str], prevalence: float
) -> ExpectedDice:
    """What rules for a prevalence promise, each judged on a fold that had no say in it.

    Args:
        tables: Out-of-fold counts of each fold, two or more, no case in two of them.
        groups: The patient of each case by its id; a case that is not there is one of its own.
        prevalence: Share of positive cases in (0, 1).

    Raises:
        UsageError: Some fold leaves cases of one kind alone to the others.
        DataError: A case is in two folds.
    """
    together = concatenate(tables)

    def held(rules: Sequence[Rule]) -> NDArray[np.float64]:
        pairs = zip(tables, rules, strict=True)
        return np.concatenate([per_case_dice(table, rule) for table, rule in pairs])

    try:
        tuned, _ = leave_one_fold_out(tables, prevalence)
    except DataError as error:
        raise UsageError(str(error)) from error
    plain, _ = leave_one_fold_out(tables)
    patients = [groups.get(name, name) for name in together.case_ids.tolist()]
    positive = np.asarray(together.truth.sum(1) > 0)
    found = expected_dice(held(tuned), positive, patients, prevalence, held(plain))
    return dataclasses.replace(found, gain=_SAME) if tuned == plain else found


def promised_by(
    trial: Trial, folder: Path, groups: Mapping[str, str], prevalence: float
) -> ExpectedDice:
    """What a trial with all its folds promises at a prevalence.

    Args:
        trial: The trial.
        folder: Folder of the sweep; fold scores name their case tables relative to it.
        groups: As for `promised_dice`.
        prevalence: Share of positive cases in (0, 1).

    Raises:
        UsageError: A table is not there, or see `promised_dice`.
        CheckpointError: A table is damaged.
    """
    names = [trial.folds[fold].cases for fold in sorted(trial.folds)]
    files = [folder / name for name in names if name is not None]
    if len(files) < max(2, len(names)) or not all(map(Path.is_file, files)):
        raise UsageError(
            f"--prevalence: found no tables of the cases of all folds of trial {trial.number} in "
            f"{folder}, expected them; a prevalence needs every case's own score"
        )
    return promised_dice([load_table(file) for file in files], groups, prevalence)


def _estimate(
    values: NDArray[np.float64],
    *,
    positive: NDArray[np.bool_],
    groups: Sequence[str],
    prevalence: float,
    ends: Ends,
) -> Estimate:
    """Mean at the prevalence, with the printed interval of its linearised values.

    Each value becomes what it adds to the estimate, around the estimate: the mean over both kinds
    is linear in their means, and these are ratios over patients; one may have cases of both.
    """
    try:
        weights = prevalence_weights(positive, prevalence)
    except DataError as error:
        raise UsageError(str(error)) from error
    found = float((weights * values).mean())
    means = np.where(positive, values[positive].mean(), values[~positive].mean())
    linear = found + weights * (values - means)
    pairs = []
    for kind in (False, True):
        first = int(np.argmax(positive == kind))
        pairs.append(tuple(found + weights[first] * (end - means[first]) for end in ends[kind]))
    ill = {group for group, has_mask in zip(groups, positive, strict=True) if has_mask}
    if any(group in ill for group, has_mask in zip(groups, positive, strict=True) if not has_mask):
        pairs[True] = (min(pairs[0][0], pairs[1][0]), max(pairs[0][1], pairs[1][1]))
    low, high = stated_interval(linear, groups, positive, is_dealt=True, ends=(pairs[0], pairs[1]))
    least, most = (
        float(np.dot((1 - prevalence, prevalence), side)) for side in zip(*ends, strict=True)
    )
    return found, max(low, least), min(high, most)


def _spread(value: Estimate, form: str) -> str:
    _, low, high = value
    return TOO_FEW if math.isnan(low) else f"95% interval {low:{form}} to {high:{form}}"


def _numbers(values: Sequence[float | None]) -> Estimate:
    first, low, high = (math.nan if value is None else float(value) for value in values)
    return first, low, high
