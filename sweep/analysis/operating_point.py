"""The rule under which masks are made, and a trial's metrics under it.

A fold's own score is taken at the fixed threshold of its settings, since that is all there is
while other folds are missing. A model is deployed with a rule that was chosen on cases. So once a
trial has all its folds, each is scored again from its table of cases under the rule that the
*other* folds choose, and the ledger keeps what comes out with the trial. Under that rule
stands every metric of masks of a complete trial, wherever it is shown, and the rule is named
beside it.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ptxcore.errors import CoreError
from ptxcore.metrics import (
    choose_rule,
    concatenate,
    leave_one_fold_out,
    load_table,
    needs_threshold,
)
from ptxcore.types import Rule
from sweep.analysis.statistics import mean_sd
from sweep.errors import StorageError
from sweep.ledger.projection import Projection, Trial
from sweep.records import State
from sweep.util.numbers import finite_or_none
from sweep.util.redaction import redact

#: Key of the note with which the ledger keeps it.
NOTE = "operating_point"
#: Rules: none is needed, that of the settings, that which the other folds choose.
NO_THRESHOLD, FIXED, OTHER_FOLDS = "none", "fixed", "other folds"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class OperatingPoint:
    """Thresholds of one complete trial, never chosen on the cases they are scored on.

    Attributes:
        folds: Metrics of each fold under the rule of the other folds, in order of fold; NaN where
            a fold has no case that a metric speaks of.
        rules: Those rules, one a fold; empty where a note does not hold them.
        rule: The rule chosen on all folds; None where a note does not hold it.
    """

    folds: tuple[Mapping[str, float], ...]
    rules: tuple[Rule, ...] = ()
    rule: Rule | None = None

    @classmethod
    def from_stored(cls, stored: Mapping[str, Any]) -> OperatingPoint:
        """A point as a ledger's note holds it; `to_stored` gives the same mapping again."""
        rule = stored.get("rule")
        return cls(
            folds=tuple(
                {name: math.nan if value is None else float(value) for name, value in own.items()}
                for own in stored.get("folds", ())
            ),
            rules=tuple(Rule(**rule) for rule in stored.get("rules", ())),
            rule=None if rule is None else Rule(**rule),
        )

    def to_stored(self) -> dict[str, Any]:
        """Plain JSON values, None for NaN."""
        return {
            "rules": [rule.to_stored() for rule in self.rules],
            "folds": [
                {name: finite_or_none(value) for name, value in own.items()} for own in self.folds
            ],
            "rule": None if self.rule is None else self.rule.to_stored(),
        }


def operating_point(trial: Trial, folder: Path) -> OperatingPoint | None:
    """Thresholds of one complete trial, never chosen on the cases they are scored on.

    The scores of fold f use the rule chosen on the other folds; the rule to deploy is chosen on
    all out-of-fold cases together, and only the hold-out may judge it.

    Args:
        trial: Trial with all its folds finished.
        folder: Folder of the sweep; fold scores name their case tables relative to it.

    Returns:
        None where a table is not there, or there is one fold alone.

    Raises:
        CheckpointError: A table is damaged.
        DataError: A case is in two folds.
    """
    names = [trial.folds[fold].cases for fold in sorted(trial.folds)]
    files = [folder / name for name in names if name is not None]
    if len(names) < 2 or len(files) < len(names) or not all(file.is_file() for file in files):
        return None
    tables = [load_table(file) for file in files]
    rules, metrics = leave_one_fold_out(tables)
    return OperatingPoint(
        folds=tuple(metrics), rules=tuple(rules), rule=choose_rule(concatenate(tables))
    )


def keeper(folder: Path, bring: Callable[[Trial], None]) -> Callable[[Trial], dict[str, Any]]:
    """A function that gives the note that the ledger keeps of a trial with all its folds.

    A table that cannot be read is said and costs the note, not the sweep.

    Args:
        folder: Folder of the sweep.
        bring: Has a trial's tables in it.
    """

    def notes(trial: Trial) -> dict[str, Any]:
        try:
            bring(trial)
            point = operating_point(trial, folder)
        except (CoreError, StorageError, OSError) as error:
            _log.warning(
                "trial %d stays at the fixed threshold of its settings, since a table of its cases "
                "cannot be read: %s", trial.number, redact(str(error)),
            )  # fmt: skip
            return {}
        return {} if point is None else {NOTE: point.to_stored()}

    return notes


