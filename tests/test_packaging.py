"""The wheel holds what runs, and nothing of the tests."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from importlib.metadata import entry_points, requires
from importlib.resources import files
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from sweep.mlflow.model_package._wheel import write_wheel

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Names of the files in a freshly built wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (path,) = folder.glob("*.whl")
    return zipfile.ZipFile(path).namelist()


def test_wheel_holds_packages_types_and_search_spaces(wheel: list[str]) -> None:
    for name in (
        "sweep/py.typed",
        "ptxcore/py.typed",
        "dashboards/py.typed",
        "sweep/cli/__init__.py",
        "search_spaces/attention_unet.yaml",
    ):
        assert name in wheel
    tops = {name.split("/")[0] for name in wheel}
    assert {top for top in tops if not top.endswith(".dist-info")} == {
        "sweep",
        "ptxcore",
        "dashboards",
        "search_spaces",
    }


def test_a_model_takes_along_what_the_wheel_holds(wheel: list[str], tmp_path: Path) -> None:
    """But for the pictures of the README."""
    own = set(zipfile.ZipFile(write_wheel(tmp_path)).namelist())
    assert own == {name for name in wheel if not name.endswith(".png")}


def test_search_spaces_are_found_where_they_are_installed() -> None:
    assert (files("search_spaces") / "attention_unet.yaml").is_file()


def test_the_command_is_installed() -> None:
    (script,) = entry_points(group="console_scripts", name="ptxsweep")
    assert script.value == "sweep.cli:main"


def test_every_direct_dependency_is_pinned_inside_its_bounds() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = dict(line.split("==") for line in lines if "==" in line and not line.startswith("#"))
    for text in requires("ptxsweep") or ():
        wanted = Requirement(text)
        assert wanted.specifier.contains(pinned[wanted.name.lower()]), text
    assert "/" not in "".join(lines), "constraints name versions, never places"
