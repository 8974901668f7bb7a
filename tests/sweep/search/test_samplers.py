"""Proposals: reproducible, different for every trial, never a repetition."""

from __future__ import annotations

import pytest
from in_process import toy_space
from projections import folds, projection

from sweep.errors import UsageError
from sweep.ledger.projection import Projection
from sweep.search.samplers import make_sampler, propose
from sweep.space import SearchSpace, parse_space


def grown(space: SearchSpace, count: int, seed: int) -> Projection:
    made = projection()
    for _ in range(count):
        parameters = propose(space, made, seed)
        number = folds(made, [1 - abs(parameters["x"] - 0.7)], parameters)
        made.trials[number].distributions = {
            name: space.distributions()[name] for name in parameters
        }
    return made


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_proposals_depend_on_the_seed_and_on_the_number(sampler: str) -> None:
    space = toy_space(sampler=sampler)
    first, again, other = grown(space, 12, 5), grown(space, 12, 5), grown(space, 12, 6)
    values = [one.parameters for one in first.trials]
    assert values == [one.parameters for one in again.trials]
    assert values != [one.parameters for one in other.trials]
    assert len({one["x"] for one in values}) == 12


def test_inactive_parameters_are_absent() -> None:
    for one in grown(toy_space(sampler="tpe"), 20, 1).trials:
        assert ("y" in one.parameters) == (one.parameters["kind"] == "b")


def test_tpe_finds_the_better_region() -> None:
    made = grown(toy_space(sampler="tpe"), 40, 2)
    late = [abs(one.parameters["x"] - 0.7) for one in made.trials[20:]]
    assert sum(late) / len(late) < 0.2  # 0.29 at random


def test_a_configuration_is_not_tried_twice_while_others_are_left() -> None:
    text = """
name: tiny
objective: {metric: m}
sampler: {name: random}
parameters: {x: {type: int, low: 0, high: 3, default: 0}}
"""
    space = parse_space(text, "tiny.yaml")
    made = projection()
    for _ in range(6):
        parameters = propose(space, made, 0)
        number = folds(made, [0.5], parameters)
        made.trials[number].distributions = space.distributions()
    tried = [one.parameters["x"] for one in made.trials]
    assert sorted(tried[:4]) == [0, 1, 2, 3]
    assert len(tried) == 6  # once all were tried, repetitions are taken


def test_an_unknown_sampler_is_refused() -> None:
    with pytest.raises(UsageError, match="sampler: found 'gp', expected one of"):
        make_sampler("gp", {}, 0, 0)
