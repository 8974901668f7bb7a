"""Our own pruners in plain Optuna, without this project's views."""

from __future__ import annotations

import math

import numpy as np
import optuna
import pytest
from optuna.pruners import BasePruner

from sweep.pruners import BergmanPruner, PairedFoldPruner, SameEpochPruner


def study_of(
    pruner: BasePruner, rows: list[list[float]], direction: str = "maximize"
) -> optuna.Study:
    """A study with one complete trial for each row of fold scores."""
    study = optuna.create_study(direction=direction, pruner=pruner)
    for row in rows:
        trial = study.ask()
        for step, value in enumerate(row):
            trial.report(value, step)
        study.tell(trial, float(np.mean(row)))
    return study


def first_stop(study: optuna.Study, values: list[float]) -> int | None:
    """The step at which a new trial is stopped."""
    trial = study.ask()
    for step, value in enumerate(values):
        trial.report(value, step)
        if trial.should_prune():
            return step
    return None


@pytest.mark.parametrize(
    ("is_forgiving", "values", "expected"),
    [
        (False, [0.8, 0.5], 1),  # mean 0.65 is not above the best mean 0.7
        (False, [0.71, 0.72], None),
        (True, [0.8, 0.3], 1),  # mean 0.55 is not above the worst fold 0.6
        (True, [0.62, 0.6], None),
        (True, [0.6], 0),
    ],
)
def test_bergman_by_hand(is_forgiving: bool, values: list[float], expected: int | None) -> None:
    study = study_of(BergmanPruner(is_forgiving=is_forgiving), [[0.6, 0.7, 0.8], [0.9, 0.1, 0.1]])
    assert first_stop(study, values) == expected


@pytest.mark.parametrize("is_forgiving", [True, False])
def test_bergman_follows_the_direction_and_waits_for_a_complete_trial(is_forgiving: bool) -> None:
    pruner = BergmanPruner(is_forgiving=is_forgiving)
    assert first_stop(study_of(pruner, []), [0.0]) is None
    study = study_of(pruner, [[0.2, 0.4]], direction="minimize")
    assert first_stop(study, [0.5]) == 0
    assert first_stop(study, [0.1]) is None


def test_paired_differences_take_the_fold_out() -> None:
    folds = [0.9, 0.5, 0.7, 0.3, 0.6]
    rows = [folds, [f - 0.1 + e for f, e in zip(folds, (0.01, -0.01, 0, 0.01, -0.01), strict=True)]]
    study = study_of(PairedFoldPruner(num_folds=5, false_prune=0.05), rows)
    # On the easy fold 0.8 looks better than the best mean 0.6, but is 0.1 behind in the pair.
    assert first_stop(study, [0.8, 0.4, 0.6]) == 0
    assert first_stop(study, [0.92, 0.51, 0.7, 0.31]) is None


def test_paired_keeps_its_bound() -> None:
    """Of trials that would end above the best at most the stated share is stopped."""
    generator = np.random.default_rng(0)
    stopped = better = 0
    for _ in range(150):
        effects = generator.normal(0, 0.01, 6)
        rows = effects[:, None] + generator.normal(0, 0.02, (6, 5)) + generator.normal(0, 0.1, 5)
        study = study_of(PairedFoldPruner(num_folds=5, false_prune=0.2), rows[:5].tolist())
        if rows[5].mean() > rows[:5].mean(axis=1).max():
            better += 1
            stopped += first_stop(study, rows[5].tolist()) is not None
    assert better >= 15
    assert stopped <= 0.2 * better + 1


def test_paired_without_anything_to_compare_stops_nobody() -> None:
    pruner = PairedFoldPruner(num_folds=3)
    assert first_stop(study_of(pruner, []), [0.0, 0.0]) is None
    assert first_stop(study_of(pruner, [[0.5, 0.5, 0.5]]), [0.1]) is None  # no spread known


