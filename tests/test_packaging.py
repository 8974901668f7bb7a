"""The wheel holds what runs, and nothing of the tests; installed elsewhere it works."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from importlib.metadata import entry_points, requires, version
from importlib.resources import files
from pathlib import Path
from textwrap import dedent
from typing import NamedTuple

import pytest
from packaging.requirements import Requirement

from sweep.mlflow.model_package._wheel import write_wheel

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def wheel_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A freshly built wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def wheel(wheel_file: Path) -> list[str]:
    """Names of the files in it."""
    return zipfile.ZipFile(wheel_file).namelist()


class Installed(NamedTuple):
    """The wheel in a folder of its own, what it needs being installed beside it already."""

    folder: Path

    def run(self, *command: str) -> str:
        """Standard output of a command that sees the folder before the source tree."""
        environment = {**os.environ, "PYTHONPATH": str(self.folder)}
        done = subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def python(self, code: str) -> list[str]:
        """Words that Python code prints."""
        return self.run(sys.executable, "-P", "-c", dedent(code)).split()


@pytest.fixture(scope="module")
def installed(wheel_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    folder = tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--quiet"]
    here = ["--no-index", "--no-deps", "--target", str(folder)]  # nothing is fetched
    subprocess.run([*pip, *here, str(wheel_file)], check=True, capture_output=True)
    return Installed(folder)


def test_wheel_holds_packages_types_and_search_spaces(wheel: list[str]) -> None:
    for name in (
        "sweep/py.typed",
        "ptxcore/py.typed",
        "dashboards/py.typed",
        "sweep/cli/__init__.py",
        "sweep/mlflow/model_package/champion.py",
        "dashboards/report/report.css",
        "dashboards/report/layout.js",
        "dashboards/report/theme.js",
        "dashboards/report/report.js",
        "dashboards/live/live.css",
        "dashboards/live/live.js",
        "dashboards/vendor/htmx.min.js",
        "dashboards/vendor/htmx.LICENSE.txt",
        "dashboards/vendor/plotly-cartesian.min.js",
        "dashboards/vendor/plotly-cartesian.LICENSE.txt",
        "search_spaces/attention_unet.yaml",
        "gates/superior.yaml",
    ):
        assert name in wheel
    tops = {name.split("/")[0] for name in wheel}
    assert {top for top in tops if not top.endswith(".dist-info")} == {
        "sweep",
        "ptxcore",
        "dashboards",
        "search_spaces",
        "gates",
    }


def test_the_installed_command_answers(installed: Installed) -> None:
    command = str(installed.folder / "bin" / "ptxsweep")
    assert "Usage: ptxsweep demo" in installed.run(command, "demo", "--help")
    module = (sys.executable, "-P", "-m", "sweep.cli")
    assert "Usage: ptxsweep demo" in installed.run(*module, "demo", "--help")
    assert installed.run(command, "--version").split() == ["ptxsweep", version("ptxsweep")]


def test_an_installed_wheel_has_its_search_spaces_and_style(installed: Installed) -> None:
    code = """
    from importlib.resources import files
    import sweep
    from sweep.space import load_space, shipped_spaces
    assert files("dashboards.report").joinpath("report.css").is_file()
    print(sweep.__file__, *sorted(load_space(name).name for name in shipped_spaces()))
    """
    place, *spaces = installed.python(code)
    assert Path(place).is_relative_to(installed.folder)
    assert spaces == sorted(path.stem for path in (ROOT / "search_spaces").glob("*.yaml"))


def test_a_model_of_an_installed_wheel_takes_along_the_same(
    installed: Installed, tmp_path: Path
) -> None:
    """Its file alone is run: the package beside it would import PyTorch."""
    code = f"""
    from pathlib import Path
    from runpy import run_path
    from zipfile import ZipFile
    write_wheel = run_path("sweep/mlflow/model_package/_wheel.py")["write_wheel"]
    print(*ZipFile(write_wheel(Path({str(tmp_path)!r}))).namelist())
    """
    with zipfile.ZipFile(write_wheel(tmp_path / "source")) as own:
        assert set(installed.python(code)) == set(own.namelist())


def test_an_installed_wheel_names_no_commit_of_another_repository(installed: Installed) -> None:
    """An environment often lies in the folder of whoever uses it."""
    git = ["git", "-C", str(installed.folder), "-c", "user.name=a", "-c", "user.email=a@b.invalid"]
    subprocess.run([*git, "init", "--quiet"], check=True)
    subprocess.run([*git, "commit", "--quiet", "--allow-empty", "-m", "theirs"], check=True)
    code = "from sweep.util.provenance import git_sha; print(git_sha())"
    assert installed.python(code) == ["unknown"]


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
