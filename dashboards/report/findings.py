"""What a sweep found, as numbers: the winner beside predicting nothing and beside the default.

While a sweep is not over there is no winner, and the numbers are those of the leader.

Every metric stands with its mean, its SD over the folds and the interval that takes the overlap of
the training parts into account; differences are taken fold by fold on the same cases.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

from dashboards.queries import (
    OperatingPoints,
    all_empty,
    all_empty_on,
    fold_interval,
    fold_metric,
    fold_scores,
    metric_of,
    num_folds_run,
    num_folds_stopped,
    operating_metric,
)
from ptxcore.metrics import SIZES, VIEWS, bounds, needs_threshold
from sweep.analysis.cohort import cohort_of, describe, overlap_ratio, ratio_text
from sweep.analysis.detection import Detection, known_detection
from sweep.analysis.resampling import Resampling, known_resampling
from sweep.analysis.selection_bias import Caution, caution, cautions
from sweep.analysis.standing import (
    Outcome,
    Standing,
    compare_folds,
    num_compared,
    num_looked_at,
)
from sweep.analysis.statistics import Interval, PairedDifference
from sweep.analysis.verdict import SweepVerdict, verdict
from sweep.ledger.projection import Projection, Trial
from sweep.records import State

#: Metrics of the table, in its order; the objective goes first wherever it stands here.
SHOWN = (
    "average_precision",
    "dice",
    "dice_positive",
    "iou",
    "iou_positive",
    "pixel_sensitivity",
    "precision",
    "case_sensitivity",
    "case_specificity",
    "case_precision",
    "calibration_error",
    "surface_dice",
    "surface_dice_positive",
    "hausdorff95_mm",
    "hausdorff95_positive_mm",
)
#: By size of the true mask and by view.
GROUPS = (
    *(f"{name}_size_{part}" for part in SIZES for name in ("dice", "case_sensitivity")),
    *(
        f"{name}_view_{part}"
        for part in VIEWS
        for name in ("dice", "dice_positive", "case_sensitivity", "case_specificity")
    ),
)


@dataclass(frozen=True, kw_only=True)
class MetricRow:
    """One metric of the winner, or of the leader so far.

    Attributes:
        metric: Its name.
        threshold: "none", "fixed" (of the settings) or "other folds" (chosen without the scored
            cases).
        winner: Over the folds.
        rival: The default trial's likewise, or the second's where the default won; None where it is
            not complete; while the sweep is not
            over, on the folds that both have.
        difference: Winner minus rival on the same folds, corrected for the trials looked at; None
            where they are the same.
        all_empty: Score of predicting nothing, None where that is not known.
        gain: Above predicting nothing on the same folds, corrected for the trials looked at.
    """

    metric: str
    threshold: str
    winner: Interval
    rival: Interval | None
    difference: PairedDifference | None
    all_empty: float | None
    gain: PairedDifference | None = None


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What the top of the report says.

    Attributes:
        metric: The objective.
        maximize: Whether higher is better.
        verdict: The leading trial, by how much it leads and how sure that is, and the words of it.
        rival: What the rows stand beside: "default", or the second where the default won.
        rows: Scores of the winner, or of the leader so far, the objective first; empty without
            either.
        groups: Scores of parts of the cases, by mask size and by view; empty where none was
            recorded.
        num_folds: Folds of a complete trial.
        num_folds_run: Finished folds of all trials.
        num_folds_stopped: Folds that were begun and have no score.
        num_folds_full_grid: Folds that training every trial completely would have taken.
        states: Trials by state.
        seconds: Training time of all finished folds.
        caution: What the scores are not, see `sweep.analysis.selection_bias`; None if nothing.
        cautions: The same one by one.
        cohort: Which cases took part, in one line; None of an older sweep.
        overlap: How intervals over folds reckon with overlapping training parts, in words.
        resampling: What resamples of the patients say of the score and the order; None without a
            winner, and where the ledger does not hold it.
        detection: How the winner tells ill cases from healthy ones; None likewise.
    """

    metric: str
    maximize: bool
    verdict: SweepVerdict
    rival: str
    rows: tuple[MetricRow, ...]
    groups: tuple[MetricRow, ...]
    num_folds: int
    num_folds_run: int
    num_folds_stopped: int
    num_folds_full_grid: int
    states: dict[State, int]
    seconds: float
    caution: str | None
    cautions: tuple[Caution, ...] = ()
    cohort: str | None = None
    overlap: str = ""
    resampling: Resampling | None = None
    detection: Detection | None = None

    @property
    def standing(self) -> Standing:
        """Where the sweep stands."""
        return self.verdict.standing

    @property
    def objective(self) -> MetricRow | None:
        """The row of the objective."""
        return self.rows[0] if self.rows else None

    def row(self, metric: str) -> MetricRow | None:
        """The row of a metric as it is deployed, None if it was not recorded."""
        return next((row for row in reversed(self.rows) if row.metric == metric), None)

    @property
    def winner(self) -> int | None:
        """Number of the winner, None without one and while the sweep is not over."""
        return self.standing.winner

    @property
    def is_open(self) -> bool:
        """Whether the sweep is not over."""
        return self.standing.outcome is Outcome.OPEN

    @property
    def default_won(self) -> bool:
        """Whether the search found nothing better than the defaults."""
        return self.standing.outcome is Outcome.DEFAULT


