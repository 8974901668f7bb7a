"""Trials of several sweeps beside each other: what may be compared, and their differences.

Differences are those of `ptxsweep compare`: fold by fold, corrected for overlapping training parts
and for the number of trials looked at. Trials of two sweeps see the same folds where the sweeps
have the same plan; nothing else is compared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dashboards.live.ledgers import Ledgers
from dashboards.queries import label
from ptxcore.metrics import better, bounds, needs_threshold
from sweep.analysis.cohort import overlap_ratio
from sweep.analysis.operating_point import FIXED, fold_values, rule_of
from sweep.analysis.standing import compare_folds, num_compared, num_looked_at
from sweep.analysis.statistics import PairedDifference
from sweep.errors import UsageError
from sweep.ledger.projection import Projection, Trial
from sweep.records import DEFAULT_TRIAL

#: More columns than this cannot be read.
MAX_TRIALS = 6


@dataclass(frozen=True, kw_only=True)
class Side:
    """One trial of a comparison.

    Attributes:
        sweep: Name of its sweep.
        projection: Projection of that.
        trial: The trial itself.
    """

    sweep: str
    projection: Projection
    trial: Trial

    @property
    def key(self) -> str:
        """As an address names it."""
        return f"{self.sweep}:{self.trial.number}"


@dataclass(frozen=True, kw_only=True)
class Together:
    """Trials that may be compared, the first being what the others are compared with.

    Attributes:
        sides: At least one trial.
        metric: What is compared.
        rule: The rule behind its values, one of the words of `sweep.analysis.operating_point`.
        is_objective: Whether it stands as the search ranks by it.
        metrics: What could be compared instead.
    """

    sides: tuple[Side, ...]
    metric: str
    rule: str
    is_objective: bool
    metrics: tuple[str, ...]

    @property
    def is_one_sweep(self) -> bool:
        """Whether all are of one sweep."""
        return len({side.sweep for side in self.sides}) == 1

    @property
    def maximize(self) -> bool:
        """Whether the metric is better when higher."""
        if self.is_objective:
            return self.sides[0].projection.maximize
        return better(self.metric) != "lower"

    def values(self, side: Side) -> dict[int, float]:
        """A trial's values by finished fold, in the metric's own sign."""
        if self.is_objective:
            return {fold: side.trial.folds[fold].value for fold in sorted(side.trial.folds)}
        return fold_values(side.trial, self.metric, self.rule)

    @property
    def num_compared(self) -> int:
        """Differences that one of these may be the largest of."""
        first = self.sides[0]
        if self.is_one_sweep:
            return num_compared(first.projection, first.trial.number)
        looked = {side.sweep: num_looked_at(side.projection) for side in self.sides}
        total = sum(looked.values())
        return max(1, total * (total - 1) // 2)

    @property
    def is_default(self) -> bool:
        """Whether the others are compared with the default of their own sweep."""
        return self.is_one_sweep and self.sides[0].trial.number == DEFAULT_TRIAL

    def difference(self, side: Side) -> PairedDifference | None:
        """A trial minus the first on the folds that both have; None where there are none."""
        found = compare_folds(
            self.values(side),
            self.values(self.sides[0]),
            test_train_ratio=overlap_ratio(self.sides[0].projection.header),
            num_compared=self.num_compared,
        )
        return None if found is None else found.within(*bounds(self.metric))


def names_of(wanted: Sequence[str]) -> list[tuple[str, int]]:
    """Sweeps and numbers of trials, each once, as an address has them.

    Raises:
        UsageError: One is no sweep with a number, or there are too many.
    """
    found: dict[tuple[str, int], None] = {}
    for text in wanted:
        name, colon, number = text.rpartition(":")
        if not colon or not name or not number.isdecimal() or len(number) > 8:
            raise UsageError(f"found {text!r}, expected a sweep and a trial, such as first:7")
        found[(name, int(number))] = None
    if len(found) > MAX_TRIALS:
        raise UsageError(f"found {len(found)} trials, expected at most {MAX_TRIALS}")
    return list(found)


def sides_of(ledgers: Ledgers, wanted: Sequence[tuple[str, int]]) -> tuple[Side, ...]:
    """The trials themselves.

    Args:
        ledgers: The sweeps. Those named must be held, or a driver could change them meanwhile.
        wanted: Sweeps and numbers.

    Raises:
        UnknownSweep: There is no sweep of that name.
        UsageError: There is no trial of that number, or the sweeps have different plans.
    """
    sides = []
    for name, number in wanted:
        with ledgers.opened(name) as one:
            trials = one.projection.trials
            if number >= len(trials):
                raise UsageError(
                    f"found trial {number} of {name}, expected one of {len(trials)} from 0"
                )
            one.points  # noqa: B018 - notes that older ledgers lack
            sides.append(Side(sweep=name, projection=one.projection, trial=trials[number]))
    _check_plans(sides)
    return tuple(sides)


def _check_plans(sides: Sequence[Side]) -> None:
    first = sides[0]
    for side in sides:
        if side.sweep == first.sweep:
            continue
        ours, theirs = _plan(first.projection), _plan(side.projection)
        if ours is None or theirs is None:
            unknown = first.sweep if ours is None else side.sweep
            raise UsageError(
                f"{first.sweep} and {side.sweep}: the ledger of {unknown} is of an older version "
                "and does not say which folds it used, so their trials cannot be compared"
            )
        if ours != theirs:
            raise UsageError(
                f"{first.sweep} and {side.sweep} were scored on different folds (plan {ours[:12]} "
                f"and {theirs[:12]}), so differences of their trials would be differences of "
                "cases; run both on the same store with the same seed and shares"
            )


def _plan(projection: Projection) -> str | None:
    header = projection.header
    return header.search_plan_digest or header.plan_digest


def together(sides: Sequence[Side], metric: str | None) -> Together:
    """What is compared: the objective, where it is that of all, else a metric that all have.

    Args:
        sides: Trials of `sides_of`.
        metric: A metric that every finished fold recorded; the objective as the search ranks by it
            if None.

    Raises:
        UsageError: No trial has a metric of that name on all its folds.
    """
    objectives = {side.projection.header.metric for side in sides}
    known = [
        set(score.metrics) for side in sides for score in side.trial.folds.values()
    ]  # fmt: skip
    names = tuple(sorted(set.intersection(*known))) if known else ()
    objective = sides[0].projection.header.metric
    if metric is None and len(objectives) > 1:
        metric = objective if objective in names else next(iter(names), None)
    name = metric or objective
    is_objective = len(objectives) == 1 and (
        metric is None or (not needs_threshold(name) and name == objective)
    )
    if not is_objective and name not in names:
        raise UsageError(
            f"found metric {name!r}, expected one that all folds have: {', '.join(names) or 'none'}"
        )
    rules = {rule_of(side.trial, name) for side in sides}
    rule = FIXED if needs_threshold(name) and (is_objective or len(rules) > 1) else rules.pop()
    return Together(
        sides=tuple(sides), metric=name, rule=rule, is_objective=is_objective, metrics=names
    )


def named(both: Together) -> Mapping[str, str]:
    """Short names of the trials by their key: the sweep's only where there are several."""
    return {
        side.key: label(side.trial) if both.is_one_sweep else f"{side.sweep} {label(side.trial)}"
        for side in both.sides
    }
