"""Help answers before anything heavy is imported."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("torch", "ray", "mlflow", "optuna", "monai", "albumentations", "pandas", "numpy", "rich")

COMMANDS = (
    (),
    ("data",),
    ("data", "import"),
    ("data", "check"),
    ("data", "info"),
    ("data", "phantom"),
    ("data", "preview"),
    ("data", "fidelity"),
    ("run",),
    ("submit",),
    ("resume",),
    ("list",),
    ("show",),
    ("compare",),
    ("report",),
    ("promote",),
    ("predict",),
    ("simulate",),
    ("export-table",),
    ("demo",),
    ("doctor",),
)

_SCRIPT = """
import sys
from sweep.cli import main
code = main(sys.argv[2:] + ["--help"])
print("LOADED", *sorted(set(sys.argv[1].split(",")) & set(sys.modules)))
sys.exit(code)
"""


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_help_imports_nothing_heavy(words: tuple[str, ...]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT, ",".join(HEAVY), *words],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Usage: ptxsweep" in done.stdout
    assert done.stdout.splitlines()[-1] == "LOADED"


def test_every_listed_command_is_there() -> None:
    from sweep.cli._app import _COMMANDS

    assert {words[0] for words in COMMANDS if words} == set(_COMMANDS)
