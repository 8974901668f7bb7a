"""`from sweep import run`: lazy, and the same whichever module was imported before.

That type checkers see the signatures is said by `public_api_types.py`, which mypy reads.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

import sweep
from sweep.errors import UnknownSweep, UsageError
from sweep.storage.home import Home

HEAVY = ("torch", "ray", "mlflow", "optuna", "monai", "pandas", "numpy", "pydantic", "click")


def python(code: str) -> list[str]:
    """Words that a fresh interpreter prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_import_sweep_imports_nothing_heavy() -> None:
    assert python(f"import sys, sweep; print(*sorted({set(HEAVY)} & set(sys.modules)))") == []


@pytest.mark.parametrize("name", sweep.__all__)
def test_a_public_name_is_no_submodule(name: str) -> None:
    """Importing a submodule puts the module on the package, in the place of what is there."""
    assert importlib.util.find_spec(f"sweep.{name}") is None
    assert callable(getattr(sweep, name))
    assert name in dir(sweep)


@pytest.mark.parametrize(
    "lines", [("from", "import"), ("import", "from"), ("from", "import", "from")]
)
def test_a_name_is_the_function_whichever_came_first(lines: tuple[str, ...]) -> None:
    code = {
        "from": "from sweep import Home, predict",
        "import": "import sweep.segment, sweep.storage.home",
    }
    shown = "import sweep; print(predict.__name__, sweep.predict.__name__, Home.__name__)"
    found = python("\n".join([*(code[line] for line in lines), shown]))
    assert found == ["predict_files", "predict_files", "Home"]


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'champion'"):
        _ = sweep.champion
    with pytest.raises(ImportError, match="cannot import name 'champion'"):
        exec("from sweep import champion")


def test_a_sweep_is_read_without_a_lease(tiny_home: Home) -> None:
    loaded = sweep.load_sweep(tiny_home, "tiny")
    assert loaded.summary.best == 1
    assert len(loaded.projection.trials) == 2
    comparison = sweep.compare(loaded.projection, metric="dice_positive")
    assert [one.number for one in comparison.trials] == [0, 1]


def test_a_sweep_that_is_not_there_makes_no_file(tiny_home: Home, tmp_path: Path) -> None:
    with pytest.raises(UnknownSweep, match="nope"):
        sweep.load_sweep(tiny_home, "nope")
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(UsageError, match="no sweep was started"):
        sweep.load_sweep(
            Home.from_environment(empty, ledger=f"sqlite:///{empty / 'ledger.db'}"), "tiny"
        )
    assert list(empty.iterdir()) == []
