"""Sound in form, and yet hardly meant: what would quietly search something else.

A parameter that no condition ever activates, choices that the ledger cannot tell apart, listed
values that nothing uses: Optuna takes them all, and the sweep runs without them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sweep.policies import least_gain
from sweep.space._models import (
    CategoricalParameter,
    FloatParameter,
    ParameterSpec,
    SpaceFile,
    is_among,
)
from sweep.space._space import SearchSpace

Place = tuple[str | int, ...]


def parameter_problems(file: SpaceFile) -> Iterator[tuple[Place, str]]:
    """Where each parameter by itself, or a single condition, cannot work as it is written."""
    for name, spec in file.parameters.items():
        if isinstance(spec, CategoricalParameter):
            for index, choice in enumerate(spec.choices):
                if choice in spec.choices[:index]:  # is 0, or 1, after false or true
                    twin = spec.choices[spec.choices.index(choice)]
                    yield (
                        ("parameters", name, "choices"),
                        f"found {twin!r} and {choice!r}, which the ledger keeps as one value, "
                        "expected one of them, or words",
                    )
        for parent, allowed in spec.conditions().items():
            place = ("parameters", name, "when", parent)
            if not allowed:
                yield place, "found [], expected at least one value"
            elif _is_continuous(file.parameters.get(parent)):
                yield (
                    place,
                    f"found {spec.when[parent]!r} of a continuous range, which is never drawn at "
                    "one value, expected a parent of type categorical or int, or one with a `step`",
                )


def space_problems(space: SearchSpace, file: SpaceFile) -> Iterator[tuple[Place, str]]:
    """Where parts of a sound file do not work together."""
    for name in space.parameters:
        if space.activating({name: None}) is None:
            yield (
                ("parameters", name, "when"),
                f"found conditions that never hold at once ({_told(space, name)}), expected some "
                "values at which all of them hold",
            )
    least = None if space.policy.min_gain is None else least_gain(space.policy.min_gain)
    if least is not None and least.metric not in (None, space.objective.metric):
        yield (
            ("policy", "min_gain"),
            f"found a gain in {least.metric}, expected one in the objective "
            f"({space.objective.metric})",
        )
    yield from _given_problems(space, file)


def _given_problems(space: SearchSpace, file: SpaceFile) -> Iterator[tuple[Place, str]]:
    known = {"the default": space.active(space.defaults())}
    for index, given in enumerate(file.candidates):
        chosen = space.active(space.candidates[index])
        for name, value in given.items():
            if name not in chosen and not is_among(value, [space.parameters[name].default]):
                yield (
                    ("candidates", index, name),
                    f"found {value!r}, which counts for nothing here: {name} is asked for only at "
                    f"{_told(space, name)}; expected those values beside it, or it left out",
                )
        twin = next((label for label, other in known.items() if other == chosen), None)
        if twin is not None:
            yield (
                ("candidates", index),
                f"found the configuration of {twin} again, expected each once: it would be "
                "trained twice",
            )
        known[f"candidates.{index}"] = chosen


def _is_continuous(spec: ParameterSpec | None) -> bool:
    return isinstance(spec, FloatParameter) and spec.step is None and spec.low < spec.high


def _told(space: SearchSpace, name: str) -> str:
    """A parameter's conditions, and those of the parameters in them."""
    told: dict[str, Any] = {}
    waiting = [name]
    while waiting:
        child = waiting.pop(0)
        conditions = space.parameters[child].conditions()
        for parent, allowed in conditions.items():
            values = " or ".join(map(repr, allowed))
            told[f"{parent} {values}" + (f" for {child}" if child != name else "")] = None
        waiting += conditions
    return ", ".join(told)
