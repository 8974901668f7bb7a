"""Private parts of libraries are borrowed in the `compat` modules alone, where their tests watch.

Optuna, Ray and MLflow have one each: `sweep/ledger/compat.py`, `sweep/ray/compat.py` and
`sweep/mlflow/compat.py`.
"""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).resolve().parent.parent
OWN = ("sweep", "ptxcore", "dashboards")
FILES = sorted(file for name in OWN for file in (ROOT / name).rglob("*.py"))
#: Of the standard library, and documented: named tuples, and leaving without cleaning up.
DOCUMENTED = {"_replace", "_exit"}


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


@cache
def tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"), str(file))


@cache
def our_names() -> frozenset[str]:
    """Private names that some file of ours defines: functions, attributes of `self`, fields."""
    found = set(DOCUMENTED)
    for node in (node for file in FILES for node in ast.walk(tree(file))):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.Name(id=name):
                found.add(name)
            case ast.Attribute(value=ast.Name(id="self"), attr=name, ctx=ast.Store()):
                found.add(name)
    return frozenset(found)


def borrowed(file: Path) -> Iterator[str]:
    """What a file takes that its owner keeps to itself."""
    for node in ast.walk(tree(file)):
        match node:
            case ast.ImportFrom(module=str(module), level=0) if module.split(".")[0] not in OWN:
                names = [*module.split("."), *(alias.name for alias in node.names)]
                yield from filter(is_private, names)
            case ast.Import():
                parts = [part for alias in node.names for part in alias.name.split(".")]
                yield from filter(is_private, parts)
            case ast.Attribute(attr=name) if is_private(name) and name not in our_names():
                yield name


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_only_compat_borrows_private_parts(file: Path) -> None:
    assert bool(list(borrowed(file))) == (file.name == "compat.py"), list(borrowed(file))


@pytest.mark.parametrize("name", ["optuna", "ray", "mlflow"])
def test_libraries_with_borrowed_parts_end_below_their_next_minor_release(name: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    texts = list(project["dependencies"])
    for extra in project["optional-dependencies"].values():
        texts += extra
    found = [wanted for wanted in map(Requirement, texts) if wanted.name == name]
    assert found
    for wanted in found:
        bounds = {one.operator: Version(one.version) for one in wanted.specifier}
        low, high = bounds[">="], bounds["<"]
        assert (high.major, high.minor) == (low.major, low.minor + 1), str(wanted)
