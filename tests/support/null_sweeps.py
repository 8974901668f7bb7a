"""Sweeps of equal trials: whatever one of them is ahead of the default by is chance.

A real policy and a real stop rule decide who gets which fold; only training is a formula. A score
is the fold's ease, the same for all, and the trial's luck: its part on one fold and its part on all
folds of this partition, so that the luck on any two folds is correlated by 1/k, as Nadeau and
Bengio (Machine Learning 52, 2003) assume for training parts that overlap.
"""

from __future__ import annotations

import math

import numpy as np

from sweep.ledger.header import SweepHeader
from sweep.ledger.projection import Projection, Trial
from sweep.policies import make_policy
from sweep.records import FoldScore, NewTrial, RunFold, State, SweepState
from sweep.search.stop_rules import make_stop_rule

FOLD_SD, LUCK_SD = 0.09, 0.02
AT = "2027-01-15T08:00:00+00:00"


def null_sweep(
    num_trials: int,
    rng: np.random.Generator,
    *,
    policy: str = "greedy",
    num_folds: int = 5,
    gain: float = 0.0,
) -> Projection:
    """A finished sweep.

    Args:
        num_trials: The default included.
        rng: Of all scores.
        policy: "greedy" completes a quarter of the trials, three at least; "standard" all.
        num_folds: k.
        gain: Added to all scores of the last trial, of which everything else is then the noise.
    """
    scores = _scores(num_trials, num_folds, rng)
    scores[-1] += gain
    made = Projection(header=SweepHeader(metric="dice", maximize=True, num_folds=num_folds, seed=0))
    wanted = None if policy == "standard" else max(3, num_trials // 4)
    brain = make_policy(policy, {"num_trials": num_trials}, num_folds)
    rule = make_stop_rule(num_trials, wanted, num_folds)
    seen = 0
    while True:
        for event in made.history[seen:]:
            brain.observe(event)
            rule.observe(event)
        seen = len(made.history)
        if rule.reason() is not None or not (decided := brain.decide(1)):
            break
        match decided[0]:
            case NewTrial():
                number = len(made.trials)
                made.add(_trial(number))
                _train(made, number, 0, scores)
            case RunFold(trial=number, fold=fold):
                _train(made, number, fold, scores)
    for one in list(made.open_trials()):
        made.end(one.number, State.ABANDONED, "the sweep is over", AT)
    made.sweep_state = SweepState.FINISHED
    return made


def _scores(num_trials: int, num_folds: int, rng: np.random.Generator) -> np.ndarray:
    ease = FOLD_SD * rng.standard_normal(num_folds)
    shared = math.sqrt(1 / num_folds) * rng.standard_normal((num_trials, 1))
    single = math.sqrt(1 - 1 / num_folds) * rng.standard_normal((num_trials, num_folds))
    scores: np.ndarray = 0.6 + ease + LUCK_SD * (shared + single)
    return scores


def _trial(number: int) -> Trial:
    return Trial(number=number, parameters={}, settings={}, distributions={}, created_at=AT)


def _train(made: Projection, number: int, fold: int, scores: np.ndarray) -> None:
    made.start(number, fold, 1, AT)
    value = float(scores[number, fold])
    score = FoldScore(
        trial=number, fold=fold, attempt=1, value=value, score=value, seconds=1.0,
        num_epochs=1, best_epoch=1,
    )  # fmt: skip
    made.finish(score, AT)
    if len(made.trials[number].folds) == made.num_folds:
        made.end(number, State.COMPLETE, None, AT)