@pytest.mark.parametrize("num_folds", [2, 3, 7, 10])
def test_paired_counts_the_folds_of_complete_trials(num_folds: int) -> None:
    folds = np.linspace(0.3, 0.9, num_folds)
    rows = [(folds - 0.1 * rank + 0.001 * np.sin(rank * folds)).tolist() for rank in range(4)]
    study = study_of(PairedFoldPruner(), rows)
    assert first_stop(study, rows[3][:-1]) == 0
    assert first_stop(study, (folds + 0.01).tolist()) is None


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(
    "pruner",
    [PairedFoldPruner(), BergmanPruner(is_forgiving=True), BergmanPruner(is_forgiving=False)],
)
def test_who_diverged_is_stopped_and_is_nobodys_measure(
    pruner: BasePruner, bad: float, direction: str
) -> None:
    sign = 1 if direction == "maximize" else -1
    study = study_of(pruner, [], direction)
    broken = study.ask()
    for fold, value in enumerate([bad, 0.5, 0.5]):
        broken.report(value, fold)
    study.tell(broken, sign * 9.0)
    assert first_stop(study, [bad]) is None  # nobody is complete
    for row in ([0.5, 0.4, 0.6], [0.41, 0.3, 0.52]):
        trial = study.ask()
        for fold, value in enumerate(row):
            trial.report(sign * value, fold)
        study.tell(trial, sign * float(np.mean(row)))
    assert first_stop(study, [bad]) == 0
    assert first_stop(study, [sign * 0.1, bad]) == 0
    assert first_stop(study, [sign * 0.7, sign * 0.6]) is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_folds": 0}, "num_folds 0"),
        ({"num_folds": 3, "false_prune": 0.0}, "false_prune: found 0.0"),
        ({"num_folds": 3, "min_folds": 0}, "min_folds 0"),
    ],
)
def test_paired_refuses_bad_arguments(arguments: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PairedFoldPruner(**arguments)  # type: ignore[arg-type]


def same_epoch(**changes: float) -> SameEpochPruner:
    given = {"keep_share": 0.5, "n_startup_trials": 2, "n_warmup_steps": 1, "interval_steps": 2}
    return SameEpochPruner(**(given | changes))  # type: ignore[arg-type]


def test_curves_meet_at_the_same_epoch_only() -> None:
    study = optuna.create_study(direction="maximize", pruner=same_epoch())
    for height in (0.5, 0.6):
        trial = study.ask()
        for epoch in range(1, 5):
            trial.report(height * epoch, epoch)
        study.tell(trial, state=optuna.trial.TrialState.PRUNED)  # pruned curves count as well
    trial = study.ask()
    asked = []
    for epoch, value in enumerate([0.1, 0.2, 9.0, 0.3], start=1):
        trial.report(value, epoch)
        asked.append(trial.should_prune())
    # Epoch 1 is warm-up, 2 and 4 are looks; the lucky epoch 3 protects nobody at epoch 4.
    assert asked == [False, True, False, True]


def test_curves_of_another_fold_do_not_count() -> None:
    study = optuna.create_study(direction="maximize", pruner=same_epoch())
    for _ in range(3):
        trial = study.ask()
        trial.report(0.9, 10_002)
        study.tell(trial, 0.9)
    trial = study.ask()
    assert not trial.should_prune()
    trial.report(0.1, 2)
    assert not trial.should_prune()


def curve(study: optuna.Study, values: list[float], *, pruned: bool = False) -> list[bool]:
    trial = study.ask()
    asked = []
    for epoch, value in enumerate(values, start=1):
        trial.report(value, epoch)
        asked.append(trial.should_prune())
    state = optuna.trial.TrialState.PRUNED if pruned else optuna.trial.TrialState.COMPLETE
    study.tell(trial, None if pruned else values[-1], state=state)
    return asked


def test_who_was_stopped_earlier_in_the_fold_counts_as_worse() -> None:
    pruner = same_epoch(n_warmup_steps=3, n_startup_trials=2)
    study = optuna.create_study(direction="maximize", pruner=pruner)
    for _ in range(2):
        curve(study, [0.1, 0.1], pruned=True)
    curve(study, [0.1, 0.2, 0.3, 0.4])
    # Below the only other one at epoch 4, but second of four that began.
    assert curve(study, [0.1, 0.2, 0.3, 0.35]) == [False] * 4
    assert curve(study, [0.1, 0.2, 0.3, 0.31])[-1] is False  # third of five, the half rounds up
    assert curve(study, [0.1, 0.2, 0.3, 0.30])[-1] is True


def test_a_window_forgives_one_bad_epoch() -> None:
    values = [0.3, 0.4, 0.5, 0.1]
    for window, is_stopped in ((1, True), (3, False), (9, False)):
        pruner = same_epoch(n_warmup_steps=3, n_startup_trials=2, window=window)
        study = optuna.create_study(direction="maximize", pruner=pruner)
        for height in (0.2, 0.3):
            curve(study, [height / 2, height / 2, height / 2, height])
        assert curve(study, values)[-1] is is_stopped


def test_values_that_are_not_finite_are_the_worst() -> None:
    pruner = same_epoch(n_warmup_steps=0, n_startup_trials=1, keep_share=0.6)
    study = optuna.create_study(direction="maximize", pruner=pruner)
    curve(study, [math.inf])
    assert curve(study, [0.1]) == [False]
    assert curve(study, [math.inf]) == [True]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"keep_share": 1.0}, "keep_share: found 1.0"),
        ({"window": 0}, "window: found 0"),
        ({"n_startup_trials": 0}, "n_startup_trials: found 0"),
        ({"n_warmup_steps": -1}, "n_warmup_steps: found -1"),
        ({"interval_steps": 0}, "interval_steps: found 0"),
    ],
)
def test_same_epoch_refuses_bad_arguments(changes: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        same_epoch(**changes)
