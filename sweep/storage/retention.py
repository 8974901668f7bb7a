"""Which trials keep their weights."""

from __future__ import annotations

import shutil
from pathlib import Path

from sweep.ledger.projection import Projection
from sweep.records import State

#: Complete trials that keep their weights, beside the default trial.
NUM_KEPT = 3


def kept_trials(projection: Projection, num_kept: int) -> set[int]:
    """Numbers of the trials that keep their weights: the best complete ones and the default."""
    complete = [trial for trial in projection.trials if trial.state is State.COMPLETE]
    complete.sort(key=lambda trial: (-trial.mean, trial.number))
    return {trial.number for trial in complete[:num_kept]} | {0}


def keep_weights(projection: Projection, folder: Path, *, num_kept: int) -> None:
    """Drop the weights of all but the best complete trials and the default.

    Case tables and fold results stay for every trial, of the attempts that gave a score.
    """
    kept = kept_trials(projection, num_kept)
    for trial in projection.trials:
        for path in sorted((folder / "trials" / f"{trial.number:04d}").glob("fold-*/attempt-*")):
            score = trial.folds.get(int(path.parent.name.removeprefix("fold-")))
            if score is None or path.name != f"attempt-{score.attempt}":
                shutil.rmtree(path, ignore_errors=True)
                continue
            shutil.rmtree(path / "last", ignore_errors=True)
            if trial.number not in kept:
                shutil.rmtree(path / "best", ignore_errors=True)
