"""A full disk is named, nothing is half done, and the same command does it when there is room."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tiny_sweep import NAME

from ptxcore.data.phantom import write_phantom
from sweep.cli import main
from sweep.ledger import Ledger
from sweep.mlflow.model_package._example import input_example
from sweep.storage.home import Home

CHAMPION = "ptxsweep-phantom-average_precision"


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A disk of 32 MiB."""
    if os.geteuid() or sys.platform != "linux":
        pytest.skip("only root can mount a small disk")
    place = tmp_path / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=32m", "none", str(place)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("no small disk can be mounted here")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def fill(place: Path) -> Path:
    ballast = place / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
    return ballast


def test_every_command_names_what_is_full_and_works_when_there_is_room(
    tiny_home: Home, small: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    home = Path(shutil.copytree(tiny_home.folder, small / "home"))
    image = tmp_path / "one.dcm"
    image.write_bytes(input_example()["dicom"][0])
    drawn = write_phantom(tmp_path / "drawn", num_cases=24, size=64, prevalence=0.5, seed=3)
    where = ["--home", str(home)]
    source = ["--dicom", str(drawn.dicom), "--rle", str(drawn.rle)]
    force = ["--force", "--reason", "of the test"]

    def alone(*words: str) -> Callable[[], int]:
        return lambda: main([*words])

    commands = {
        "report": alone("report", NAME, *where),
        "promote": alone("promote", NAME, *force, *where),
        "predict": alone(
            *("predict", str(image), "--champion", CHAMPION, "--out", str(small / "out"), *where)
        ),
        "import": alone("data", "import", *source, "--store", str(small / "store")),
    }
    for command, run in commands.items():
        ballast = fill(small)
        capfd.readouterr()
        code = run()
        said = capfd.readouterr().err
        ballast.unlink()
        is_import = command == "import"  # looks for room before it begins
        says = "of free space" if is_import else "no space is left to write"
        assert code == (2 if is_import else 5), f"{command}: {code}\n{said}"
        assert says in said, f"{command}: {said}"
        assert str(small) in said, f"{command}: {said}"
        assert "Traceback" not in said
        assert run() == 0, f"{command}: {capfd.readouterr().err}"
    left = [path for path in small.rglob("*") if path.name.endswith(".part")]
    assert left == []
    ledger = Ledger.open(f"sqlite:///{home / 'ledger.db'}", NAME)
    assert len(ledger.projection.trials) == 2
    ledger.close()
