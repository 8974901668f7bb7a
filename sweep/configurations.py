"""Is every configuration that a search space asks for one that can be trained? Asked beforehand.

Settings refuse what makes no sense when they are made, which is on a worker, in the middle of a
sweep. So they are made here first: the defaults, the listed candidates, every value of each
parameter, and the ends of those that the core judges together (a patch that is too large for one of
the image sizes).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

from ptxcore.errors import SettingsError
from ptxcore.limits import COMBINED
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
        SpaceError: One of them is no setting; the message names place, value and field.
    """
    defaults = space.complete(space.defaults())
    _check_defaults(space, defaults)
    for choice in space.inference:
        error = _refusal({**defaults, **choice})
        if error is not None:
            raise SpaceError(f"{space.locate(_field(error))}: {error}")
    for index, candidate in enumerate(space.candidates):
        error = _refusal(space.complete(candidate), space.inference)
        if error is not None:
            raise SpaceError(f"{space.locate(f'candidates.{index}')}: candidate {index}: {error}")
    for name in space.parameters:
        for value in _values(space, name):
            error = _refusal_of(space, {name: value})
            if error is not None:
                raise SpaceError(f"{space.locate(name)}: at {value!r}: {error}")
    if space.policy.num_trials > 1 + len(space.candidates):  # else the sampler proposes none
        _check_combinations(space)


def check_measurable(space: SearchSpace, *, has_negatives: bool) -> None:
    """Refuse a metric that the cases cannot have: it would be NaN after every fold or epoch.

    Args:
        space: With known metrics.
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


def _check_defaults(space: SearchSpace, defaults: Mapping[str, Any]) -> None:
    error = _refusal(defaults)
    if error is not None:
        raise SpaceError(f"{space.locate(_field(error))}: at the defaults: {error}")


def _check_combinations(space: SearchSpace) -> None:
    for names in _combinations(space):
        for values in itertools.product(*(_ends(space, name) for name in names)):
            error = _refusal_of(space, dict(zip(names, values, strict=True)))
            if error is not None:
                pairs = zip(names, values, strict=True)
                chosen = " and ".join(f"{value!r} of {name}" for name, value in pairs)
                raise SpaceError(
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
    values: dict[str, Any] = {}
    for name in chosen:
        values |= _parents(space, name)
    values |= chosen
    if not chosen.keys() <= space.active(values).keys():
        return None
    return _refusal(space.complete(values), space.inference)


def _parents(space: SearchSpace, name: str) -> dict[str, Any]:
    """Values under which a parameter is asked for at all."""
    found: dict[str, Any] = {}
    for parent, allowed in space.parameters[name].conditions().items():
        found |= {**_parents(space, parent), parent: allowed[0]}
    return found


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
    one = space.parameters[name]
    if one.type == "int" and (one.high - one.low) // one.step < _MAX_VALUES:
        yield from range(one.low, one.high + 1, one.step)
    else:
        yield from _ends(space, name)


def _ends(space: SearchSpace, name: str) -> tuple[Any, ...]:
    one = space.parameters[name]
    return tuple(one.choices) if one.type == "categorical" else (one.low, one.high)


def _is_continuous(space: SearchSpace, name: str) -> bool:
    one = space.parameters[name]
    return one.type == "float" and one.step is None


def _field(error: str) -> str:
    return error.split(":")[0]
