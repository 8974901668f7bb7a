"""Real Optuna pruners, asked through projections."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from in_process import toy_space
from projections import add, finish, folds, projection, report, start

from sweep.errors import SpaceError
from sweep.ledger.projection import Projection
from sweep.pruners import PrunerSpec, pruner_spec
from sweep.records import State
from sweep.search.pruner_adapter import PrunerAdapter

REQUIRED = {"threshold": "lower: 0.1", "hyperband": "max_resource: 9"}


def judge(name: str, text: str = "") -> PrunerAdapter:
    """As a search space would have it made."""
    spec = toy_space(pruner=f"{{name: {name}{', ' if text else ''}{text}}}").pruner
    return PrunerAdapter(spec.build())


def peers(made: Projection, values: list[list[float]]) -> None:
    for epochs in values:
        number = add(made)
        start(made, number, 0)
        report(made, number, 0, epochs)
        finish(made, number, 0, max(epochs))


@pytest.mark.parametrize("name", sorted(PrunerSpec.known))
def test_every_pruner_is_made_from_a_space_and_answers(name: str) -> None:
    made = projection()
    pruner = judge(name, REQUIRED.get(name, ""))
    peers(made, [[0.5, 0.6]] * 6)
    number = add(made)
    start(made, number, 0)
    report(made, number, 0, [0.01, 0.02])
    assert pruner.should_prune_epoch(made, number, 0) in (True, False)
    finish(made, number, 0, 0.02)
    assert pruner.should_prune_fold(made, number) in (True, False)


def test_none_prunes_nobody() -> None:
    made = projection()
    peers(made, [[0.9]] * 9)
    start(made, add(made), 0)
    report(made, 9, 0, [0.0])
    assert not judge("none").should_prune_epoch(made, 9, 0)
    assert not judge("none").should_prune_fold(made, 9)


def test_median_compares_with_those_who_finished_the_same_fold() -> None:
    made = projection()
    pruner = judge("median", "n_startup_trials: 3")
    peers(made, [[0.2, 0.5], [0.4, 0.5]])
    number = add(made)
    start(made, number, 0)
    report(made, number, 0, [0.1])
    assert not pruner.should_prune_epoch(made, number, 0)  # two peers, three are asked for
    peers(made, [[0.3, 0.5]])
    assert pruner.should_prune_epoch(made, number, 0)  # median of 0.2, 0.4, 0.3
    report(made, number, 0, [0.5])
    assert not pruner.should_prune_epoch(made, number, 0)
    start(made, 0, 1)
    report(made, 0, 1, [0.0])
    assert not pruner.should_prune_epoch(made, 0, 1)  # nobody finished fold 1


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("median", "n_startup_trials: 3", (0.2, 0.3)),  # its best so far, the median of bests
        ("same_epoch", "n_startup_trials: 3, n_warmup_steps: 0, window: 2", (0.15, 0.3)),
        ("threshold", "lower: 0.4", (0.1, 0.4)),
        ("threshold", "upper: 0.05", None),  # a better one would be stopped too
        ("successive_halving", "", None),  # it keeps marks
    ],
)
def test_what_a_trial_was_stopped_for_and_from_where_on_it_would_have_gone_on(
    name: str, text: str, expected: tuple[float, float] | None
) -> None:
    made = projection()
    pruner = judge(name, text)
    peers(made, [[0.2, 0.2], [0.4, 0.4], [0.3, 0.3]])
    number = add(made)
    start(made, number, 0)
    report(made, number, 0, [0.2, 0.1])
    if name != "successive_halving":
        assert pruner.should_prune_epoch(made, number, 0)
    found = pruner.judged_epoch(made, number, 0)
    assert found == (expected if expected is None else pytest.approx(expected, abs=1e-4))


def test_of_folds_their_mean_is_judged() -> None:
    made = projection()
    pruner = judge("paired_folds")
    for scores in [(0.5, 0.6, 0.7), (0.45, 0.58, 0.7), (0.49, 0.55, 0.66)]:
        made.end(folds(made, list(scores)), State.COMPLETE, None, "then")
    number = folds(made, [0.2, 0.3])
    assert pruner.should_prune_fold(made, number)
    found = pruner.judged_fold(made, number)
    assert found is not None
    value, limit = found
    assert value == pytest.approx(0.25)
    assert 0.4 < limit < 0.55, "the best has 0.55 on these folds"


def test_warm_up_and_scope() -> None:
    made = projection()
    peers(made, [[0.5, 0.5]] * 5)
    number = add(made)
    start(made, number, 0)
    report(made, number, 0, [0.1])
    assert judge("median").should_prune_epoch(made, number, 0)
    assert not judge("median", "n_warmup_steps: 2").should_prune_epoch(made, number, 0)
    assert not judge("median", "scope: folds").should_prune_epoch(made, number, 0)
    report(made, number, 0, [0.1])
    assert judge("median", "n_warmup_steps: 2").should_prune_epoch(made, number, 0)
    finish(made, number, 0, 0.1)
    assert judge("median").should_prune_fold(made, number)
    assert not judge("median", "n_warmup_folds: 1").should_prune_fold(made, number)
    assert not judge("median", "scope: epochs").should_prune_fold(made, number)


def test_one_lucky_fold_protects_nobody() -> None:
    made = projection(num_folds=4)
    for _ in range(5):
        folds(made, [0.5, 0.5, 0.5])
    pruner = judge("median")
    number = folds(made, [0.6])
    assert not pruner.should_prune_fold(made, number)
    start(made, number, 1)
    finish(made, number, 1, 0.0)  # its best mean is 0.6 still, its mean is 0.3
    assert pruner.should_prune_fold(made, number)


def test_wilcoxon_with_five_folds_prunes_nobody_before_the_fourth() -> None:
    made = projection(num_folds=5)
    best = folds(made, [0.8, 0.81, 0.82, 0.83, 0.84])
    pruner = judge("wilcoxon")
    number = add(made)
    verdicts = []
    for fold in range(4):
        start(made, number, fold)
        finish(made, number, fold, 0.1 + 0.011 * fold)
        verdicts.append(pruner.should_prune_fold(made, number))
    assert verdicts == [False] * 4  # nobody is complete, so there is nobody to compare with
    made.end(best, State.COMPLETE, None, "then")
    assert pruner.should_prune_fold(made, number)
    second = add(made)
    for fold in range(4):
        start(made, second, fold)
        finish(made, second, fold, 0.1 + 0.011 * fold)
        assert pruner.should_prune_fold(made, second) == (fold == 3)


def test_threshold_is_in_the_metrics_own_sign() -> None:
    made = projection(maximize=False)
    start(made, add(made), 0)
    report(made, 0, 0, [3.0])
    assert judge("threshold", "upper: 2").should_prune_epoch(made, 0, 0)
    assert not judge("threshold", "upper: 4").should_prune_epoch(made, 0, 0)


def test_patience() -> None:
    made = projection()
    start(made, add(made), 0)
    pruner = judge("patient", "patience: 2")
    verdicts = []
    for value in (0.5, 0.4, 0.3, 0.2, 0.1):
        report(made, 0, 0, [value])
        verdicts.append(pruner.should_prune_epoch(made, 0, 0))
    assert verdicts == [False, False, False, True, True]


def run_halving(pruner_of: Any, *, forget_every: int | None) -> list[list[bool]]:
    """Twelve trials, nine epochs each; `forget_every` makes a new judge after so many asks."""
    made, rng = projection(), np.random.default_rng(3)
    pruner, num_asked = pruner_of(), 0
    verdicts: list[list[bool]] = []
    for number in range(12):
        add(made)
        start(made, number, 0)
        verdicts.append([])
        for value in np.sort(rng.uniform(size=9)):
            report(made, number, 0, [float(value)])
            verdicts[-1].append(pruner.should_prune_epoch(made, number, 0))
            note = pruner.take_rung_marks(made, number)
            if note is not None:
                made.note(number, *note)
            num_asked += 1
            if forget_every is not None and num_asked % forget_every == 0:
                pruner = pruner_of()
            if verdicts[-1][-1]:
                made.end(number, State.PRUNED, "weak", "then")
                break
        else:
            finish(made, number, 0, float(value))
    return verdicts


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("successive_halving", "reduction_factor: 3"),
        ("hyperband", "max_resource: 9"),
    ],
)
def test_rungs_survive_a_restart(name: str, text: str) -> None:
    steady = run_halving(lambda: judge(name, text), forget_every=None)
    assert any(one[-1] for one in steady), "nobody was pruned, this shows nothing"
    for every in (1, 4, 7):
        assert run_halving(lambda: judge(name, text), forget_every=every) == steady


def test_mistakes_are_told() -> None:
    with pytest.raises(SpaceError, match=r"found 'medan', did you mean 'median'"):
        pruner_spec("medan", {})
    with pytest.raises(SpaceError, match=r"pruner hyperband: max_resource: Field required"):
        pruner_spec("hyperband", {})
    with pytest.raises(SpaceError, match="p_threshold: Input should be less than or equal to 1"):
        pruner_spec("wilcoxon", {"p_threshold": 3.0})
    with pytest.raises(SpaceError, match="scope: Input should be 'epochs', 'folds' or 'both'"):
        pruner_spec("median", {"scope": "all"})
