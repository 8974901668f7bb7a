"""A run for each fold, where it is asked for: below its trial's run, in an experiment of their own.

MLflow groups runs by a tag and shows mean, least and greatest of each metric: by `ptxsweep.trial`
those of a trial over its folds, by `ptxsweep.fold` those of a fold over the trials.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from mlflow.entities import Metric

from ptxcore.metrics import needs_threshold
from sweep.analysis.operating_point import fold_values
from sweep.ledger.projection import Projection, Trial
from sweep.mlflow.view import _content as content
from sweep.mlflow.view._metrics import LAYOUT, NAMES, fold_end, fold_start
from sweep.mlflow.view._runs import Run, SweepRuns

#: Tag: number of a fold.
FOLD = "ptxsweep.fold"


@dataclass(kw_only=True)
class FoldRuns:
    """The runs of a sweep's folds.

    Attributes:
        runs: Runs of the sweep and its trials.
        experiment_id: Experiment of the folds.
        found: Runs by trial and fold.
    """

    runs: SweepRuns
    experiment_id: str
    found: dict[tuple[int, int], Run]

    @classmethod
    def enter(cls, runs: SweepRuns, experiment: str) -> FoldRuns:
        """Find the experiment, or make it, and its runs of this sweep."""
        place = runs.experiment(experiment)
        known: dict[tuple[int, int], Run] = {}
        for run in runs.runs_of(place):
            known.setdefault((int(run.tags[content.TRIAL]), int(run.tags[FOLD])), run)
        return cls(runs=runs, experiment_id=place, found=known)

    def send(
        self, trial: Trial, projection: Projection, tags: dict[str, str], *, over: bool
    ) -> None:
        """Bring the runs of a trial's folds up to date.

        Args:
            trial: The trial; its own run is there.
            projection: Projection of the sweep.
            tags: Tags that never change of the trial's own run.
            over: Whether no driver will go on.
        """
        for fold in sorted({*trial.folds, *trial.epochs}):
            state = _sent_state(trial, fold)
            run = self.found.get((trial.number, fold)) or self._make(trial, fold, tags)
            before = run.tags.get(content.LOGGED, "")
            if before != state:
                after = int(before.split("-")[1]) if before.startswith("epochs-") else 0
                params = {} if before else content.trial_params(trial)
                metrics = _metrics(trial, fold, projection, after=after)
                logged = {content.LOGGED: state, content.LAYOUT_TAG: LAYOUT}
                self.runs.send(run, metrics=metrics, params=params, tags=logged)
            status, at = _status(trial, fold, over=over), fold_end(trial, fold)
            self.runs.set_status(run, status, at)

    def _make(self, trial: Trial, fold: int, tags: dict[str, str]) -> Run:
        own = {
            **tags,
            "mlflow.runName": f"{tags['mlflow.runName']}-fold-{fold}",
            "mlflow.parentRunId": self.runs.found[trial.number].run_id,
            FOLD: str(fold),
        }
        made = self.runs.create(self.experiment_id, own, fold_start(trial, fold))
        self.found[trial.number, fold] = made
        return made


def _sent_state(trial: Trial, fold: int) -> str:
    """What the run of a fold is to hold, in a word."""
    if fold not in trial.folds:
        return f"epochs-{max(trial.epochs[fold], default=0)}"
    return f"{'end' if trial.state.is_final else 'score'} {content.inference_text(trial)}".strip()


def _status(trial: Trial, fold: int, *, over: bool) -> str:
    if fold in trial.folds:
        return "FINISHED"
    if trial.running_fold == fold and not over:
        return "RUNNING"
    return content.STATUS[trial.state] if trial.state.is_final or not over else "KILLED"


def _metrics(trial: Trial, fold: int, projection: Projection, *, after: int) -> list[Metric]:
    """Score of a fold, the metrics that a trial has means of, and its curves by epoch."""
    start, end = fold_start(trial, fold), fold_end(trial, fold)
    own = f"monitor_{projection.header.metric}"
    curves = {"monitor/score": dict(trial.epochs.get(fold, {}))}
    found: list[Metric] = []
    if fold in trial.folds:
        score = trial.folds[fold]
        found.append(Metric("score", score.value, end, 0))
        found.append(Metric("seconds", score.seconds, end, 0))
        for metric, key in NAMES.items():
            if trial.state.is_final or not needs_threshold(metric):
                value = fold_values(trial, metric).get(fold, math.nan)
                found.append(Metric(key, value, end, 0))
        for name, values in score.curves.items():
            key = "monitor/score" if name == own else name.replace("_", "/", 1)
            curves[key] = dict(enumerate(values, start=1)) | curves.get(key, {})
    found += [
        Metric(key, float(value), start, epoch)
        for key, curve in curves.items()
        for epoch, value in sorted(curve.items())
        if epoch > (after if key == "monitor/score" else 0)
    ]
    return [metric for metric in found if math.isfinite(metric.value)]
