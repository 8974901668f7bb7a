"""The direction of every import, read from the syntax trees: no part knows what is built on it.

These rows are the rule; the documentation links here instead of repeating them.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parent.parent

#: The core in layers: a module imports lower layers and its own.
CORE_LAYERS = (
    {
        *("types", "errors", "limits", "hints", "atomic_file", "settings", "digest", "allocator"),
        "pretrained",
    },
    {"data", "losses", "metrics", "models"},
    {"inference", "export"},
    {"training"},
)
CORE_FORBIDDEN = {
    "sweep",
    "dashboards",
    "search_spaces",
    "gates",
    "ray",
    "optuna",
    "mlflow",
    "plotly",
}
#: The rooms of `ptxcore.data`, bottom up: each imports those before it.
DATA_ROOMS = ("formats", "store", "splits", "importing", "phantom", "patches", "studies")

#: What a part needs leave for: heavy libraries, and our own packages seen from `sweep`.
GUARDED = {"ray", "optuna", "mlflow", "torch", "monai", "plotly", "ptxcore", "dashboards"}


class Row(NamedTuple):
    """What the modules of one part of `sweep` may import, beside `errors` and `records`."""

    parts: set[str]
    guarded: frozenset[str] | set[str] = frozenset()


_FOLDERS = {
    *("util", "policies", "pruners", "space", "ledger", "search", "analysis", "storage", "ray"),
    "mlflow",
}
#: A folder is a noun; a file beside the folders is a verb, what one command does.
VERBS = (
    *("launch", "segment", "evaluate", "export_model", "report", "preview"),
    *("export_optuna", "forecast", "shadow"),
    *("sync", "load", "doctor", "confirm", "demo"),
    *("stop", "note", "rename", "clone", "delete", "ui", "draw_cases"),
)
SWEEP = {
    "util": Row(set(), {"ptxcore"}),
    "policies": Row({"util"}),
    "pruners": Row({"util"}, {"optuna"}),
    "space": Row({"util", "policies", "pruners"}, {"ptxcore", "optuna"}),
    "ledger": Row({"util"}, {"optuna"}),
    "search": Row({"policies", "pruners", "space", "ledger"}, {"optuna"}),
    "analysis": Row({"util", "policies", "space", "ledger"}, {"ptxcore"}),
    "storage": Row({"util", "ledger"}, {"ptxcore"}),
    "ray": Row({"util", "search", "storage"}, {"ray", "torch", "ptxcore"}),
    "slurm": Row({"util", "ray"}),
    "mlflow": Row({"util", "ledger", "analysis", "storage"}, {"mlflow", "torch", "ptxcore"}),
    "simulate": Row({"util", "policies", "pruners", "ledger", "search"}, {"optuna", "ptxcore"}),
    "promotion": Row({"util", "ledger", "analysis", "storage", "mlflow"}, {"mlflow", "ptxcore"}),
    **dict.fromkeys(
        VERBS[:6],
        Row(
            _FOLDERS | {"simulate", "promotion", "shadow", "draw_cases"},
            {"ptxcore", "mlflow", "dashboards"},
        ),
    ),
    "export_optuna": Row({"util", "ledger", "analysis"}, {"optuna", "ptxcore"}),
    "forecast": Row(_FOLDERS | {"launch"}, {"ptxcore"}),
    "shadow": Row({"storage", "mlflow"}, {"ptxcore"}),
    "draw_cases": Row({"util", "ledger", "analysis", "storage"}, {"ptxcore", "dashboards"}),
    "load": Row({"ledger", "analysis", "storage"}),
    "sync": Row({"ledger", "mlflow", "storage"}),
    **dict.fromkeys(("stop", "note"), Row({"ledger", "storage"})),
    **dict.fromkeys(
        ("rename", "delete"), Row({"util", "ledger", "mlflow", "promotion", "storage"})
    ),
    "ui": Row({"util", "ledger", "mlflow", "storage"}),
    "clone": Row({"util", "space", "ledger", "storage"}, {"ptxcore"}),
    "doctor": Row(_FOLDERS, GUARDED - {"dashboards"}),
    "confirm": Row({*_FOLDERS, "promotion", "launch"}, {"mlflow", "ptxcore"}),
    "demo": Row({*_FOLDERS, "promotion", *VERBS}, {"ptxcore"}),
    "cli": Row({*_FOLDERS, "simulate", "promotion", "slurm", *VERBS}, {"ptxcore", "dashboards"}),
}
#: What a package's `__init__` names for type checkers alone stands under this condition.
_FOR_TYPES = "TYPE_CHECKING"
#: Which files of a room may touch the core, where not all may.
CORE_ONLY_IN = {"ray": {"trainable", "measure", "machine"}}

#: A view of the ledger, which never trains or schedules.
DASHBOARDS_MAY = {"errors", "records", "util", "ledger", "analysis", "promotion"}
#: The live page also knows where sweeps are.
LIVE_MAY = DASHBOARDS_MAY | {"storage"}
DASHBOARDS_FORBIDDEN = {"ray", "torch", "monai", "search_spaces", "gates"}


def files(package: str) -> list[str]:
    return sorted(
        str(path.relative_to(ROOT)) for path in (ROOT / package).rglob("*.py") if path.is_file()
    )


def imported(file: str, *, for_types: bool = True) -> Iterator[str]:
    """Every module named by an import, in full; `from a import b` gives "a.b".

    Without `for_types` only by imports that happen: not those under `if TYPE_CHECKING`.
    """
    path = ROOT / file
    package = path.relative_to(ROOT).parent.parts
    for node in walk(ast.parse(path.read_text(encoding="utf-8"), file), for_types=for_types):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join((*above, *([node.module] if node.module else [])))
            yield from (f"{base}.{alias.name}" for alias in node.names)


def walk(tree: ast.AST, *, for_types: bool) -> Iterator[ast.AST]:
    """Every node below one, with or without what stands under `if TYPE_CHECKING`."""
    for node in ast.iter_child_nodes(tree):
        if for_types or not (isinstance(node, ast.If) and ast.unparse(node.test) == _FOR_TYPES):
            yield node
            yield from walk(node, for_types=for_types)


def part_of(module: str, package: str) -> str | None:
    """The part of `package` that a module belongs to; None for another package's module."""
    head = f"{package}."
    return module.removeprefix(head).split(".")[0] if module.startswith(head) else None