def find(projection: Projection, operating_points: OperatingPoints | None = None) -> Findings:
    """Collect the findings of a sweep, finished or not."""
    said, rival = verdict(projection), projection.default
    led = said.standing
    winner = None if led.leader is None else projection.trials[led.leader]
    if led.outcome is Outcome.DEFAULT and said.second is not None:
        rival = projection.trials[said.second.number]
    if rival is not None and led.winner is not None and rival.state is not State.COMPLETE:
        rival = None
    rows: list[MetricRow] = []
    groups: list[MetricRow] = []
    if winner is not None:
        metric = metric_of(projection)
        points = operating_points or {}
        looked = (num_compared(projection), num_looked_at(projection))
        objective = metric_row(
            projection, winner, rival, metric, points, is_objective=True, looked=looked
        )
        # An objective of masks stands twice: as the search ranks by it, and as it is deployed.
        is_twice = needs_threshold(metric) and winner.number in points
        names = [name for name in SHOWN if is_twice or name != metric]
        for part, names_of_part in ((rows, names), (groups, list(GROUPS))):
            found = [
                metric_row(projection, winner, rival, name, points, looked=looked)
                for name in names_of_part
            ]
            part += [row for row in found if row is not None]
        rows[:0] = [] if objective is None else [objective]
    return Findings(
        metric=metric_of(projection),
        maximize=projection.maximize,
        verdict=said,
        rival="default" if rival is None or rival.is_default else f"#{rival.number}, the second",
        rows=tuple(rows),
        groups=tuple(groups),
        num_folds=projection.num_folds,
        num_folds_run=num_folds_run(projection),
        num_folds_stopped=num_folds_stopped(projection),
        num_folds_full_grid=len(projection.trials) * projection.num_folds,
        states=dict(Counter(trial.state for trial in projection.trials)),
        seconds=math.fsum(trial.seconds for trial in projection.trials),
        caution=caution(projection),
        cautions=tuple(cautions(projection)),
        cohort=describe(cohort_of(projection.header)),
        overlap=ratio_text(projection.header),
        resampling=known_resampling(projection) if led.winner is not None else None,
        detection=known_detection(projection) if led.winner is not None else None,
    )


def metric_row(
    projection: Projection,
    winner: Trial,
    rival: Trial | None,
    metric: str,
    points: OperatingPoints,
    *,
    is_objective: bool = False,
    looked: tuple[int, int] | None = None,
) -> MetricRow | None:
    """One metric of a trial beside another's; None where it has no fold with it.

    Args:
        projection: Projection of the sweep.
        winner: Any trial.
        rival: Another one, usually the default.
        metric: Its name.
        points: Operating points by complete trial.
        is_objective: Whether it stands as the search ranks by it, at the fixed threshold.
        looked: What `num_compared` and `num_looked_at` say; asked here where it is None.
    """
    compared, looked_at = looked or (num_compared(projection), num_looked_at(projection))
    threshold = "fixed" if needs_threshold(metric) else "none"
    if is_objective:
        values = fold_scores(projection, winner)
        others = {} if rival is None else fold_scores(projection, rival)
    else:
        values = operating_metric(winner, metric, points) if threshold == "fixed" else {}
        others = {} if rival is None else operating_metric(rival, metric, points)
        if values:  # as it is deployed, whether or not its rival can be compared with it
            threshold = "other folds"
        else:
            values = fold_metric(winner, metric)
            others = {} if rival is None else fold_metric(rival, metric)
    values, others = _finite(values), _finite(others)
    if winner.state is not State.COMPLETE:
        others = {fold: value for fold, value in others.items() if fold in values}
    if not values:
        return None
    same = rival is not None and rival.number == winner.number
    ratio = overlap_ratio(projection.header)
    difference = compare_folds(values, others, test_train_ratio=ratio, num_compared=compared)
    empty = {fold: all_empty_on(winner.folds[fold].metrics, metric) for fold in values}
    known = {fold: value for fold, value in empty.items() if value is not None}
    gain = compare_folds(values, known, test_train_ratio=ratio, num_compared=looked_at)
    return MetricRow(
        metric=metric,
        threshold=threshold,
        winner=fold_interval(projection, metric, values),
        rival=fold_interval(projection, metric, others) if others else None,
        difference=None if same or difference is None else difference.within(*bounds(metric)),
        all_empty=all_empty(winner, metric),
        gain=None if gain is None else gain.within(*bounds(metric)),
    )


def _finite(values: dict[int, float]) -> dict[int, float]:
    """A fold without positive cases has no Dice over positive cases."""
    return {fold: value for fold, value in values.items() if math.isfinite(value)}
