"""Proposals: reproducible, different for every trial, never a repetition."""

from __future__ import annotations

import optuna
import pytest
from in_process import toy_space
from projections import add, finish, folds, projection, start

from sweep.errors import UsageError
from sweep.ledger.projection import Projection
from sweep.records import State
from sweep.search.optuna_views import sampler_study
from sweep.search.samplers import Proposer, make_sampler, propose
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


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_proposals_are_those_of_a_study_filled_anew(sampler: str) -> None:
    """Whatever happened to trials in between: Optuna's own storage is the reference."""
    space, made = toy_space(sampler=sampler), projection()
    proposer = Proposer(space, made, 3)
    for step in range(30):
        parameters = proposer.propose()
        study = optuna.create_study(
            direction="maximize", sampler=make_sampler(sampler, space.sampler.settings(), 3, step)
        )
        study.add_trials(sampler_study(made, optuna.samplers.RandomSampler(seed=0)).trials)
        asked = study.ask()
        space.suggest(asked)
        assert parameters == asked.params
        number = add(made, parameters)
        made.trials[number].distributions = {
            name: space.distributions()[name] for name in parameters
        }
        if step % 3 == 1:  # the one before goes on
            start(made, number - 1, 0)
            finish(made, number - 1, 0, 1 - abs(made.trials[number - 1].parameters["x"] - 0.7))
        if step % 5 == 4:
            made.end(number - 2, State.PRUNED, "weak", "then")


def test_a_proposal_reads_what_is_new_alone() -> None:
    space, made = toy_space(sampler="tpe"), grown(toy_space(sampler="tpe"), 15, 1)
    proposer = Proposer(space, made, 1)
    study = proposer._view.study(optuna.samplers.RandomSampler(seed=0))
    before = study.trials
    folds(made, [0.5], dict(before[0].params))
    start(made, 3, 1)
    finish(made, 3, 1, 0.25)
    proposer.propose()
    after = proposer._view.study(optuna.samplers.RandomSampler(seed=0)).trials
    changed = [one.number for one, other in zip(before, after, strict=False) if one is not other]
    assert (changed, len(after)) == ([3], 16)
