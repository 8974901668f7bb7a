"""Nothing public without a docstring, read from the syntax trees.

Ruff asks the same of names that are public by their path alone: it passes over files such as
`_predict.py`, whose functions `__init__` exports.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from optuna.storages import BaseStorage

ROOT = Path(__file__).resolve().parent.parent

#: Methods that Optuna asks of every storage, and documents.
OVERRIDES: dict[str, type] = {"ReadOnlyStorage": BaseStorage}

Documented = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def public(tree: ast.Module | ast.ClassDef) -> Iterator[tuple[str, Documented]]:
    """Public classes, functions and methods, the latter by "<class>.<name>"; no nested functions.

    Nor what stands in a private class.
    """
    for node in tree.body:
        if not isinstance(node, Documented) or node.name.startswith("_"):
            continue
        yield node.name, node
        if isinstance(node, ast.ClassDef):
            yield from ((f"{node.name}.{name}", one) for name, one in public(node))


def is_override(name: str) -> bool:
    owner, _, method = name.rpartition(".")
    return owner in OVERRIDES and hasattr(OVERRIDES[owner], method)


def undocumented(source: str) -> list[str]:
    return [
        name
        for name, node in public(ast.parse(source))
        if not ast.get_docstring(node) and not is_override(name)
    ]


@pytest.mark.parametrize("package", ["ptxcore", "sweep", "dashboards"])
def test_everything_public_has_a_docstring(package: str) -> None:
    files = sorted((ROOT / package).rglob("*.py"))
    assert files
    found = {
        str(path.relative_to(ROOT)): undocumented(path.read_text(encoding="utf-8"))
        for path in files
    }
    assert {file: names for file, names in found.items() if names} == {}


def test_what_is_looked_at() -> None:
    source = '''
def said():
    """Done."""
    def nested(): ...
def unsaid(): ...
async def awaited(): ...
def _private(): ...
class Bare:
    def __init__(self): ...
    def method(self): ...
    @property
    def value(self): ...
    class Inner: ...
class _Hidden:
    def method(self): ...
class ReadOnlyStorage:
    """Of trials."""
    def get_n_trials(self): ...
    def our_own(self): ...
'''
    assert undocumented(source) == [
        "unsaid",
        "awaited",
        "Bare",
        "Bare.method",
        "Bare.value",
        "Bare.Inner",
        "ReadOnlyStorage.our_own",
    ]
