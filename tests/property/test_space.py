"""Whatever a search space allows, what is suggested from it is consistent."""

from __future__ import annotations

from typing import Any

import optuna
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import space_parameters

from sweep.space import parse_space


@settings(deadline=None, max_examples=60)
@given(space_parameters(), st.integers(0, 1000))
def test_suggestions_are_consistent(given_parameters: dict[str, Any], seed: int) -> None:
    tree = {"name": "any", "objective": {"metric": "m"}, "parameters": given_parameters}
    space = parse_space(yaml.safe_dump(tree, sort_keys=False), "any.yaml")
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    trial = study.ask()
    whole = space.suggest(trial)
    assert set(whole) == set(given_parameters)
    assert space.complete(trial.params) == whole
    assert space.active(trial.params) == trial.params
    distributions = space.distributions()
    for name, value in whole.items():
        assert space.parameters[name].refuses(value) is None
        if name not in trial.params:
            assert value == given_parameters[name]["default"]
        else:
            assert trial.distributions[name] == distributions[name]
    assert (
        parse_space(yaml.safe_dump(space.tree(), sort_keys=False), "again").digest == space.digest
    )
