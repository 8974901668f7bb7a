"""Every kind of error ends in one line on standard error and its documented code."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from tiny_store import drawn_store

from ptxcore.errors import CheckpointError, MaskError, SettingsError, TrainingDiverged
from sweep.cli import main
from sweep.cli._app import exit_code
from sweep.cli._help import given_options, with_options
from sweep.cli.show import show_command
from sweep.errors import (
    ClusterError,
    GateRefused,
    LeaseHeld,
    LedgerError,
    NameTaken,
    SpaceError,
    SweepError,
    TrackingError,
    UnknownSweep,
)
from sweep.ledger import Ledger, SweepHeader


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ValueError("x"), 1),
        (SweepError("x"), 1),
        (TrainingDiverged("x"), 1),
        (SpaceError("x"), 2),
        (NameTaken("x"), 2),
        (UnknownSweep("x"), 2),
        (MaskError("x"), 2),
        (SettingsError("x"), 2),
        (CheckpointError("x"), 2),
        (GateRefused(("too few cases",)), 3),
        (LeaseHeld("x"), 5),
        (LedgerError("x"), 5),
        (TrackingError("x"), 5),
        (ClusterError("x"), 5),
    ],
)
def test_exit_code(error: Exception, code: int) -> None:
    assert exit_code(error) == code


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["fly"], "No such command"),
        (["run"], "SPACE"),
        (["run", "attention_unet", "--store", "no-such-folder"], "no-such-folder"),
        (["run", "attention_unet", "--store", ".", "--set", "patience"], "KEY=VALUE"),
        (["run", "x", "--store", ".", "--set", "a=1", "--set", "a=2"], "each key once"),
        (["run", "attention_unet", "--store", ".", "--workers", "0"], "x>=1"),
        (["show", "nothing", "--home", "nowhere"], "no sweep was started"),
        (["list", "--home", "nowhere"], "no sweep was started"),
        (["resume", "nothing", "--home", "nowhere"], "no sweep was started"),
        (["data", "fidelity", "--figure", "."], "found the folder ., expected a file"),
        (["data", "preview", ".", "--out", ".", "--space", "demo"], "found the folder ."),
        (["report", "x", "--out", "."], "found the folder ."),
        (["export-table", "x", "--out", "."], "found the folder ."),
        (["simulate", "x.npz", "--figure", "."], "found the folder ."),
        (["report", "x", "--out", f"{__file__}/new/x.html"], "test_exit_codes.py where"),
        (["report", "x", "--out", "x" * 300], "File name too long"),
        (["run", "x" * 300, "--store", "."], "name a place that this user may read and write"),
        (["predict", ".", "--model", "m", "--out", __file__], "is a file"),
        (["data", "phantom", __file__], "is a file"),
        (["predict", ".", "--out", "o"], "either --champion NAME or --model URI"),
    ],
)
def test_bad_usage_is_one_readable_line_and_code_2(
    words: list[str],
    expected: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PTXSWEEP_STORE", raising=False)
    assert main(words) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert expected in shown.err
    assert "Traceback" not in shown.err
    assert list(tmp_path.iterdir()) == []


def test_unexpected_errors_hide_their_traceback_unless_asked(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").write_text("this is no database")
    command = [sys.executable, "-m", "sweep.cli", "show", "any", "--home", str(tmp_path)]

    def run(debug: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PTXSWEEP_DEBUG": debug}
        return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)

    quiet, loud = run("0"), run("1")
    assert quiet.returncode == loud.returncode == 5
    assert quiet.stderr.startswith("error: ")
    assert len(quiet.stderr.splitlines()) == 1
    assert "Traceback" in loud.stderr


def test_a_closed_pipe_is_no_error_to_talk_about(tmp_path: Path) -> None:
    command = f"{sys.executable} -m sweep.cli --help | true"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], "either --dicom FOLDER or --png FOLDER"),
        (["--dicom", "."], "--dicom needs the masks of its images: --rle FILE, or --masks FOLDER"),
        (["--dicom", ".", "--rle", "masks.csv"], "masks.csv"),
        (["--png", "."], "found no DICOM and no PNG file"),
    ],
)
def test_import_without_input_leaves_nothing(
    words: list[str],
    expected: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "input").mkdir()
    monkeypatch.chdir(tmp_path / "input")
    assert main(["data", "import", "--store", str(tmp_path / "store"), *words]) == 2
    assert expected in capsys.readouterr().err
    assert not (tmp_path / "store").exists()


def test_what_a_message_says_to_type_can_be_copied(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    home, profile = tmp_path / "my home", tmp_path / "profile.yaml"
    profile.write_text("hours: 1\n")
    drawn_store(tmp_path / "store", num_cases=30, num_positive=12)
    home.mkdir()
    header = SweepHeader(metric="dice", maximize=True, num_folds=2, seed=0)
    Ledger.create(f"sqlite:///{home / 'ledger.db'}", "demo", header=header).close()
    words = ["run", "demo", "--store", str(tmp_path / "store"), "--profile", str(profile)]
    ledger = "postgresql+psycopg://u:secret@127.0.0.1:9/x"
    assert main([*words, "--home", str(home), "--storage", str(tmp_path)]) == 2
    said = capfd.readouterr().err
    expected = f"resume demo --profile {profile} --home '{home}' --storage {tmp_path}` goes on"
    assert expected in " ".join(said.split())
    assert with_options("`ptxsweep data upload STORE x`, `--name`", "--home h") == (
        "`ptxsweep data upload STORE x`, `--name`"
    )
    context = click.Context(show_command, info_name="show")
    show_command.parse_args(context, ["x", "--ledger", ledger, "--home", "h"])
    assert given_options(context) == "--home h"
