"""Complete trials of a sweep against one of them, fold by fold.

All trials see the same folds, so that a difference is taken on each fold and the folds' own ease
cancels. Intervals and p-values are corrected for overlapping training parts and, both by the same
rule, for the number of trials looked at; see `sweep.analysis.standing`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ptxcore.metrics import better, bounds, needs_threshold
from sweep.analysis.cohort import overlap_ratio, ratio_text
from sweep.analysis.equivalence import MARGIN, Word, equivalence_p, word_of
from sweep.analysis.operating_point import FIXED, fold_values, rule_of
from sweep.analysis.phrases import correction
from sweep.analysis.standing import num_compared
from sweep.analysis.statistics import (
    Interval,
    PairedDifference,
    corrected_interval,
    paired_difference,
)
from sweep.errors import UsageError
from sweep.ledger.projection import Projection, Trial
from sweep.records import DEFAULT_TRIAL, State
from sweep.util.numbers import all_finite


@dataclass(frozen=True, kw_only=True)
class Compared:
    """One trial.

    Attributes:
        number: Number of the trial.
        changed: Its settings that differ from those of the reference, in the space's order.
        num_epochs: Mean number of epochs of a fold.
        seconds: Seconds of all folds together.
        values: Values of the metric by fold, in the metric's own sign.
        interval: Interval of their mean.
        difference: This minus the reference, corrected; None for the reference itself.
        p_adjusted: Its p-value once more; NaN for the reference.
        p_equivalent: P-value of both one-sided tests against the margin; NaN for the reference.
        word: What the folds show of the difference; None for the reference.
    """

    number: int
    changed: Mapping[str, Any]
    num_epochs: float
    seconds: float
    values: tuple[float, ...]
    interval: Interval
    difference: PairedDifference | None
    p_adjusted: float
    p_equivalent: float
    word: Word | None


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """All complete trials by one metric.

    Attributes:
        metric: Its name.
        threshold: The rule behind all values, one of the words of
            `sweep.analysis.operating_point`. The objective stands at that of the settings, by
            which the search ranks; other metrics of masks at the threshold from the other folds, if
            it is known of every trial here.
        reference: Number of the trial that the others are compared with.
        num_left_out: Trials without all folds, or with a value that is not finite.
        num_compared: Differences that intervals and p-values are corrected for, those of trials
            that were stopped or parked included.
        correction: The correction in words.
        overlap: How overlapping training parts are reckoned with, in words.
        margin: What makes no difference, in the metric's unit.
        trials: Trials by number, the reference first.
    """

    metric: str
    threshold: str
    reference: int
    num_left_out: int
    num_compared: int
    correction: str
    overlap: str
    margin: float
    trials: tuple[Compared, ...]


def compare(
    projection: Projection,
    *,
    metric: str | None = None,
    reference: int = 0,
    margin: float = MARGIN,
) -> Comparison:
    """Compare every complete trial with one.

    Args:
        projection: Projection of the sweep.
        metric: One that every fold recorded; the objective as the search ranks by it without one.
        reference: Number of a complete trial; 0 is the default configuration.
        margin: Difference that does not matter, above 0, in the metric's unit.

    Raises:
        UsageError: The margin is not above 0, the reference is not complete or does not exist, or
            no fold has the metric.
    """
    objective = projection.header.metric
    name = metric or objective
    complete = [trial for trial in projection.trials if trial.state is State.COMPLETE]
    base = next((trial for trial in complete if trial.number == reference), None)
    if base is None:
        raise UsageError(
            f"--against: found trial {reference}, expected one of the complete trials: "
            f"{', '.join(str(trial.number) for trial in complete) or 'there is none yet'}"
        )
    is_objective = metric is None or (not needs_threshold(name) and name == objective)
    rules = {rule_of(trial, name) for trial in complete}
    rule = FIXED if needs_threshold(name) and (is_objective or len(rules) > 1) else rules.pop()
    known = [
        _scores(projection, trial) if is_objective else fold_values(trial, name, rule)
        for trial in complete
    ]
    usable = [
        (trial, tuple(values.values()))
        for trial, values in zip(complete, known, strict=True)
        if values and all_finite(values.values())
    ]
    own = next((values for trial, values in usable if trial is base), None)
    if own is None:
        raise UsageError(
            f"--metric: found {name!r}, expected one that trial {reference} has on every fold: "
            f"{', '.join(_names(base))}"
        )
    usable.sort(key=lambda pair: pair[0] is not base)  # stable: the others stay by number
    number = num_compared(projection, reference)
    ratio = overlap_ratio(projection.header)
    maximize = projection.maximize if is_objective else better(name) != "lower"
    return Comparison(
        metric=name,
        threshold=rule,
        reference=reference,
        num_left_out=len(projection.trials) - len(usable),
        num_compared=number,
        correction=correction(number, is_default=reference == DEFAULT_TRIAL),
        overlap=ratio_text(projection.header),
        margin=margin,
        trials=tuple(
            _compared(
                trial,
                values,
                base,
                None
                if trial is base
                else paired_difference(
                    values, own, test_train_ratio=ratio, num_compared=number
                ).within(*bounds(name)),
                corrected_interval(values, test_train_ratio=ratio).within(*bounds(name)),
                margin,
                maximize,
            )
            for trial, values in usable
        ),
    )


def _compared(
    trial: Trial,
    values: tuple[float, ...],
    base: Trial,
    difference: PairedDifference | None,
    interval: Interval,
    margin: float,
    maximize: bool,
) -> Compared:
    return Compared(
        number=trial.number,
        changed=_changed(trial, base),
        num_epochs=_mean_epochs(trial),
        seconds=trial.seconds,
        values=values,
        interval=interval,
        difference=difference,
        p_adjusted=math.nan if difference is None else difference.p_value,
        p_equivalent=math.nan if difference is None else equivalence_p(difference, margin),
        word=None if difference is None else word_of(difference, margin, maximize=maximize),
    )


def _scores(projection: Projection, trial: Trial) -> dict[int, float]:
    return {fold: trial.folds[fold].value for fold in sorted(trial.folds)}


def _names(trial: Trial) -> list[str]:
    """Metrics with a finite value on every fold."""
    shared = set.intersection(*(set(score.metrics) for score in trial.folds.values()))
    return sorted(
        name for name in shared if all_finite(score.metrics[name] for score in trial.folds.values())
    )


def _changed(trial: Trial, base: Trial) -> dict[str, Any]:
    return {
        name: value for name, value in trial.settings.items() if value != base.settings.get(name)
    }


def _mean_epochs(trial: Trial) -> float:
    return sum(score.num_epochs for score in trial.folds.values()) / len(trial.folds)
