"""Is every configuration that a search space asks for one that can be trained? Asked beforehand.

Settings refuse what makes no sense when they are made, which is on a worker, in the middle of a
sweep. So they are made here first: the defaults, the `candidates`, every value of each
parameter, and the ends of those that the core judges together (a patch that is too large for one of
the image sizes).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

from ptxcore.errors import SettingsError
from ptxcore.limits import COMBINED, NEEDS
from ptxcore.settings import FoldSettings
from sweep.errors import SpaceError
from sweep.space import SearchSpace

#: Metrics of cases without a mask.
_OF_NEGATIVES = frozenset({"case_specificity"})
#: Of wider ranges of whole numbers the ends alone are tried.
_MAX_VALUES = 10_000


def check_settings(space: SearchSpace) -> None:
    """Build every configuration that the module's docstring names.

    Args:
        space: A sound one.

    Raises:
        SpaceError: Some of them are no settings; the message has a line `file:line: ...` for each,
            with value and field.
    """
    if problems := list(dict.fromkeys(_problems(space))):
        raise SpaceError("\n".join(problems))


def _problems(space: SearchSpace) -> Iterator[str]:
    """What is wrong; of what can only follow from something that is told already, nothing."""
    defaults = space.complete(space.defaults())
    if (error := _refusal(defaults)) is not None:
        yield f"{space.locate(_field(error))}: at the defaults: {error}"
        return
    for choice in space.inference:
        if (error := _refusal({**defaults, **choice})) is not None:
            yield f"{space.locate(_field(error))}: {error}"
    for index, given in enumerate(space.candidates):
        if (error := _refusal(space.complete(given), space.inference)) is not None:
            place = f"candidates.{index}"
            yield f"{space.locate(place)}: {place}: {error}"
    yield from _pruner_problems(space)
    yield from _effect_problems(space, FoldSettings.from_mapping(defaults))
    refused = False
    for name in space.parameters:
        for value in _values(space, name):
            if (error := _refusal_of(space, {name: value})) is not None:
                yield f"{space.locate(name)}: at {value!r}: {error}"
                refused = True
                break
    # The sampler draws none where all are given.
    if not refused and space.policy.num_trials > 1 + len(space.candidates):
        yield from itertools.islice(_combination_problems(space), 1)


def check_measurable(space: SearchSpace, *, has_negatives: bool) -> None:
    """Refuse a metric that the cases cannot have: it would be NaN after every fold or epoch.

    Args:
        space: Search space with known metrics.
        has_negatives: Whether any case of the folds has no mask.

    Raises:
        SpaceError: The objective or a stopping metric is one of `_OF_NEGATIVES`.
    """
    if has_negatives:
        return
    parameter = space.parameters.get("stop_metric")
    watched = [space.complete(space.defaults()).get("stop_metric")]
    if parameter is not None and parameter.type == "categorical":
        watched = list(parameter.choices)
    for key, metrics in (("objective.metric", [space.objective.metric]), ("stop_metric", watched)):
        for metric in metrics:
            if metric in _OF_NEGATIVES:
                raise SpaceError(
                    f"{space.locate(key)}: {key}: found {metric!r} where every case has a mask, "
                    "expected a metric of positive cases; or add cases without one"
                )


def _effect_problems(space: SearchSpace, settings: FoldSettings) -> Iterator[str]:
    """What is searched and changes nothing, because what it belongs to is off for good."""
    for name, (switch, off) in NEEDS.items():
        if name not in space.parameters:
            continue
        held = [getattr(settings, switch)]
        if switch in space.parameters:
            held = space.parameters[name].conditions().get(switch, [])
        if held and all(value == off for value in held):
            yield (
                f"{space.locate(name)}: {name}: found among what varies, and counts for nothing "
                f"while {switch} is {off}; expected another {switch}, or {name} left out"
            )


def _pruner_problems(space: SearchSpace) -> Iterator[str]:
    """Arguments that count for nothing, and those with which no trial can stop."""
    for key, expected in space.pruner.refuses(space.num_folds):
        found = getattr(space.pruner, key)
        place = space.locate(f"pruner.{key}" if f"pruner.{key}" in space.lines else "pruner")
        yield f"{place}: pruner.{key}: found {found!r} for {space.pruner.name}, {expected}"


def _combination_problems(space: SearchSpace) -> Iterator[str]:
    for names in _combinations(space):
        for values in itertools.product(*(_ends(space, name) for name in names)):
            error = _refusal_of(space, dict(zip(names, values, strict=True)))
            if error is not None:
                pairs = zip(names, values, strict=True)
                chosen = " and ".join(f"{value!r} of {name}" for name, value in pairs)
                yield (
                    f"{space.locate(names[-1])}: at {chosen}: {error}; "
                    "leave one of the values out, or give one of them a `when`"
                )


def _combinations(space: SearchSpace) -> Iterator[tuple[str, ...]]:
    """Parameters that are judged together, few before many: a message names no more than it must.

    Of two continuous ones both ends are never drawn.
    """
    for size in range(2, len(space.parameters) + 1):
        for group in COMBINED:
            varied = [name for name in group if name in space.parameters]
            for names in itertools.combinations(varied, size):
                if sum(_is_continuous(space, name) for name in names) < 2:
                    yield names


def _refusal_of(space: SearchSpace, chosen: Mapping[str, Any]) -> str | None:
    """Why values of parameters cannot stand together; None where they can, or never do."""
    values = space.activating(chosen)
    return None if values is None else _refusal(space.complete(values), space.inference)


def _refusal(
    values: Mapping[str, Any], inference: tuple[Mapping[str, Any], ...] = ()
) -> str | None:
    """Why a configuration is no setting, with some choice for inference if there are any."""
    try:
        for choice in inference or ({},):
            FoldSettings.from_mapping({**values, **choice})
    except SettingsError as error:
        return str(error)
    return None


def _values(space: SearchSpace, name: str) -> Iterator[Any]:
    """Every choice, or every whole number: between two that are fine may lie one that is not."""
    spec = space.parameters[name]
    if spec.type == "int" and (spec.high - spec.low) // spec.step < _MAX_VALUES:
        yield from range(spec.low, spec.high + 1, spec.step)
    else:
        yield from _ends(space, name)


def _ends(space: SearchSpace, name: str) -> tuple[Any, ...]:
    spec = space.parameters[name]
    return tuple(spec.choices) if spec.type == "categorical" else (spec.low, spec.high)


def _is_continuous(space: SearchSpace, name: str) -> bool:
    spec = space.parameters[name]
    return spec.type == "float" and spec.step is None


def _field(error: str) -> str:
    return error.split(":")[0]


def image_grids(space: SearchSpace) -> list[tuple[int, str]]:
    """Every image size with every resampling filter that the space can ask for."""
    spec = space.parameters.get("resampling")
    if spec is None or spec.type != "categorical":  # text cannot be anything else
        filters = [FoldSettings.from_mapping(space.complete(space.defaults())).resampling]
    else:
        filters = [str(value) for value in spec.choices]
    return [(size, name) for size in _image_sizes(space) for name in filters]


def _image_sizes(space: SearchSpace) -> list[int]:
    spec = space.parameters.get("image_size")
    if spec is None:
        return [FoldSettings.from_mapping(space.complete(space.defaults())).image_size]
    if spec.type == "categorical":
        return [int(str(value)) for value in spec.choices]
    return list(range(int(spec.low), int(spec.high) + 1, int(spec.step or 1)))
