"""Runs of a sweep that was renamed get its new name; they are the same runs as before."""

from __future__ import annotations

from collections.abc import Sequence

from mlflow.entities import ViewType

from sweep.mlflow.view._runs import SweepRuns

#: Tag with the name of a sweep.
SWEEP = "ptxsweep.sweep"
_RUN_NAME = "mlflow.runName"


def follow_names(runs: SweepRuns, experiment: str, former: Sequence[str], name: str) -> None:
    """Rename experiments and runs that still have a former name.

    An experiment in which another sweep has runs, too, stays as it is: runs of this sweep in it are
    deleted, and made anew where they belong.

    Args:
        runs: Connected.
        experiment: Name of the experiment of sweeps.
        former: Names that the sweep had before.
        name: Its name.
    """
    for old in set(former) - {name}:  # it may have come back to an earlier one
        for suffix in ("", "/folds"):
            place = runs.client.get_experiment_by_name(f"{experiment}/{old}{suffix}")
            if place is None or place.lifecycle_stage == "deleted":
                continue
            _move(runs, str(place.experiment_id), f"{experiment}/{name}{suffix}", old, name)
        place = runs.client.get_experiment_by_name(experiment)
        if place is not None:
            _rename(runs, str(place.experiment_id), old, name)


def _move(runs: SweepRuns, place: str, target: str, old: str, name: str) -> None:
    own = [run.run_id for run in runs.runs_of(place)]
    if not own:
        return
    is_shared = _num_runs(runs, place) > len(own)
    if is_shared or runs.client.get_experiment_by_name(target) is not None:
        for run_id in own:
            runs.client.delete_run(run_id)
        return
    _rename(runs, place, old, name)
    runs.client.rename_experiment(place, target)


def _rename(runs: SweepRuns, place: str, old: str, name: str) -> None:
    for run in list(runs.runs_of(place)):
        called = run.tags.get(_RUN_NAME, "")
        if run.tags.get(SWEEP) == old:
            runs.client.update_run(run.run_id, name=name + called.removeprefix(old))
            runs.client.set_tag(run.run_id, SWEEP, name)


def _num_runs(runs: SweepRuns, place: str) -> int:
    number, token = 0, None
    while True:
        page = runs.client.search_runs(
            [place], run_view_type=ViewType.ALL, max_results=1000, page_token=token
        )
        number, token = number + len(page), page.token
        if not token:
            return number
