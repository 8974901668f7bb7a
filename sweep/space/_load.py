"""From a file, or the name of a shipped one, to a search space; every error has its line."""

from __future__ import annotations

import copy
import re
from collections.abc import Collection, Mapping, Sequence
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from ptxcore.hints import did_you_mean
from sweep.errors import SpaceError
from sweep.policies import PolicySpec
from sweep.pruners import PrunerSpec
from sweep.space._models import (
    DEFAULT_POLICY,
    CategoricalParameter,
    FloatParameter,
    InferenceSpec,
    IntParameter,
    MlflowSpec,
    Objective,
    SamplerSpec,
    SpaceFile,
)
from sweep.space._names import name_problems, order_of
from sweep.space._sense import parameter_problems, space_problems
from sweep.space._space import SearchSpace, build
from sweep.util.strict import Problem, find
from sweep.util.yaml_lines import Path as YamlPath
from sweep.util.yaml_lines import Where, dotted, load_yaml, read_text

_SUFFIX = ".yaml"
_TYPES: dict[str, type[BaseModel]] = {
    "float": FloatParameter,
    "int": IntParameter,
    "categorical": CategoricalParameter,
}
_SECTIONS: dict[str, type[BaseModel]] = {
    "objective": Objective,
    "sampler": SamplerSpec,
    "inference": InferenceSpec,
    "mlflow": MlflowSpec,
}
#: How deep the sections lie in which values may be any scalar.
_SCALARS_BELOW: dict[str | int, int] = {"fixed": 1, "candidates": 2}


def shipped_spaces() -> dict[str, Traversable]:
    """The search spaces that come with the platform, by name."""
    folder = files("search_spaces")
    return {
        entry.name.removesuffix(_SUFFIX): entry
        for entry in sorted(folder.iterdir(), key=lambda entry: entry.name)
        if entry.name.endswith(_SUFFIX)
    }


def load_space(
    path_or_name: str | Path,
    known: Collection[str] | None = None,
    metrics: Mapping[str, str] | None = None,
    *,
    has_begun: bool = False,
) -> SearchSpace:
    """Read a search space.

    Args:
        path_or_name: A YAML file, or the name of a shipped space.
        known: Names that `parameters` and `fixed` may use; None allows any.
        metrics: Direction ("maximize" or "minimize") by name of metric; None allows any metric,
            and takes higher as better unless the file says otherwise.
        has_begun: Whether a sweep of it may have: it goes on as it was, even where it makes no
            sense.

    Raises:
        SpaceError: There is no such file or space, or its content is unsound; the message has
            one line `file:line: key: found, expected` per problem.
    """
    path = Path(path_or_name)
    shipped = shipped_spaces()
    if path.is_file():
        return parse_space(
            read_text(path, SpaceError), str(path), known, metrics, has_begun=has_begun
        )
    if str(path_or_name) in shipped:
        entry = shipped[str(path_or_name)]
        text = entry.read_text(encoding="utf-8")
        return parse_space(text, entry.name, known, metrics, has_begun=has_begun)
    hint = did_you_mean(str(path_or_name), shipped)
    raise SpaceError(
        f"{path_or_name}: found neither a file nor a shipped search space of that name; {hint}"
    )


def parse_space(
    text: str,
    source: str,
    known: Collection[str] | None = None,
    metrics: Mapping[str, str] | None = None,
    *,
    has_begun: bool = False,
) -> SearchSpace:
    """Read a search space from text.

    Args:
        text: YAML.
        source: Name of the file, for messages.
        known: Metrics, as in `load_space`.
        metrics: Metrics, as in `load_space`.
        has_begun: Whether a sweep of it has: it goes on as it was, even where it makes no sense.

    Raises:
        SpaceError: Every problem in a line of its own, as `file:line: key: found, expected`.
    """
    data, lines = load_yaml(text, source, SpaceError)
    where = Where(source, lines)
    try:
        file = SpaceFile.model_validate(data)
    except ValidationError as error:
        problems = [_told(where, problem, data) for problem in error.errors()]
        problems += _problems_of_the_rest(data, error.errors(), where, known, metrics)
        raise SpaceError("\n".join(_in_order(problems, source))) from error
    order, cyclic = order_of(file, where)
    problems = [*cyclic, *name_problems(file, where, known, metrics)]
    if not has_begun:
        problems += [f"{where(*path)}: {text}" for path, text in parameter_problems(file)]
    if problems:
        raise SpaceError("\n".join(_in_order(problems, source)))
    if metrics is not None and file.objective.direction is None:
        objective = Objective.model_validate(
            {"metric": file.objective.metric, "direction": metrics[file.objective.metric]}
        )
        file = file.model_copy(update={"objective": objective})
    places = {dotted(path): line for path, line in lines.items()}
    space = build(file, order, text=text, source=source, lines=places)
    if not has_begun:
        problems = [f"{where(*path)}: {text}" for path, text in space_problems(space, file)]
        if problems:
            raise SpaceError("\n".join(problems))
    return space


