"""A search space that was read and found sound."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from optuna import Trial
from optuna.distributions import BaseDistribution

from sweep.errors import SpaceError
from sweep.policies import PolicySpec
from sweep.pruners import PrunerSpec
from sweep.space._models import (
    CategoricalParameter,
    FloatParameter,
    Objective,
    ParameterSpec,
    SamplerSpec,
    SpaceFile,
)
from sweep.util.yaml_lines import load_yaml

#: Steps of the search for values under which a parameter is asked for.
_MAX_TRIES = 100_000


@dataclass(frozen=True, kw_only=True)
class SearchSpace:
    """What may vary, what stays, and how the sweep is led.

    Attributes:
        name: Name of the space.
        description: Description for people.
        text: The YAML source.
        source: Where it came from, for messages.
        lines: One-based line of every dotted key.
        objective: Metric and direction.
        num_folds: Folds of a complete trial.
        policy: Which fold next, and when the sweep ends.
        pruner: Settings of the pruner.
        sampler: What to try next.
        candidates: Whole configurations of parameters to try right after the default.
        fixed: Settings that do not vary.
        inference: Choices of settings that count in inference alone, the plain ones first; empty
            where there is none to make. Every trained fold is scored with each.
        parameters: What varies, parents of a condition before their children.
    """

    name: str
    description: str
    text: str
    source: str
    lines: Mapping[str, int]
    objective: Objective
    num_folds: int
    policy: PolicySpec
    pruner: PrunerSpec
    sampler: SamplerSpec
    candidates: tuple[dict[str, Any], ...]
    fixed: dict[str, Any]
    inference: tuple[dict[str, Any], ...]
    parameters: dict[str, ParameterSpec]

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the content, comments and order of keys aside; 64 hexadecimal digits."""
        content = {
            "objective": [self.objective.metric, self.objective.maximize],
            "folds": self.num_folds,
            "policy": self.policy.content(),
            "pruner": self.pruner.model_dump(),
            "sampler": self.sampler.model_dump(),
            "candidates": self.candidates,
            "fixed": self.fixed,
            "parameters": {name: spec.model_dump() for name, spec in self.parameters.items()},
        }
        if self.inference:  # a space without keeps the digest it always had
            content["inference"] = self.inference
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def tree(self) -> dict[str, Any]:
        """The file's content as plain values, to be changed and written as another space."""
        return load_yaml(self.text, self.source, SpaceError)[0]

    def locate(self, key: str) -> str:
        """`file:line` of a dotted key, of the file alone when it is not in it."""
        for dotted in (f"parameters.{key}", f"fixed.{key}", f"inference.{key}", key):
            if dotted in self.lines:
                return f"{self.source}:{self.lines[dotted]}"
        return self.source

    def defaults(self) -> dict[str, Any]:
        """The default of every parameter, active or not."""
        return {name: spec.default for name, spec in self.parameters.items()}

    def distributions(self) -> dict[str, BaseDistribution]:
        """Optuna's view of every parameter."""
        return {name: spec.distribution for name, spec in self.parameters.items()}

    def is_active(self, name: str, values: Mapping[str, Any]) -> bool:
        """Whether a parameter's conditions hold. A parent that is not active is at its default."""
        return all(
            self.parameters[parent].is_at(values[parent], allowed)
            for parent, allowed in self.parameters[name].conditions().items()
        )

    def active(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Values of active parameters alone; missing ones take their default."""
        whole: dict[str, Any] = {}
        chosen: dict[str, Any] = {}
        for name, spec in self.parameters.items():
            whole[name] = spec.default
            if self.is_active(name, whole):
                whole[name] = chosen[name] = values.get(name, spec.default)
        return chosen

    def activating(self, chosen: Mapping[str, Any]) -> dict[str, Any] | None:
        """Values under which all of the chosen parameters are asked for.

        Args:
            chosen: Values of parameters.

        Returns:
            The given values and those of all they depend on; None where there are none.
        """
        above = self._ancestors(chosen)
        names = [name for name in self.parameters if name in above or name in chosen]
        open_: list[dict[str, Any]] = [{}]
        for _ in range(_MAX_TRIES):
            if not open_:
                break
            values = open_.pop()
            if len(values) == len(names):
                return values
            name = names[len(values)]
            options = [self.parameters[name].default]
            if self.is_active(name, values):
                options = [chosen[name]] if name in chosen else self._kinds_of(name)
            elif name in chosen:
                options = []
            open_ += [
                {**values, name: value}
                for value in reversed(options)
                if all(self._fits(child, name, value) for child in chosen)
            ]
        return None

    def _fits(self, name: str, parent: str, value: Any) -> bool:
        allowed = self.parameters[name].conditions().get(parent)
        return allowed is None or self.parameters[parent].is_at(value, allowed)

    def _ancestors(self, names: Iterable[str]) -> set[str]:
        """All that these depend on, through any number of conditions."""
        found: set[str] = set()
        waiting = list(names)
        while waiting:
            parents = self.parameters[waiting.pop()].conditions()
            waiting += [name for name in parents if name not in found]
            found |= parents.keys()
        return found

    def _kinds_of(self, name: str) -> list[Any]:
        """Values of a parameter that conditions tell apart: those they name, and one other."""
        spec = self.parameters[name]
        named = [
            value
            for other in self.parameters.values()
            for value in other.conditions().get(name, [])
        ]
        if isinstance(spec, CategoricalParameter):
            others = iter(spec.choices)
        else:
            step = spec.step or (spec.high - spec.low) / (len(named) + 1)
            count = len(named) + 1
            others = (
                spec.low + index * step
                for index in range(count)
                if spec.low + index * step <= spec.high
            )
        unnamed = (value for value in others if not spec.is_at(value, named))
        return [spec.default, *named, *itertools.islice(unnamed, 1)]

    def suggest(self, trial: Trial) -> dict[str, Any]:
        """Let Optuna choose the active parameters.

        Returns:
            The whole configuration: fixed settings, chosen values, inactive defaults, the first
            choice for inference.
        """
        whole: dict[str, Any] = {}
        for name, spec in self.parameters.items():
            whole[name] = spec.default
            if self.is_active(name, whole):
                whole[name] = _ask(trial, name, spec)
        return {**self.fixed, **self._first_choice(), **whole}

    def complete(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """The whole configuration of chosen values; what is not active takes its default.

        Of the choices for inference it holds the first.
        """
        return {
            **self.fixed,
            **self._first_choice(),
            **self.defaults(),
            **self.active(parameters),
        }

    def _first_choice(self) -> dict[str, Any]:
        return dict(self.inference[0]) if self.inference else {}


def build(
    file: SpaceFile, order: list[str], *, text: str, source: str, lines: Mapping[str, int]
) -> SearchSpace:
    """Put a checked file into its final form; `order` has parents before children."""
    parameters = {name: file.parameters[name] for name in order}
    defaults = {name: spec.default for name, spec in parameters.items()}
    return SearchSpace(
        name=file.name,
        description=file.description,
        text=text,
        source=source,
        lines=lines,
        objective=file.objective,
        num_folds=file.folds,
        policy=file.policy,
        pruner=file.pruner,
        sampler=file.sampler,
        candidates=tuple({**defaults, **given} for given in file.candidates),
        fixed=dict(file.fixed),
        inference=file.inference.choices(),
        parameters=parameters,
    )


def _ask(trial: Trial, name: str, spec: ParameterSpec) -> Any:
    if isinstance(spec, CategoricalParameter):
        return trial.suggest_categorical(name, spec.choices)
    if isinstance(spec, FloatParameter):
        return trial.suggest_float(name, spec.low, spec.high, log=spec.log, step=spec.step)
    return trial.suggest_int(name, spec.low, spec.high, log=spec.log, step=spec.step)
