"""YAML that remembers its lines.

Safe loading only, with four changes to PyYAML's reading of YAML 1.1: `1e-4` is a number (PyYAML
wants `1.0e-4` and makes text of the rest), `yes`, `no`, `on` and `off` are text, so are `010` and
`1:30` (8 and 90 in YAML 1.1), and a key given twice is an error instead of a silent overwrite.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path as FilePath
from typing import Any

import yaml

from sweep.errors import UsageError

Path = tuple[str | int, ...]


_READ_OTHERWISE = (":bool", ":int", ":float")
_MAX_BYTES, _MAX_DEPTH, _MAX_LINES = 2**20, 20, 20_000
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


class Where:
    """Turns a path into `file:line: key`."""

    def __init__(self, source: str, lines: Mapping[Path, int]) -> None:
        """Args: `source`, the file's name, and `lines` from `load_yaml`."""
        self._source, self._lines = source, lines

    def __call__(self, *path: str | int) -> str:
        """The place of a key, or of what it would stand in."""
        nearest = path
        while nearest not in self._lines:
            nearest = nearest[:-1]
        return f"{self._source}:{self._lines[nearest]}: {dotted(path)}"


def read_text(path: FilePath, error_type: type[UsageError] = UsageError) -> str:
    """The content of a small file.

    Args:
        path: The file.
        error_type: What is raised; `UsageError` or a subclass.

    Raises:
        UsageError: It cannot be read, is too large, or is not UTF-8.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise error_type(f"{path}:1: found more than {_MAX_BYTES} bytes, expected a small file")
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise error_type(f"{path}:1: found bytes that are not UTF-8, expected YAML") from error
    except OSError as error:
        raise error_type(f"{path}: found no readable file ({error.strerror})") from error


def load_yaml(
    text: str,
    source: str,
    error_type: type[UsageError] = UsageError,
    *,
    expected: str = "a mapping with `name`, ...",
) -> tuple[dict[str, Any], dict[Path, int]]:
    """Read a mapping and the one-based line of every key and item.

    Args:
        text: The file's content.
        source: Its name, for messages.
        error_type: What is raised; `UsageError` or a subclass.
        expected: What the file should hold, in words.

    Raises:
        UsageError: It is not YAML, not a mapping, or gives a key twice.
    """
    loader: _Loader | None = None
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if not isinstance(node, yaml.MappingNode):
            raise error_type(f"{source}:1: found no keys, expected {expected}")
        lines: dict[Path, int] = {}
        _note_lines(node, (), lines, source, error_type)
        data = loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise error_type(f"{source}:{line}: not YAML: {error.problem}") from error
    except yaml.YAMLError as error:
        raise error_type(f"{source}:1: not YAML: {' '.join(str(error).split())}") from error
    except RecursionError:
        raise error_type(f"{source}:1: {_TOO_DEEP}") from None
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        # What PyYAML's constructors raise: a date in month 13, a number without digits.
        kind = type(error).__name__
        raise error_type(
            f"{source}:1: found a value that does not fit its type ({kind}), expected plain "
            "numbers, text, true, false or null"
        ) from error
    finally:
        if loader is not None:
            loader.dispose()
    return data, lines


def _note_lines(
    node: yaml.Node,
    path: Path,
    lines: dict[Path, int],
    source: str,
    error_type: type[UsageError],
) -> None:
    lines.setdefault(path, node.start_mark.line + 1)
    if len(path) > _MAX_DEPTH:
        raise error_type(f"{source}:{node.start_mark.line + 1}: {_TOO_DEEP}")
    if len(lines) > _MAX_LINES:  # aliases of aliases grow beyond any memory
        raise error_type(
            f"{source}:{node.start_mark.line + 1}: found more than {_MAX_LINES} keys and items, "
            "expected fewer; aliases count each time"
        )
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            _note_lines(item, (*path, index), lines, source, error_type)
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if not key.tag.endswith((":str", ":merge")):
                raise error_type(
                    f"{source}:{key.start_mark.line + 1}: found a key that is no text, expected a "
                    "name; put it in quotes if it is one"
                )
            inner = (*path, str(key.value))
            if inner in lines:
                raise error_type(
                    f"{source}:{key.start_mark.line + 1}: {dotted(inner)}: found a second time, "
                    f"expected once (first on line {lines[inner]})"
                )
            lines[inner] = key.start_mark.line + 1
            _note_lines(value, inner, lines, source, error_type)


def dotted(path: Path) -> str:
    """A path as people write it."""
    return ".".join(str(part) for part in path)
