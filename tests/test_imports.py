"""The direction of every import, read from the syntax trees: no part knows what is built on it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

#: The core in layers: a module imports lower layers and its own.
CORE_LAYERS = (
    {"types", "errors", "limits", "settings"},
    {"data", "losses", "metrics", "models"},
    {"inference"},
    {"training"},
)
CORE_FORBIDDEN = {"sweep", "dashboards", "search_spaces", "ray", "optuna", "mlflow", "plotly"}

#: What a part needs leave for: heavy libraries, and our own packages seen from `sweep`.
GUARDED = {"ray", "optuna", "mlflow", "torch", "monai", "plotly", "ptxcore", "dashboards"}

#: `sweep`, bottom up. A part imports parts above its row and the guarded names in it; where a row
#: has a second set, only those parts.
SWEEP_PARTS: dict[str, tuple[set[str], set[str] | None]] = {
    "errors": (set(), None),
    "records": (set(), None),
    "masking": (set(), set()),
    "whole_file": (set(), set()),
    "bucket": (set(), {"errors", "masking"}),
    "snapshots": (set(), {"errors", "bucket"}),
    "stores": ({"ptxcore"}, {"bucket", "snapshots"}),
    "home": (set(), {"errors", "bucket"}),
    "environment": (set(), set()),
    "space": ({"optuna"}, {"errors"}),
    "policies": (set(), {"errors", "records"}),
    "stop_rules": (set(), {"errors", "records"}),
    "statistics": (set(), {"errors", "records"}),
    "inference": (set(), {"records"}),
    "projection": (set(), {"errors", "records", "inference"}),
    "operating_point": ({"ptxcore"}, {"errors", "masking", "records", "projection"}),
    "cohort": (set(), set()),
    "caution": (set(), {"environment", "projection", "cohort"}),
    "standing": ({"ptxcore"}, {"records", "statistics", "projection"}),
    "verdict": (set(), {"standing"}),
    "ledger": ({"optuna"}, {"errors", "masking", "records", "projection"}),
    "views": ({"optuna"}, {"errors", "records", "projection"}),
    "pruners": ({"optuna"}, {"errors", "records", "projection", "views"}),
    "samplers": ({"optuna"}, {"errors", "records", "projection", "views", "space"}),
    "budget": (set(), {"errors", "records", "projection"}),
    "conductor": (set(), None),
    "simulate": (
        {"optuna"},
        {
            *("errors", "records", "policies", "pruners", "stop_rules", "projection"),
            *("samplers", "views"),
        },
    ),
    "ray_trial": (
        {"ray", "ptxcore", "torch"},
        {"errors", "masking", "records", "bucket", "snapshots", "stores", "environment"},
    ),
    "ray_scheduler": ({"ray"}, {"errors", "records", "conductor"}),
    "ray_search": ({"ray"}, {"errors", "records", "conductor", "ray_scheduler"}),
    "ray_nodes": ({"ray", "torch"}, {"errors", "environment"}),
    "ray_jobs": ({"ray"}, {"errors", "masking"}),
    "resources": (set(), {"errors"}),
    "ray_measure": ({"ray", "ptxcore"}, {"errors", "resources", "ray_nodes", "ray_trial"}),
    "ray_run": ({"ray", "torch"}, None),
    "mlflow_view": (
        {"mlflow", "ptxcore"},
        {
            *("errors", "masking", "records", "home", "statistics", "ledger", "inference"),
            *("projection", "cohort", "caution", "standing", "verdict"),
            "operating_point",
        },
    ),
    "mlflow_process": (set(), {"home", "projection"}),
    "tracker": (set(), {"home", "ledger", "mlflow_process", "mlflow_view"}),
    "configurations": ({"ptxcore"}, {"errors", "space"}),
    "prepare": ({"ptxcore"}, None),
    "finish": ({"ptxcore"}, None),
    "artifacts": (set(), None),
    "summary": ({"ptxcore"}, None),
    "compare": (
        {"ptxcore"},
        {
            *("errors", "records", "projection", "statistics", "standing", "verdict"),
            "operating_point",
        },
    ),
    "progress": (set(), {"errors", "records", "projection", "caution", "standing", "space"}),
    "launch": ({"ptxcore", "torch"}, None),
    "model_package": ({"ptxcore", "mlflow", "torch"}, {"errors", "environment", "caution"}),
    "intervals": (set(), {"errors"}),
    "holdout": ({"ptxcore"}, {"errors", "home", "artifacts", "stores"}),
    "assess": ({"ptxcore"}, {"intervals"}),
    "evidence": ({"optuna"}, {"errors", "ledger"}),
    "confirmation": ({"ptxcore"}, {"errors", "home", "intervals", "ledger", "evidence"}),
    "gate": (set(), {"errors", "records", "projection", "intervals", "confirmation"}),
    "model_card": (
        set(),
        {"projection", "cohort", "caution", "mlflow_view", "confirmation", "gate"},
    ),
    "vouched": ({"mlflow", "ptxcore"}, {"errors", "mlflow_view"}),
    "registry": ({"mlflow", "ptxcore"}, {"errors", "masking", "mlflow_view", "vouched"}),
    "champions": ({"mlflow"}, {"mlflow_view", "model_card", "registry"}),
    "rollback": (set(), {"champions", "home", "ledger", "mlflow_view", "registry"}),
    "inputs": ({"ptxcore"}, {"errors"}),
    "predict": ({"ptxcore", "mlflow"}, None),
    "rival": ({"mlflow", "ptxcore"}, None),
    "confirm": ({"ptxcore"}, None),
    "judge": ({"mlflow", "ptxcore"}, None),
    "promote": ({"ptxcore", "mlflow"}, None),
    "describe": ({"ptxcore"}, {"errors"}),
    "preview": ({"ptxcore"}, {"errors", "prepare", "space", "whole_file"}),
    "publish": ({"ptxcore", "dashboards"}, None),
    "doctor": (GUARDED, None),
    "demo": ({"ptxcore", "dashboards"}, None),
    "cli": (GUARDED, None),
}

#: A view of the ledger, which never trains or schedules.
DASHBOARDS_MAY = {
    *("errors", "records", "inference", "projection", "cohort", "caution", "standing", "ledger"),
    *("statistics", "verdict"),
}
DASHBOARDS_FORBIDDEN = {"ray", "torch", "monai", "search_spaces"}


def files(package: str) -> list[str]:
    return sorted(
        str(path.relative_to(ROOT)) for path in (ROOT / package).rglob("*.py") if path.is_file()
    )


def imported(file: str) -> Iterator[str]:
    """Every module named by an import, in full; `from a import b` gives "a.b"."""
    path = ROOT / file
    package = path.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), file)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join((*above, *([node.module] if node.module else [])))
            yield from (f"{base}.{alias.name}" for alias in node.names)


def part_of(module: str, package: str) -> str | None:
    """The part of `package` that a module belongs to; None for another package's module."""
    names = module.split(".")
    if names[0] != package:
        return None
    return names[1] if len(names) > 1 else ""


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


