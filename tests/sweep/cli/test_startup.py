"""Help answers before anything heavy is imported; a driver loads nothing that it rarely needs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sweep.cli import main

HEAVY = ("torch", "ray", "mlflow", "optuna", "monai", "albumentations", "pandas", "numpy", "rich")
#: Its dataclasses take a tenth of the time of a help page.
OURS = ("sweep.records",)

COMMANDS = (
    (),
    ("data",),
    ("data", "import"),
    ("data", "check"),
    ("data", "info"),
    ("data", "which"),
    ("data", "phantom"),
    ("data", "preview"),
    ("data", "fidelity"),
    ("space",),
    ("space", "list"),
    ("space", "check"),
    ("run",),
    ("submit",),
    ("slurm",),
    ("resume",),
    ("stop",),
    ("list",),
    ("note",),
    *(("rename",), ("clone",), ("delete",), ("ui",)),
    ("show",),
    ("compare",),
    ("dashboard",),
    ("report",),
    ("confirm",),
    ("sync",),
    ("promote",),
    ("predict",),
    ("evaluate",),
    ("export-model",),
    ("simulate",),
    ("export-table",),
    ("export-optuna",),
    ("card",),
    ("demo",),
    *(("rollback",), ("registry",), ("approve",), ("reject",)),
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
        [sys.executable, "-c", _SCRIPT, ",".join(HEAVY + OURS), *words],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Usage: ptxsweep" in done.stdout
    assert done.stdout.splitlines()[-1] == "LOADED"


def test_a_commands_own_options_come_first(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["promote", "--help"]) == 0
    own, _, common = capfd.readouterr().out.partition("\nCommon options:\n")
    assert "--min-gain" in own
    assert "--home" not in own
    shared = ("--profile", "--home", "--ledger", "--tracking-uri", "--storage", "--json", "--help")
    places = [common.index(name) for name in shared]
    assert places == sorted(places)


def test_every_listed_command_is_there() -> None:
    from sweep.cli._app import _COMMANDS

    assert {words[0] for words in COMMANDS if words} == set(_COMMANDS)


def test_a_driver_starts_without_networks_and_mlflow() -> None:
    """Each takes seconds, and PyTorch half of the memory that a driver has for days."""
    heavy = {"mlflow", "monai", "matplotlib", "albumentations", "torch"}
    code = f"import sys, sweep.launch; print(*sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_a_worker_loads_networks_without_what_it_never_uses() -> None:
    code = (
        "import sys; from sweep.ray.trainable import load_networks; load_networks(); "
        "print(*sorted({'mlflow', 'matplotlib', 'monai', 'sklearn'} & set(sys.modules))); "
        "import matplotlib; from ptxcore.models import SegmentationUNet"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["monai"]


def test_networks_and_windows_need_no_monai() -> None:
    """Importing it takes three times as long as PyTorch."""
    code = (
        "import sys, torch; from ptxcore.inference._windows import slide; "
        "from ptxcore.models import build_network; from ptxcore.settings import FoldSettings; "
        "network = build_network(FoldSettings(channels=4, levels=3), seed=0).eval(); "
        "slide(network, torch.zeros(1, 1, 40, 40), 32, 0.5); print('monai' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]


def test_a_look_at_the_machine_loads_nothing_heavy(tmp_path: Path) -> None:
    """Unless there is a GPU, of which PyTorch is asked."""
    code = (
        "import sys; from sweep import doctor; from sweep.storage.home import Home; "
        "from sweep.ray import machine; machine.may_have_gpu = lambda: False; "
        "doctor.examine(Home.from_environment(sys.argv[1])); "
        "print(*sorted({'mlflow', 'monai', 'torch', 'ray', 'pandas'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []


def test_a_projection_needs_no_database() -> None:
    code = (
        "import sys; from sweep.ledger.projection import Projection; "
        "print(*sorted({'optuna', 'sqlalchemy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
