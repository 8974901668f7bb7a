"""Names in a file that must stand for something: settings, metrics, parents of conditions."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter

from ptxcore.hints import did_you_mean
from sweep.space._models import INFERENCE, SpaceFile

#: A path of the file as `file:line: key`.
Where = Callable[..., str]


def order_of(file: SpaceFile, where: Where) -> tuple[list[str], list[str]]:
    """Parameters with parents before children, otherwise as in the file; and what is wrong."""
    problems = []
    graph: dict[str, list[str]] = {}
    for name, spec in file.parameters.items():
        graph[name] = []
        for parent, allowed in spec.conditions().items():
            place = where("parameters", name, "when", parent)
            if parent not in file.parameters:
                hint = did_you_mean(parent, file.parameters)
                problems.append(f"{place}: found no parameter of that name, {hint}")
                continue
            graph[name].append(parent)
            for value in allowed:
                expected = file.parameters[parent].refuses(value)
                if expected is not None:
                    problems.append(f"{place}: found {value!r}, expected {expected}")
    try:
        return list(TopologicalSorter(graph).static_order()), problems
    except CycleError as error:
        names = " -> ".join(error.args[1])
        place = where("parameters", error.args[1][0], "when")
        return [], [*problems, f"{place}: found a circle ({names}), expected none"]


def name_problems(
    file: SpaceFile,
    where: Where,
    known: Collection[str] | None,
    metrics: Mapping[str, str] | None,
) -> Iterator[str]:
    """What is wrong with them, each as `file:line: key: found, expected`."""
    if metrics is not None and file.objective.metric not in metrics:
        hint = did_you_mean(file.objective.metric, metrics)
        yield f"{where('objective', 'metric')}: found {file.objective.metric!r}, {hint}"
    elif metrics is not None and file.objective.direction is not None:
        own = metrics[file.objective.metric]
        if file.objective.direction != own:
            better = "higher" if own == "maximize" else "lower"
            yield (
                f"{where('objective', 'direction')}: found {file.objective.direction!r}, but of "
                f"{file.objective.metric} {better} is better; expected {own!r}, or it left out"
            )
    for section, names in (("fixed", file.fixed), ("parameters", file.parameters)):
        for name in names:
            if known is not None and name not in known:
                hint = did_you_mean(name, known)
                yield f"{where(section, name)}: found an unknown setting, {hint}"
    for name in file.fixed:
        if name in file.parameters:
            yield f"{where('fixed', name)}: found in `parameters` too, expected it in one of them"
    # Sweeps begun with an overlap among the parameters go on as they were: `known` is None then.
    for name in INFERENCE if known is not None else ():
        if name in file.parameters:
            yield (
                f"{where('parameters', name)}: found a setting that changes no weights, expected "
                f"its values under `inference` (as in `inference: {{{name}: "
                f"{'[0.25, 0.5]' if name == 'overlap' else '[false, true]'}}}`): every trained "
                "fold is scored with all of them, and no trial is spent on it"
            )
    for name in file.inference.model_fields_set:
        for section, names in (("fixed", file.fixed), ("parameters", file.parameters)):
            if name in names:
                yield (
                    f"{where('inference', name)}: found in `{section}` too, expected it in one of "
                    "them"
                )
    if len(file.candidates) >= file.policy.num_trials:
        yield (
            f"{where('candidates')}: found {len(file.candidates)}, expected fewer than "
            f"policy.num_trials ({file.policy.num_trials}), of which the default takes one"
        )
    for index, given in enumerate(file.candidates):
        for name, value in given.items():
            place = where("candidates", index, name)
            if name not in file.parameters:
                yield f"{place}: found an unknown key, {did_you_mean(name, file.parameters)}"
            elif (expected := file.parameters[name].refuses(value)) is not None:
                yield f"{place}: found {value!r}, expected {expected}"
