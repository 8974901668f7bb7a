"""From a sweep of real radiographs to a champion that others use: each step as a user takes it.

The networks are too small to be of use, and positive cases alone take part, so that predicting
nothing scores 0: the usual gate refuses that for a stated reason, one written for it lets it pass.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
import pydicom
import pytest
from command_line import ptxsweep
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from processes import answers, end_with_children, free_ports, wait_until

from ptxcore.data.formats.dicom_seg import read_seg

SPACE = """
name: slice
description: real radiographs at a CPU size
objective: {metric: average_precision}
folds: 3
policy: {name: standard, num_trials: 2, num_completions: 2}
sampler: {name: random}
fixed:
  channels: 8
  levels: 3
  image_size: 64
  patch_size: 0
  warmup_epochs: 0
  max_epochs: 6
  steps_per_epoch: 25
  positive_fraction: 1.0
parameters:
  learning_rate: {type: float, low: 1.0e-3, high: 1.0e-2, log: true, default: 0.005}
"""
GATE = """
name: positives
description: For positive cases alone, with networks that are too small for use.
min_gain: 0.0
min_dice_positive: 0.0
max_loss: 1.0
min_lead: 0.0
min_patients: 0
"""
MODEL = "ptxsweep-average_precision"
NUM_SEARCHED = 200


def make_key(folder: Path, name: str) -> tuple[Path, str]:
    """A private key as ssh-keygen writes it, and the line of its owner in `approvers`."""
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.OpenSSH,
        serialization.NoEncryption(),
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    )
    path = folder / name
    path.write_bytes(private)
    path.chmod(0o600)
    return path, f"{name} {public.decode()}\n"


@contextmanager
def served(home: Path, folder: Path) -> Iterator[str]:
    """The address at which MLflow serves the champion."""
    (port,) = free_ports(1)
    words = [sys.executable, "-m", "mlflow", "models", "serve", "--env-manager", "local"]
    words += ["--model-uri", f"models:/{MODEL}@champion", "--host", "127.0.0.1"]
    # It starts uvicorn by its name.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    store = f"sqlite:///{home / 'mlflow.db'}"
    log = folder / "serve.log"
    with log.open("wb") as file:
        server = subprocess.Popen(
            [*words, "--port", str(port)],
            cwd=folder,
            env={**os.environ, "PATH": path, "MLFLOW_TRACKING_URI": store},
            stdout=file,
            stderr=file,
        )
    try:
        wait_until(lambda: server.poll() is not None or answers(port), seconds=180)
        assert server.poll() is None, log.read_text(encoding="utf-8")
        yield f"http://127.0.0.1:{port}/invocations"
    finally:
        end_with_children(server)


def ask(address: str, file: Path) -> Any:
    row = {"dicom": base64.b64encode(file.read_bytes()).decode()}
    body = json.dumps({"dataframe_records": [row], "params": {"output": "rle"}}).encode()
    request = urllib.request.Request(address, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=120) as answer:
        return json.load(answer)["predictions"][0]


def copied(files: list[Path], folder: Path) -> Path:
    folder.mkdir()
    for file in files:
        shutil.copy(file, folder)
    return folder


def registry(home: Path) -> dict[str, Any]:
    (model,) = ptxsweep("registry", home=home)["models"]
    return model


@pytest.mark.slow
@pytest.mark.siim
@pytest.mark.timeout(1500)  # some twenty commands, each a process of its own
def test_from_a_search_to_a_champion_in_use(siim: Path, tmp_path: Path) -> None:
    home, store, other = tmp_path / "home", tmp_path / "store", tmp_path / "other"
    files = sorted((siim / "dicom").rglob("*.dcm"))
    for name, part in ((store, files[:NUM_SEARCHED]), (other, files[NUM_SEARCHED:])):
        folder = copied(part, tmp_path / f"{name.name}-dicom")
        words = ("data", "import", "--dicom", folder, "--rle", siim / "train-rle.csv")
        ptxsweep(*words, "--store", name, home=None)
    space, gate = tmp_path / "slice.yaml", tmp_path / "positives.yaml"
    space.write_text(SPACE)
    gate.write_text(GATE)
    run = ("run", space, "--store", store, "--cases", "positive")
    for name, num_trials in (("first", 2), ("second", 1)):
        words = ("--name", name, "--num-trials", str(num_trials), "--seed", str(num_trials))
        assert ptxsweep(*run, *words, home=home)["state"] == "finished"

    # The best of the search is trained again on folds that no search has scored.
    confirmed = ptxsweep("confirm", "first", "--top", "1", "--gate", gate, home=home)
    assert confirmed["summary"]["state"] == "finished"
    assert confirmed["holdout"]["use"] == 1

    # A gate that refuses for a stated reason, and has spent nothing.
    refused = ptxsweep("promote", "second", home=home, check=3)
    reasons = " ".join(refused["reasons"])
    assert "patients without a pneumothorax in the hold-out: found 0" in reasons
    assert registry(home)["champion"] is None

    # One that passes; the request is one person's, the approval another's.
    people = [make_key(tmp_path, name) for name in ("alice", "bob")]
    (home / "approvers").write_text("".join(line for _, line in people))
    (alice, _), (bob, _) = people
    request = ("promote", "first", "--gate", gate, "--request", "--key", alice)
    assert not ptxsweep(*request, home=home)["forced"]
    ptxsweep("approve", MODEL, "--key", alice, home=home, check=2)
    assert ptxsweep("approve", MODEL, "--key", bob, home=home)["decision"] == "approved"
    first = registry(home)["champion"]

    # Another one, and back.
    request = ("promote", "second", "--gate", gate, "--request", "--key", alice)
    ptxsweep(*request, "--force", "--reason", "to have a way back", home=home)
    ptxsweep("approve", MODEL, "--key", bob, home=home)
    assert registry(home)["champion"] != first
    ptxsweep("rollback", "--model-name", MODEL, "--reason", "a test", home=home)
    assert registry(home)["champion"] == first

    unseen = sorted((tmp_path / "other-dicom").glob("*.dcm"))[0]
    check_use(home, tmp_path, unseen)

    # The external test: cases that the sweep never saw.
    scored = ptxsweep("evaluate", f"models:/{MODEL}@champion", "--store", other, home=home)
    assert scored["num_cases"] > 40


def check_use(home: Path, folder: Path, file: Path) -> None:
    """A DICOM Segmentation that three readers agree on, and a served model that gives the same."""
    words = ("predict", file, "--champion", MODEL, "--format", "seg,rle", "--out", folder / "out")
    (made,) = ptxsweep(*words, home=home)["predictions"]
    path = folder / "out" / f"{file.stem}.seg.dcm"
    source = pydicom.dcmread(file)
    seg = hd.seg.segread(path)
    by_highdicom = seg.get_pixels_by_source_instance([source.SOPInstanceUID])[0, ..., 0] > 0
    by_pydicom = pydicom.dcmread(path).pixel_array > 0
    (by_us,) = read_seg(path).values()
    assert by_highdicom.sum() == made["mask_px"]
    np.testing.assert_array_equal(by_pydicom.squeeze(), by_highdicom)
    np.testing.assert_array_equal(by_us, by_highdicom)
    with served(home, folder) as address:
        answer = ask(address, file)
    assert answer["mask_px"] == made["mask_px"]
