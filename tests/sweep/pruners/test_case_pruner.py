"""The pruner on held cases, in plain Optuna."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from numpy.typing import NDArray
from optuna.trial import TrialState, create_trial

from sweep.pruners import PairedCasePruner

TABLE = Path(__file__).resolve().parents[2] / "data" / "cases" / "phantom_unet_96_cases_k5.npz"
#: Five folds of ten cases, not in order.
FOLDS = np.tile(np.arange(5), 10)

Floats = NDArray[np.float64]


def study_of(rows: Floats, direction: str = "maximize", **given: Any) -> optuna.Study:
    """A study with one complete trial for each row of case scores."""
    pruner = PairedCasePruner(case_folds=FOLDS.tolist(), **given)
    study = optuna.create_study(direction=direction, pruner=pruner)
    for row in rows:
        study.add_trial(
            create_trial(
                state=TrialState.COMPLETE,
                value=float(row.mean()),
                intermediate_values=dict(enumerate(row.tolist())),
            )
        )
    return study


def first_stop(study: optuna.Study, cases: Floats) -> int | None:
    """Folds after which a new trial is stopped, asked after each fold and in its middle."""
    trial = study.ask()
    for fold in range(5):
        for place, case in enumerate(np.flatnonzero(fold == FOLDS)):
            trial.report(float(cases[case]), int(case))
            if place in (5, 9) and trial.should_prune():
                assert place == 9 or np.isnan(cases).any()  # no part of a fold is looked at
                return fold + 1
    return None


def world(generator: np.random.Generator, effects: Floats, between: float) -> Floats:
    """[N, 50] scores: what cases share, what each trial has of its own, and each training."""
    cases = generator.normal(0, 0.2, 50) + effects[:, None]
    trainings = generator.normal(0, between, (len(effects), 5))[:, FOLDS]
    drawn: Floats = cases + trainings + generator.normal(0, 0.05, (len(effects), 50))
    return drawn


def test_the_bound_holds_beside_a_single_complete_trial_of_real_networks() -> None:
    """Average precision of drawn radiographs by 40 trained networks: all pairs, the better second.

    Their folds differ by 4.3 times what their cases say. Taken to be twice, 58 of 780 were stopped.
    """
    table = np.load(TABLE)
    cases, folds = table["cases"].astype(float), table["case_folds"]
    means = np.mean([cases[:, folds == fold].mean(1) for fold in range(5)], axis=0)
    generator, num_better, num_lost = np.random.default_rng(0), 0, 0
    for first, second in itertools.permutations(range(len(cases)), 2):
        if means[second] <= means[first]:
            continue
        num_better += 1
        places = generator.permutation(5)[folds]
        pruner = PairedCasePruner(case_folds=places.tolist(), false_prune=0.05)
        study = optuna.create_study(direction="maximize", pruner=pruner)
        scores = dict(enumerate(cases[first].tolist()))
        state = TrialState.COMPLETE
        study.add_trial(create_trial(state=state, value=means[first], intermediate_values=scores))
        trial = study.ask()
        for fold in range(4):
            for case in np.flatnonzero(places == fold):
                trial.report(float(cases[second, case]), int(case))
            if trial.should_prune():
                num_lost += 1
                break
    assert num_better == 40 * 39 / 2
    assert num_lost <= 0.05 * num_better


def test_a_trial_far_below_the_best_is_stopped_after_one_fold_and_a_better_one_never() -> None:
    rows = world(np.random.default_rng(0), np.array([0.0, -0.02, -0.2, 0.05]), 0.01)
    study = study_of(rows[:2])
    assert first_stop(study, rows[2]) == 1
    assert first_stop(study, rows[3]) is None
    assert first_stop(study_of(rows[:1]), rows[2]) == 1  # one complete trial is enough
    assert first_stop(study_of(rows[:2], min_folds=3), rows[2]) == 3
    assert first_stop(study_of(rows[:0]), rows[2]) is None


def test_the_direction_counts_and_a_trial_that_diverged_is_stopped() -> None:
    rows = world(np.random.default_rng(0), np.array([0.0, -0.02, -0.2]), 0.01)
    assert first_stop(study_of(-rows[:2], direction="minimize"), -rows[2]) == 1
    assert first_stop(study_of(rows[:2]), np.full(50, math.nan)) == 1
    assert first_stop(study_of(rows[:2]), rows[0]) is None  # equal to the best


@pytest.mark.parametrize("num_complete", [1, 2, 6])
@pytest.mark.parametrize("between", [0.0, 0.015])
def test_at_most_the_stated_share_of_better_trials_is_stopped(
    num_complete: int, between: float
) -> None:
    """Trainings differ by as much as the cases of a fold say, or by nothing more."""
    generator = np.random.default_rng(1)
    stopped = better = 0
    while better < 60:
        rows = world(generator, generator.normal(0, 0.01, num_complete + 1), between)
        if rows[-1].mean() > rows[:-1].mean(axis=1).max():
            better += 1
            stopped += first_stop(study_of(rows[:-1], false_prune=0.2), rows[-1]) is not None
    assert stopped <= 0.2 * better


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"case_folds": []}, "two cases at least"),
        ({"case_folds": [0, 0, 1]}, "two cases at least"),
        ({"false_prune": 0.0}, r"found 0.0, expected a value in \(0, 1\)"),
        ({"min_folds": 0}, "found 0, expected at least 1"),
    ],
)
def test_values_out_of_range_are_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        PairedCasePruner(**{"case_folds": [0, 0, 1, 1], **given})
