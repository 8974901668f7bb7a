"""The gain below which a fold is not worth it, in each of its units."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sweep.errors import SpaceError, UsageError
from sweep.policies import ExpectedImprovement, LeastGain, least_gain
from sweep.records import FoldFinished, FoldStarted, TrialAdded
from sweep.search.stop_rules import make_stop_rule
from sweep.space import parse_space

HEAD = """
name: x
objective: {metric: dice}
sampler: {name: random}
parameters: {a: {type: float, low: 0.0, high: 1.0, default: 0.5}}
policy: {name: expected_improvement, min_gain: """.lstrip()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (0.25, LeastGain(value=0.25)),
        ("0.25", LeastGain(value=0.25)),
        ("0.5 errors", LeastGain(value=0.5, unit="error")),
        ("1 error", LeastGain(value=1.0, unit="error")),
        ("1e-3 per hour", LeastGain(value=0.001, unit="hour")),
        ("0.001 dice per gpu_hour", LeastGain(value=0.001, unit="hour", metric="dice")),
    ],
)
def test_it_is_read_as_it_is_written(given: float | str, expected: LeastGain) -> None:
    assert least_gain(given) == expected
    assert least_gain(str(expected)) == expected


@pytest.mark.parametrize(
    "given", ["", "much", "-1 errors", "0.1.2 errors", "0.5 folds", "1 per day", math.nan, -1]
)
def test_what_is_no_gain_is_refused(given: float | str) -> None:
    with pytest.raises(UsageError, match="min_gain: found"):
        least_gain(given)


@pytest.mark.parametrize("given", ["0.5 folds", "0 errors", "0", "true", "[1]", "1 dic per hour"])
def test_a_search_space_refuses_it_by_line(given: str) -> None:
    with pytest.raises(SpaceError, match=r"x.yaml:5: policy.min_gain: found .*, expected "):
        parse_space(f"{HEAD}{given}}}\n", "x.yaml")


def test_units_by_hand() -> None:
    facts = {"scale": 0.1, "noise": 1.5, "num_trials": 20, "num_folds": 5, "seconds": 1800.0}
    assert least_gain("0.001 per hour").in_spreads(**facts) == pytest.approx(0.0005 * 100 / 0.1)  # type: ignore[arg-type]
    error = 1.5 * math.sqrt(1 / 5 + 1 / 4)
    assert least_gain("2 errors").in_spreads(**facts) == pytest.approx(2 * error)  # type: ignore[arg-type]
    assert least_gain("2 errors").in_spreads(**{**facts, "noise": 0.5}) == 1.2  # type: ignore[arg-type]
    assert least_gain(0.25).in_spreads(**facts) == 0.25  # type: ignore[arg-type]


def folds_until_the_end(min_gain: float | str, seconds: float) -> tuple[int, str]:
    """Thirty trials, sixteen of them alike but for noise, on three folds of so many seconds."""
    generator = np.random.default_rng(0)
    levels = np.where(np.arange(30) < 16, 0.8, generator.uniform(0.3, 0.7, 30))
    scores = levels[:, None] + generator.normal(0, 0.01, (30, 3))
    policy = ExpectedImprovement(num_trials=30, num_folds=3, pinned=None, min_gain=min_gain)
    rule = make_stop_rule(30, None, 3, policy=policy, min_gain=min_gain, required=())
    number = 0
    while rule.reason() is None:
        (decision,) = policy.decide(1)
        events: list[TrialAdded | FoldStarted | FoldFinished] = []
        trial = getattr(decision, "trial", None)
        if trial is None:
            trial = len(policy._trials)
            events.append(TrialAdded(trial=trial, parameters={"a": trial}))
        fold = getattr(decision, "fold", 0)
        score = float(scores[trial, fold])
        events.append(FoldStarted(trial=trial, fold=fold))
        events.append(FoldFinished(trial=trial, fold=fold, score=score, seconds=seconds))
        for event in events:
            policy.observe(event)
            rule.observe(event)
        number += 1
    return number, str(rule.reason())


def test_errors_end_near_equal_trials_sooner_than_spreads_that_say_the_same_elsewhere() -> None:
    few, why = folds_until_the_end("9 errors", 1.0)
    more, _ = folds_until_the_end("0.5 errors", 1.0)
    assert few < more <= 90
    assert why == "no fold promises a gain of 9 errors any more"


def test_a_gain_per_hour_ends_a_sweep_of_long_folds_sooner() -> None:
    long, why = folds_until_the_end("0.001 per hour", 36_000.0)
    short, _ = folds_until_the_end("0.001 per hour", 1.0)
    assert long < short
    assert why == "no fold promises a gain of 0.001 per hour any more"