def _in_order(problems: Sequence[str], source: str) -> list[str]:
    """Each problem once, in the order of the file's lines."""

    def line(problem: str) -> int:
        number = problem.removeprefix(f"{source}:").partition(":")[0]
        return int(number) if number.isdecimal() else 0

    return sorted(dict.fromkeys(problems), key=line)


def _problems_of_the_rest(
    data: dict[str, Any],
    errors: Sequence[ErrorDetails],
    where: Where,
    known: Collection[str] | None,
    metrics: Mapping[str, str] | None,
) -> list[str]:
    """What is wrong with the parts that have the right form, so that all is told at once.

    What names a part without it is left out: it may be right once that part is.
    """
    rest, broken = copy.deepcopy(data), set()
    for error in errors:
        section, *path = _in_file(error["loc"], data) or ("",)
        items = rest.get(str(section))
        if section in ("parameters", "fixed") and path and isinstance(items, dict):
            items.pop(path[0], None)
            broken.add(str(path[0]))
        else:
            rest.pop(str(section), None)
            broken.add(str(section))
    try:
        file = SpaceFile.model_validate({"name": "rest", "objective": {"metric": ""}, **rest})
    except ValidationError:
        return []
    problems = [*order_of(file, where)[1]]
    problems += name_problems(file, where, known, None if "objective" in broken else metrics)
    problems += [f"{where(*path)}: {text}" for path, text in parameter_problems(file)]
    names = re.compile(rf"\b(?:{'|'.join(map(re.escape, broken - {'name'})) or '(?!)'})\b")
    return [problem for problem in problems if not names.search(problem)]


def _told(where: Where, error: ErrorDetails, data: dict[str, Any]) -> str:
    """A pydantic error as `file:line: key: found, expected`."""
    path = _in_file(error["loc"], data)
    problem = error.get("ctx", {}).get("error")
    if isinstance(problem, Problem):
        return f"{where(*path, problem.key)}: {problem}"
    match error["type"]:
        case "extra_forbidden":
            fields = _fields(path[:-1], data)
            return f"{where(*path)}: found an unknown key, {did_you_mean(str(path[-1]), fields)}"
        case "missing":
            return f"{where(*path)}: found nothing, expected a value (the key is required)"
        case "too_short":
            expected = f"at least {error['ctx']['min_length']}"
            return f"{where(*path)}: found {error['input']!r}, expected {expected}"
        case "union_tag_invalid" | "union_tag_not_found":
            if not isinstance(error["input"], dict):
                return f"{where(*path)}: found {error['input']!r}, expected a mapping"
            found = error["input"].get("type")
            return f"{where(*path, 'type')}: found {found!r}, {did_you_mean(str(found), _TYPES)}"
    expected = error["msg"].removeprefix("Input should be ")
    if _is_scalar_slot(path):
        expected = "a number, text, true, false or null"
    return f"{where(*path)}: found {error['input']!r}, expected {expected}"


def _in_file(location: tuple[str | int, ...], data: dict[str, Any]) -> YamlPath:
    """The place in the file: pydantic adds the chosen member of a union to the path."""
    path = list(location)
    if path[0] == "parameters" and len(path) > 2 and path[2] in _TYPES:
        del path[2]
    here: Any = data
    for index, part in enumerate(path):
        is_key = isinstance(here, dict) and (part in here or index == len(path) - 1)
        is_item = isinstance(here, list) and isinstance(part, int)
        if not is_key and not is_item:
            return tuple(path[:index])
        here = here.get(part) if isinstance(here, dict) else here[int(part)]
    # Of a value, pydantic names each type that it is not.
    return tuple(path[: _SCALARS_BELOW.get(path[0], len(path)) + 1])


def _is_scalar_slot(path: YamlPath) -> bool:
    depth = _SCALARS_BELOW.get(path[0], len(path))
    return len(path) > depth or "when" in path[:-1] or "choices" in path[:-1]


def _fields(path: YamlPath, data: Any) -> list[str]:
    """Names that the mapping at a path may hold."""
    here = data
    for part in path:
        here = here[part]
    if not path:
        return list(SpaceFile.model_fields)
    if path[0] == "parameters":
        return list(_TYPES[here["type"]].model_fields)
    if path[0] == "policy":
        return list(find(PolicySpec, here.get("name", DEFAULT_POLICY)).model_fields)
    if path[0] == "pruner":
        return list(find(PrunerSpec, here["name"]).model_fields)
    return list(_SECTIONS[str(path[0])].model_fields)
