"""Write a sweep as a clean Optuna study, for Optuna's own tools.

Optuna Dashboard opens the ledger itself, and misleads there: its steps count through all folds, its
history shows what was not finished beside what was, and it offers to edit and to delete. Here each
trial has one axis, a value only where all folds are finished, and nothing leads back to the ledger.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState

from ptxcore.atomic_file import whole_file
from sweep.analysis.verdict import verdict
from sweep.errors import UsageError
from sweep.ledger import Ledger
from sweep.ledger.projection import Projection, Trial
from sweep.ledger.quiet import quiet_optuna
from sweep.records import State

#: The fold that every trial begins with, so that its epochs compare.
_FIRST_FOLD = 0
#: Optuna wants a start of every trial that does not wait.
_UNKNOWN = "2000-01-01T00:00:00+00:00"
_STATES = {
    State.COMPLETE: TrialState.COMPLETE,
    State.PRUNED: TrialState.PRUNED,
    State.FAILED: TrialState.FAIL,
    # Optuna has no word for it; the attribute `state` has.
    State.ABANDONED: TrialState.FAIL,
}


@dataclass(frozen=True, kw_only=True)
class ExportedStudy:
    """A sweep as an Optuna study.

    Attributes:
        path: The SQLite file.
        study: Name of the study.
        num_trials: Trials in it, by their state in the ledger.
        has_note: Whether verdict and figures are in it, which takes Optuna Dashboard's package.
    """

    path: Path
    study: str
    num_trials: Mapping[str, int]
    has_note: bool


def export_optuna(
    ledger: Ledger, path: Path, figures: Mapping[str, Any] | None = None
) -> ExportedStudy:
    """Write a sweep, in whatever state it is, as a study in a new SQLite file.

    A trial's value is its mean over all folds; one that misses a fold has none. Steps are the
    epochs of the first fold, which all trials begin with, with the monitor's value. Scores of
    folds, state and reason as the ledger has them are attributes.

    Args:
        ledger: Ledger of the sweep.
        path: Path of the file; one that is there is not replaced.
        figures: Plotly's, by an id of letters and hyphens, for Optuna Dashboard.

    Raises:
        UsageError: The file is there.
    """
    if path.exists():
        raise UsageError(f"{path}: found a file, expected none; name a new one with --out")
    projection = ledger.projection
    with whole_file(path) as draft, quiet_optuna():
        storage = RDBStorage(f"sqlite:///{draft}")
        try:
            study = optuna.create_study(
                storage=storage,
                study_name=ledger.name,
                direction="maximize" if projection.maximize else "minimize",
            )
            study.set_metric_names([f"{projection.header.metric}, mean over all folds"])
            study.add_trials([_trial(trial, projection) for trial in projection.trials])
            has_note = _annotate(study, projection, figures or {})
        finally:
            storage.remove_session()
            storage.engine.dispose()
    states = [str(trial.state) for trial in projection.trials]
    return ExportedStudy(
        path=path,
        study=ledger.name,
        num_trials={state: states.count(state) for state in sorted(set(states))},
        has_note=has_note,
    )


def _trial(trial: Trial, projection: Projection) -> FrozenTrial:
    state = _STATES.get(trial.state, TrialState.RUNNING)
    value = None
    if state is TrialState.COMPLETE:
        value = trial.mean_value
        if not math.isfinite(value):
            state, value = TrialState.FAIL, None
    began = _timestamps(trial, projection)
    return FrozenTrial(
        number=trial.number,
        trial_id=trial.number,
        state=state,
        value=value,
        datetime_start=began[0],
        datetime_complete=began[1] if state.is_finished() else None,
        params=trial.parameters,
        distributions=trial.distributions,
        user_attrs=_attributes(trial),
        system_attrs={},
        intermediate_values={
            epoch: value
            for epoch, value in sorted(trial.epochs.get(_FIRST_FOLD, {}).items())
            if math.isfinite(value)
        },
    )


def _attributes(trial: Trial) -> dict[str, Any]:
    """What Optuna has no place for; attributes that do not apply are absent."""
    found: dict[str, Any] = {"state": str(trial.state), "folds_done": len(trial.folds)}
    if trial.is_default:
        found["default"] = True
    if trial.reason:
        found["reason"] = trial.reason
    if trial.folds:
        found["fold_scores"] = [
            round(score.value, 6) if math.isfinite(score.value) else None
            for _, score in sorted(trial.folds.items())
        ]
    found["epochs"], found["seconds"] = trial.num_epochs, round(trial.total_seconds, 1)
    return found


def _timestamps(trial: Trial, projection: Projection) -> tuple[datetime, datetime]:
    """First start and end, local time without a zone as Optuna writes it."""
    known = [attempt.started_at for attempt in trial.log]
    known += [attempt.ended_at for attempt in trial.log if attempt.ended_at]
    known = known or [projection.header.created_at or _UNKNOWN]
    stamps = [datetime.fromisoformat(stamp).astimezone().replace(tzinfo=None) for stamp in known]
    return min(stamps), max(stamps)


def _annotate(study: optuna.Study, projection: Projection, figures: Mapping[str, Any]) -> bool:
    """Verdict and figures where Optuna Dashboard shows them; False without its package."""
    try:
        from optuna_dashboard import save_note, save_plotly_graph_object
    except ImportError:
        return False
    said = verdict(projection)
    lines = [
        f"**{said.sentences[0]}** {' '.join(said.sentences[1:])}",
        " ".join(said.cautions),
        "A copy for looking at: trials have a value where all folds are finished, steps are the "
        "epochs of the first fold, and what is changed or deleted here changes nothing in the "
        "sweep. Trials that were abandoned count as failed in Optuna's words; the attribute "
        "`state` has ours.",
    ]
    save_note(study, "\n\n".join(line for line in lines if line))
    for name, figure in figures.items():
        save_plotly_graph_object(study, figure, graph_object_id=name)
    return True
