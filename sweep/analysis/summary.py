"""A sweep in one object: what `run`, `resume`, `show` and the demo print."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ptxcore.metrics import better, convention, needs_threshold
from sweep.analysis.beside import BesideNothing, BesideSecond
from sweep.analysis.cohort import cohort_of, ratio_text
from sweep.analysis.confirmed import ConfirmedScore
from sweep.analysis.cost import Cost, cost_of
from sweep.analysis.detection import Detection, known_detection
from sweep.analysis.expected_dice import ExpectedDice
from sweep.analysis.operating_point import (
    FIXED,
    OTHER_FOLDS,
    fold_values,
    objective_rule,
    rule_of,
    rule_text,
)
from sweep.analysis.resampling import Resampling, known_resampling
from sweep.analysis.selection_bias import caution
from sweep.analysis.standing import Standing
from sweep.analysis.statistics import mean_sd
from sweep.analysis.verdict import verdict
from sweep.ledger import Ledger, Note
from sweep.ledger.inference_choice import values_by_choice
from sweep.ledger.projection import Projection, Trial
from sweep.records import State, SweepState
from sweep.util.numbers import all_finite, mean_or

_FIXED_TEXT = "at the threshold of its settings"


@dataclass(frozen=True, kw_only=True)
class TrialSummary:
    """One trial.

    Attributes:
        number: Optuna trial number; 0 holds the defaults.
        state: See `sweep.records.State`.
        reason: Why it ended, None while it may go on.
        parameters: The values that were chosen.
        settings: The whole configuration.
        fold_scores: Objective on each finished fold in the metric's own sign; None if unfinished.
        fold_seconds: Training time of each finished fold; None if unfinished.
        seconds: Seconds of all folds together; of unfinished ones from start to end, where it is
            known.
        num_epochs: Epochs of all folds together, unfinished ones included.
        mean: Mean of the finished folds' scores, None before the first.
        inference: The choice for inference at which all scores stand; empty without one.
        choices: Every choice with its objective by finished fold and its mean.
        metrics: Mean and SD over the folds, of complete trials alone and of metrics that are
            defined on every fold (specificity is not when all cases are positive), and under
            "threshold" the rule that makes the masks, see `sweep.analysis.operating_point`.
        fixed_metrics: Those of masks at the fixed threshold of the settings.
        batch_parts: Parts that batches were split into to fit in memory: 1, 2 or 4.
    """

    number: int
    state: str
    reason: str | None
    parameters: dict[str, Any]
    settings: dict[str, Any]
    fold_scores: list[float | None]
    fold_seconds: list[float | None]
    mean: float | None
    metrics: dict[str, dict[str, Any]]
    inference: dict[str, Any] = field(default_factory=dict)
    choices: list[dict[str, Any]] = field(default_factory=list)
    batch_parts: int = 1
    fixed_metrics: dict[str, dict[str, Any]] = field(default_factory=dict)
    seconds: float = 0.0
    num_epochs: int = 0


@dataclass(frozen=True, kw_only=True)
class SweepSummary:
    """One sweep.

    Attributes:
        name: Name of the sweep.
        state: Where the sweep stands.
        reason: Why it is in that state.
        phantom: Whether the cases are drawn, not real.
        metric: The objective.
        threshold: The rule behind its values, one of the words of `sweep.analysis.operating_point`.
        num_folds_run: Finished folds.
        num_folds_stopped: Folds that were begun and have no score, since their trial was stopped.
        num_folds_full_grid: Folds that training every trial completely would have taken.
        best: Number of the winner, None unless the sweep is over; `standing` has the leader.
        baseline: Dice (both empty = 1) of predicting nothing on the folds of the winner, or of the
            leader so far if it is complete.
        warning: What a reader must know of that trial, None if nothing.
        caution: What the scores are not, see `sweep.analysis.selection_bias`; None if nothing.
        cohort: Which cases took part, see `sweep.analysis.cohort`; empty of an older sweep.
        overlap: How intervals over folds reckon with overlapping training parts, in words.
        standing: The leading trial, by how much it leads the default and how sure that is.
        second: The winner beside the second, None without either.
        nothing: The leader beside predicting nothing, None where that is not known.
        verdict: The same in words, see `sweep.analysis.verdict`.
        sentences: The same by sentence.
        short: The same as a phrase.
        resampling: What resamples of the patients say of the winner's score and of the order; None
            without a winner, and where the ledger does not hold it.
        detection: How the winner tells ill cases from healthy ones; None likewise.
        promised: Dice that is expected at a prevalence that was asked for; None where none was.
        trials: All of them.
        mlflow_run_id: MLflow id of the parent run, None if MLflow was not reached.
        confirmed: What fresh folds say of the best trials; None if they were not trained again.
        better: Which way each metric here is better, "higher" or "lower"; counts and baselines
            have no such way.
        conventions: What each metric here counts, and what it does with empty masks.
        notes: What people wrote down about the sweep, oldest first.
        cost: What it took of the machines, and of the money where prices were given; None before
            the first fold was begun.
    """

    name: str
    state: SweepState
    reason: str | None
    phantom: bool
    metric: str
    threshold: str
    num_folds_run: int
    num_folds_stopped: int
    num_folds_full_grid: int
    best: int | None
    baseline: float | None
    standing: Standing
    second: BesideSecond | None
    nothing: BesideNothing | None
    verdict: str
    sentences: tuple[str, ...]
    short: str
    trials: list[TrialSummary]
    warning: str | None = None
    caution: str | None = None
    cohort: dict[str, Any] = field(default_factory=dict)
    overlap: str = ""
    resampling: Resampling | None = None
    detection: Detection | None = None
    promised: ExpectedDice | None = None
    mlflow_run_id: str | None = None
    confirmed: ConfirmedScore | None = None
    better: dict[str, str] = field(default_factory=dict)
    conventions: dict[str, str] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)
    cost: Cost | None = None


def summarise(
    ledger: Ledger, *, mlflow_run_id: str | None = None, confirmed: ConfirmedScore | None = None
) -> SweepSummary:
    """The state of a sweep as its ledger has it."""
    return summary_of(
        ledger.name, ledger.projection, mlflow_run_id=mlflow_run_id, confirmed=confirmed
    )


def summary_of(
    name: str,
    projection: Projection,
    *,
    mlflow_run_id: str | None = None,
    confirmed: ConfirmedScore | None = None,
) -> SweepSummary:
    """The same of a projection."""
    said = verdict(projection)
    found = said.standing
    trials = [summarise_trial(trial, projection) for trial in projection.trials]
    names = dict.fromkeys(name for trial in trials for name in trial.metrics)
    names[projection.header.metric] = None
    led = {} if found.leader is None else trials[found.leader].metrics
    return SweepSummary(
        name=name,
        state=projection.sweep_state,
        reason=projection.sweep_reason,
        phantom=projection.header.is_phantom,
        metric=projection.header.metric,
        threshold=objective_rule(projection),
        num_folds_run=sum(len(trial.folds) for trial in projection.trials),
        num_folds_stopped=sum(trial.num_folds_stopped for trial in projection.trials),
        num_folds_full_grid=len(projection.trials) * projection.num_folds,
        best=found.winner,
        baseline=led.get("dice_all_empty", {}).get("mean"),
        standing=found,
        second=said.second,
        nothing=said.nothing,
        verdict=said.text,
        sentences=said.sentences,
        short=said.short,
        trials=trials,
        warning=said.warning,
        caution=caution(projection),
        cohort=cohort_of(projection.header),
        overlap=ratio_text(projection.header),
        resampling=known_resampling(projection),
        detection=known_detection(projection),
        mlflow_run_id=mlflow_run_id,
        confirmed=confirmed,
        better=_known(better, names),
        conventions=_known(convention, names),
        notes=list(projection.notes),
        cost=cost_of(projection),
    )


def _known(say: Callable[[str], str | None], names: Iterable[str]) -> dict[str, str]:
    """What is said of those metrics of which something can be said."""
    return {name: text for name in names if (text := say(name)) is not None}


def baseline_warning(
    metrics: Mapping[str, Mapping[str, Any]],
    threshold: str | None = None,
    subject: str = "the winner",
) -> str | None:
    """Say that a model does not beat predicting nothing.

    Args:
        metrics: Mean and SD over the folds by name.
        threshold: Which one gave them, as the warning says it; as `metrics` have it if None.
        subject: The model that they are of, in words.

    Returns:
        None where its mean Dice (both empty = 1) is higher, or one of the two is not known.
    """
    if not {"dice", "dice_all_empty"} <= set(metrics):
        return None
    dice, empty = metrics["dice"]["mean"], metrics["dice_all_empty"]["mean"]
    if dice - empty > 1e-9:
        return None
    if threshold is None:
        is_tuned = metrics["dice"].get("threshold") == OTHER_FOLDS
        threshold = f"with the {rule_text(OTHER_FOLDS)}" if is_tuned else _FIXED_TEXT
    return (
        f"{subject} does not beat predicting nothing: Dice {dice:.4f} against {empty:.4f} "
        f"(both empty = 1, {threshold})"
    )


def summarise_trial(trial: Trial, projection: Projection) -> TrialSummary:
    """One trial as its summary shows it."""
    folds = [trial.folds.get(fold) for fold in range(projection.num_folds)]
    return TrialSummary(
        number=trial.number,
        state=str(trial.state),
        reason=trial.reason,
        parameters=dict(trial.parameters),
        settings=dict(trial.settings),
        fold_scores=[None if s is None else s.value for s in folds],
        fold_seconds=[None if s is None else s.seconds for s in folds],
        mean=trial.mean_value if trial.folds else None,
        metrics=_metrics(trial),
        fixed_metrics={
            name: found for name, found in _metrics(trial, FIXED).items() if needs_threshold(name)
        },
        inference=trial.inference,
        choices=_choices(trial),
        batch_parts=trial.batch_parts,
        seconds=trial.total_seconds,
        num_epochs=trial.num_epochs,
    )


def _metrics(trial: Trial, rule: str | None = None) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    if trial.state is not State.COMPLETE:
        return found
    names = sorted(set.intersection(*(set(score.metrics) for score in trial.folds.values())))
    for name in names:
        values = list(fold_values(trial, name, rule).values())
        if values and all_finite(values):  # NaN: the folds hold no such case
            mean, sd = mean_sd(values)
            found[name] = {"mean": mean, "sd": sd, "threshold": rule or rule_of(trial, name)}
    return found


def _choices(trial: Trial) -> list[dict[str, Any]]:
    found = []
    for place, by_fold in enumerate(values_by_choice(trial.folds)):
        values = list(by_fold.values())
        first = next(iter(trial.folds.values()))
        found.append(
            {
                "inference": dict(first.choices[place].inference),
                "fold_scores": values,
                "mean": mean_or(values),
            }
        )
    return found
