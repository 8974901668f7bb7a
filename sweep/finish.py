"""What follows from a complete candidate: its operating point, and which weights stay."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

from ptxcore.metrics import choose_rule, concatenate, leave_one_fold_out, load_table
from sweep.projection import Candidate, Projection
from sweep.records import State


def operating_point(candidate: Candidate, folder: Path) -> dict[str, Any]:
    """Thresholds of one complete candidate, never chosen on the cases they are scored on.

    The scores of fold f use the rule chosen on the other folds; the rule to deploy is chosen on
    all out-of-fold cases together, and only the hold-out may judge it.

    Args:
        candidate: With all its folds finished.
        folder: Of the sweep; fold scores name their case tables relative to it.

    Returns:
        "folds": the metrics of each fold under the rule of the other folds, "rules": those rules,
        "rule": the one chosen on all folds.
    """
    scores = [candidate.folds[fold] for fold in sorted(candidate.folds)]
    tables = [load_table(folder / score.cases) for score in scores if score.cases is not None]
    rules, metrics = leave_one_fold_out(tables)
    return {
        "rules": [dataclasses.asdict(rule) for rule in rules],
        "folds": [dict(values) for values in metrics],
        "rule": dataclasses.asdict(choose_rule(concatenate(tables))),
    }


def kept_candidates(projection: Projection, num_kept: int) -> set[int]:
    """Numbers of the candidates whose weights stay: the best complete ones and the default."""
    complete = [one for one in projection.candidates if one.state is State.COMPLETE]
    complete.sort(key=lambda one: (-one.mean, one.number))
    return {one.number for one in complete[:num_kept]} | {0}


def keep_weights(projection: Projection, folder: Path, *, num_kept: int) -> None:
    """Drop the weights of all but the best complete candidates and the default.

    Case tables and fold results stay for every candidate, of the attempts that gave a score.
    """
    kept = kept_candidates(projection, num_kept)
    for one in projection.candidates:
        for path in sorted((folder / "trials" / f"{one.number:04d}").glob("fold-*/attempt-*")):
            score = one.folds.get(int(path.parent.name.removeprefix("fold-")))
            if score is None or path.name != f"attempt-{score.attempt}":
                shutil.rmtree(path, ignore_errors=True)
                continue
            shutil.rmtree(path / "last", ignore_errors=True)
            if one.number not in kept:
                shutil.rmtree(path / "best", ignore_errors=True)
