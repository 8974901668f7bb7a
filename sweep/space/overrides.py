"""A search space with what the command line changes of it, checked as a whole."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import yaml

from ptxcore.metrics import OBJECTIVES
from ptxcore.settings import FoldSettings
from sweep.space import SearchSpace, is_among, load_space, parse_space
from sweep.space.settings import check_settings


@dataclasses.dataclass(frozen=True, kw_only=True)
class Overrides:
    """What the command line changes of a search space file.

    Attributes:
        fixed: Settings held at one value; one that the space varies is varied no more.
        num_trials: Trials that get a first fold.
        num_completions: Complete trials after which the sweep ends.
        num_folds: Folds of the plan.
    """

    fixed: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    num_trials: int | None = None
    num_completions: int | None = None
    num_folds: int | None = None


def effective_space(name_or_path: str, overrides: Overrides) -> SearchSpace:
    """The search space with the overrides written into it, checked as a whole.

    The file is checked first as it stands, so that messages carry its own line numbers.

    Raises:
        SpaceError: The file or an override is invalid.
    """
    space = load_space(name_or_path, known=_settings(), metrics=OBJECTIVES)
    return overridden(space, overrides, f"{name_or_path} with overrides")


def overridden(space: SearchSpace, overrides: Overrides, source: str) -> SearchSpace:
    """A search space with overrides written into it, checked as a whole.

    Args:
        space: Search space as it was read.
        overrides: Changes to it.
        source: Where the result comes from, for messages.

    Raises:
        SpaceError: An override is invalid.
    """
    if overrides != Overrides():
        tree = space.tree()  # PyYAML alone would read 1e-4 as text
        tree["fixed"] = tree.get("fixed") or {}
        for key, value in overrides.fixed.items():
            _hold(tree, key, value)
            (tree.get("inference") or {}).pop(key, None)
        policy = tree.setdefault("policy", {})
        for key in ("num_trials", "num_completions"):
            if getattr(overrides, key) is not None:
                policy[key] = getattr(overrides, key)
        completions = policy.get("num_completions")
        if overrides.num_completions is None and completions is not None:
            policy["num_completions"] = min(completions, policy.get("num_trials", completions))
        if overrides.num_folds is not None:
            tree["folds"] = overrides.num_folds
        text = yaml.safe_dump(tree, sort_keys=False)
        space = parse_space(text, source, known=_settings(), metrics=OBJECTIVES)
    check_settings(space)
    return space


def _settings() -> list[str]:
    """Names of all settings, for messages."""
    return sorted(field.name for field in dataclasses.fields(FoldSettings))


def _hold(tree: dict[str, Any], key: str, value: Any) -> None:
    """Take a parameter out of the search, and decide every condition on it.

    A parameter conditioned on this value loses the condition. One conditioned on another value can
    never be active: it goes too, held at its default, which it would have had.
    """
    parameters = tree.get("parameters", {})
    parameters.pop(key, None)
    tree["fixed"][key] = value
    for name in list(parameters):
        when = parameters[name].get("when") or {} if name in parameters else {}
        if key in when:
            wanted = when.pop(key)
            if not is_among(value, wanted if isinstance(wanted, list) else [wanted]):
                _hold(tree, name, parameters[name]["default"])