@pytest.mark.parametrize("file", files("sweep"))
def test_sweep_imports_only_parts_listed_before_it(file: str) -> None:
    own = Path(file).with_suffix("").parts[1]
    modules = list(imported(file))
    if own == "__init__":
        assert not [name for name in modules if name.split(".")[0] in GUARDED | {"sweep"}]
        return
    assert own in SWEEP_PARTS, f"sweep.{own} stands in no row: add it to SWEEP_PARTS"
    order = list(SWEEP_PARTS)
    guarded, parts = SWEEP_PARTS[own]
    allowed = (set(order[: order.index(own)]) if parts is None else parts) | {own}
    for module in modules:
        top = module.split(".")[0]
        assert top not in GUARDED - guarded, f"{file} imports {module}"
        part = part_of(module, "sweep")
        if part:
            assert part in allowed, f"{file} imports {module}"


@pytest.mark.parametrize("file", files("dashboards"))
def test_dashboards_read_the_ledger_and_nothing_else(file: str) -> None:
    for module in imported(file):
        assert module.split(".")[0] not in DASHBOARDS_FORBIDDEN, f"{file} imports {module}"
        part = part_of(module, "sweep")
        if part is not None:
            assert part in DASHBOARDS_MAY, f"{file} imports {module}"


def test_search_spaces_hold_no_code() -> None:
    assert files("search_spaces") == []


def test_every_row_names_rows_that_stand_before_it() -> None:
    order = list(SWEEP_PARTS)
    for part, (guarded, parts) in SWEEP_PARTS.items():
        assert guarded <= GUARDED
        assert (parts or set()) <= set(order[: order.index(part)]), part
