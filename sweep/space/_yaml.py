"""YAML that remembers its lines.

Safe loading only, with four changes to PyYAML's reading of YAML 1.1: `1e-4` is a number (PyYAML
wants `1.0e-4` and makes text of the rest), `yes`, `no`, `on` and `off` are text, so are `010` and
`1:30` (8 and 90 in YAML 1.1), and a key given twice is an error instead of a silent overwrite.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from sweep.errors import SpaceError

Path = tuple[str | int, ...]


_READ_OTHERWISE = (":bool", ":int", ":float")
_MAX_DEPTH, _MAX_LINES = 20, 20_000
_TOO_DEEP = f"found more than {_MAX_DEPTH} levels, expected keys inside keys a few times"


class _Loader(yaml.SafeLoader):
    pass


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(_READ_OTHERWISE)]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:int", re.compile(r"^[-+]?(?:0|[1-9][0-9_]*)$"), list("-+0123456789")
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(
        r"^(?:[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?"
        r"|[-+]?[0-9]+[eE][-+]?[0-9]+|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
    ),
    list("-+0123456789."),
)


def load_yaml(text: str, source: str) -> tuple[dict[str, Any], dict[Path, int]]:
    """Read a mapping and the one-based line of every key and item.

    Args:
        text: The file's content.
        source: Its name, for messages.

    Raises:
        SpaceError: It is not YAML, not a mapping, or gives a key twice.
    """
    loader: _Loader | None = None
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if not isinstance(node, yaml.MappingNode):
            raise SpaceError(f"{source}:1: found no keys, expected a mapping with `name`, ...")
        lines: dict[Path, int] = {}
        _note_lines(node, (), lines, source)
        data = loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise SpaceError(f"{source}:{line}: not YAML: {error.problem}") from error
    except yaml.YAMLError as error:
        raise SpaceError(f"{source}:1: not YAML: {' '.join(str(error).split())}") from error
    except RecursionError:
        raise SpaceError(f"{source}:1: {_TOO_DEEP}") from None
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        # What PyYAML's constructors raise: a date in month 13, a number without digits.
        kind = type(error).__name__
        raise SpaceError(
            f"{source}:1: found a value that does not fit its type ({kind}), expected plain "
            "numbers, text, true, false or null"
        ) from error
    finally:
        if loader is not None:
            loader.dispose()
    return data, lines


def _note_lines(node: yaml.Node, path: Path, lines: dict[Path, int], source: str) -> None:
    lines.setdefault(path, node.start_mark.line + 1)
    if len(path) > _MAX_DEPTH:
        raise SpaceError(f"{source}:{node.start_mark.line + 1}: {_TOO_DEEP}")
    if len(lines) > _MAX_LINES:  # aliases of aliases grow beyond any memory
        raise SpaceError(
            f"{source}:{node.start_mark.line + 1}: found more than {_MAX_LINES} keys and items, "
            "expected fewer; aliases count each time"
        )
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            _note_lines(item, (*path, index), lines, source)
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if not key.tag.endswith((":str", ":merge")):
                raise SpaceError(
                    f"{source}:{key.start_mark.line + 1}: found a key that is no text, expected a "
                    "name; put it in quotes if it is one"
                )
            inner = (*path, str(key.value))
            if inner in lines:
                raise SpaceError(
                    f"{source}:{key.start_mark.line + 1}: {dotted(inner)}: found a second time, "
                    f"expected once (first on line {lines[inner]})"
                )
            lines[inner] = key.start_mark.line + 1
            _note_lines(value, inner, lines, source)


def dotted(path: Path) -> str:
    """A path as people write it."""
    return ".".join(str(part) for part in path)