def core_layer(part: str) -> int:
    for layer, parts in enumerate(CORE_LAYERS):
        if part in parts:
            return layer
    raise AssertionError(f"ptxcore.{part} stands in no layer: add it to CORE_LAYERS")


@pytest.mark.parametrize("file", files("ptxcore"))
def test_core_imports_only_lower_layers(file: str) -> None:
    modules = list(imported(file))
    assert not {name.split(".")[0] for name in modules} & CORE_FORBIDDEN
    own = Path(file).with_suffix("").parts[1]
    if own == "__init__":
        assert not [name for name in modules if name.startswith("ptxcore")]
        return
    for module in modules:
        part = part_of(module, "ptxcore")
        if part:
            assert core_layer(part) <= core_layer(own), f"{file} imports {module}"


@pytest.mark.parametrize("file", [name for name in files("ptxcore/data") if name.count("/") > 2])
def test_rooms_of_the_data_import_only_rooms_before_them(file: str) -> None:
    own = Path(file).parts[2]
    allowed = DATA_ROOMS[: DATA_ROOMS.index(own) + 1]
    for module in imported(file):
        room = part_of(module, "ptxcore.data")
        assert room not in DATA_ROOMS or room in allowed, f"{file} imports {module}"


@pytest.mark.parametrize("file", files("sweep"))
def test_sweep_imports_what_its_row_names(file: str) -> None:
    own = Path(file).with_suffix("").parts[1]
    modules = list(imported(file))
    tops = {name.split(".")[0] for name in modules}
    if own in ("__init__", "errors", "records"):
        happen = {name.split(".")[0] for name in imported(file, for_types=False)}
        assert not happen & (GUARDED | {"sweep"})
        return
    assert own in SWEEP, f"sweep.{own} stands in no row: add it to SWEEP"
    row = SWEEP[own]
    assert not tops & (GUARDED - row.guarded), f"{file} imports {tops & GUARDED - row.guarded}"
    if own in CORE_ONLY_IN and Path(file).stem not in CORE_ONLY_IN[own]:
        assert "ptxcore" not in tops, f"{file} imports ptxcore"
    for module in modules:
        part = part_of(module, "sweep")
        if part:
            assert part in row.parts | {own, "errors", "records"}, f"{file} imports {module}"


@pytest.mark.parametrize("file", files("dashboards"))
def test_dashboards_read_the_ledger_and_nothing_else(file: str) -> None:
    for module in imported(file):
        assert module.split(".")[0] not in DASHBOARDS_FORBIDDEN, f"{file} imports {module}"
        part = part_of(module, "sweep")
        may = LIVE_MAY if "/live/" in file else DASHBOARDS_MAY
        assert part is None or part in may, f"{file} imports {module}"
        room = part_of(module, "dashboards")
        if "/figures/" in file:
            assert room != "report", f"{file} imports {module}"
        assert room != "live" or "/live/" in file, f"{file} imports {module}"


def test_search_spaces_and_gates_hold_no_code() -> None:
    assert files("search_spaces") == files("gates") == []


def test_no_part_is_imported_in_a_circle() -> None:
    known: set[str] = set()
    rows = {name: row.parts - {name} for name, row in SWEEP.items()}
    rows["demo"] -= {"demo"}
    while rows:
        free = {name for name, parts in rows.items() if parts <= known}
        assert free, f"a circle among {sorted(rows)}"
        known |= free
        rows = {name: parts for name, parts in rows.items() if name not in free}