def fill(projection: Projection, folder: Path) -> None:
    """Give complete trials of older ledgers the note that newer ones have, in memory.

    Args:
        projection: Changed in place.
        folder: Folder of the sweep; trials without a table in it stay as they are.
    """
    notes = keeper(folder, lambda other: None)
    for trial in projection.trials:
        if trial.state is State.COMPLETE and NOTE not in trial.notes:
            for key, value in notes(trial).items():
                projection.note(trial.number, key, value)


def known_point(trial: Trial) -> OperatingPoint | None:
    """What the ledger keeps, see `operating_point`; None where it keeps nothing."""
    note = trial.notes.get(NOTE)
    if not isinstance(note, Mapping) or len(note.get("folds", ())) != len(trial.folds):
        return None
    return OperatingPoint.from_stored(note)


def rule_of(trial: Trial, metric: str) -> str:
    """Under which rule a trial's metric stands: one of the three words above.

    Distances between outlines are measured under the fixed rule alone.
    """
    if not needs_threshold(metric):
        return NO_THRESHOLD
    point = known_point(trial)
    is_tuned = point is not None and all(metric in values for values in point.folds)
    return OTHER_FOLDS if is_tuned else FIXED


def objective_rule(projection: Projection) -> str:
    """Under which rule the scores stand by which a search ranks: no other is there in time."""
    return FIXED if needs_threshold(projection.header.metric) else NO_THRESHOLD


def objective_name(metric: str) -> str:
    """An objective as a heading, with its rule if it needs one."""
    return f"{metric} (fixed threshold)" if needs_threshold(metric) else metric


def fold_values(trial: Trial, metric: str, rule: str | None = None) -> dict[int, float]:
    """A metric by finished fold, NaN where a fold has no case that it speaks of.

    Args:
        trial: Any.
        metric: Its name.
        rule: One of the words above; that of `rule_of` if None.

    Returns:
        Empty where some finished fold has no such metric under that rule.
    """
    folds = sorted(trial.folds)
    sources: Sequence[Mapping[str, float]] = [trial.folds[fold].metrics for fold in folds]
    if (rule or rule_of(trial, metric)) == OTHER_FOLDS:
        point = known_point(trial)
        sources = [] if point is None else point.folds
    if not sources or not all(metric in source for source in sources):
        return {}
    values = (float(source[metric]) for source in sources)
    return dict(zip(folds, values, strict=True))


def rule_text(rule: str, settings: Mapping[str, Any] | None = None) -> str:
    """A rule in words.

    Args:
        rule: One of the words above.
        settings: Settings of a trial; names the threshold where it is fixed.
    """
    if rule == NO_THRESHOLD:
        return "no threshold"
    if rule == OTHER_FOLDS:
        return "threshold from the other folds"
    if settings is None:
        return "fixed threshold of the settings"
    return f"fixed threshold {float(settings.get('threshold', 0.5)):g}"


def operating_points(projection: Projection, folder: Path) -> dict[int, OperatingPoint]:
    """Thresholds of every complete trial, as the ledger keeps them or from its case tables."""
    fill(projection, folder)
    points = {trial.number: known_point(trial) for trial in projection.trials}
    return {number: point for number, point in points.items() if point is not None}


def tuned_metrics(point: OperatingPoint | None) -> dict[str, dict[str, float]] | None:
    """Mean and SD over folds of every metric that each fold has.

    Args:
        point: See `operating_point`; None gives None.
    """
    if point is None:
        return None
    found: dict[str, dict[str, float]] = {}
    for name in point.folds[0]:
        known = [fold[name] for fold in point.folds if name in fold]
        values = [value for value in known if math.isfinite(value)]
        if len(values) == len(point.folds):
            mean, sd = mean_sd(values)
            found[name] = {"mean": mean, "sd": sd}
    return found
