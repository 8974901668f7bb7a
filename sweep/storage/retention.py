"""Which trials keep their weights."""

from __future__ import annotations

import shutil
from pathlib import Path

from sweep.ledger.projection import Projection
from sweep.records import State


def kept_trials(projection: Projection, num_kept: int) -> set[int]:
    """Numbers of the trials that keep their weights: the best complete ones and the default."""
    complete = [one for one in projection.trials if one.state is State.COMPLETE]
    complete.sort(key=lambda one: (-one.mean, one.number))
    return {one.number for one in complete[:num_kept]} | {0}


def keep_weights(projection: Projection, folder: Path, *, num_kept: int) -> None:
    """Drop the weights of all but the best complete trials and the default.

    Case tables and fold results stay for every trial, of the attempts that gave a score.
    """
    kept = kept_trials(projection, num_kept)
    for one in projection.trials:
        for path in sorted((folder / "trials" / f"{one.number:04d}").glob("fold-*/attempt-*")):
            score = one.folds.get(int(path.parent.name.removeprefix("fold-")))
            if score is None or path.name != f"attempt-{score.attempt}":
                shutil.rmtree(path, ignore_errors=True)
                continue
            shutil.rmtree(path / "last", ignore_errors=True)
            if one.number not in kept:
                shutil.rmtree(path / "best", ignore_errors=True)
