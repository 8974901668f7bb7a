"""`mlflow models serve`: a real server, real HTTP, a DICOM file in and a mask out."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from processes import answers, end_with_children, free_ports, wait_until
from siim_slice import find_slice
from tiny_dicom import write_dicom

from ptxcore.data.formats.dicom import read_dicom
from ptxcore.data.formats.rle import decode
from ptxcore.inference import Ensemble
from ptxcore.models import build_network, save_weights
from ptxcore.settings import FoldSettings
from ptxcore.types import Rule, Runtime
from sweep.mlflow.model_package import save_model

SETTINGS = FoldSettings(network="unet", channels=4, levels=2, image_size=32, patch_size=32)
RULE = Rule(top=0.0095, bottom=0.009)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights") / "fold-0"
    network = build_network(SETTINGS, seed=0)
    network.output.weight.data *= 50  # untrained ones answer with nearly the same everywhere
    save_weights(folder, network, SETTINGS)
    return folder


@pytest.fixture(scope="module")
def address(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("served")
    save_model(folder / "model", [weights], rule=RULE, runtime=Runtime(), facts={"phantom": True})
    (port,) = free_ports(1)
    words = [sys.executable, "-m", "mlflow", "models", "serve", "--env-manager", "local"]
    words += ["--model-uri", str(folder / "model"), "--host", "127.0.0.1", "--port", str(port)]
    # It starts uvicorn by its name.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            words, cwd=folder, env={**os.environ, "PATH": path}, stdout=log, stderr=log
        )
    try:
        wait_until(lambda: server.poll() is not None or answers(port), seconds=120)
        assert server.poll() is None, (folder / "log").read_text(encoding="utf-8")
        yield f"http://127.0.0.1:{port}/invocations"
    finally:
        end_with_children(server)


def ask(address: str, content: bytes, **params: str) -> tuple[int, Any]:
    """Status and answer for one DICOM file, asked as docs/how-to/promote.md does."""
    row = {"dicom": base64.b64encode(content).decode()}
    body = {"dataframe_records": [row], **({"params": params} if params else {})}
    request = urllib.request.Request(
        address, json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def a_radiograph(folder: Path) -> Path:
    """A file of the real slice where it is, else a drawn one."""
    if (real := find_slice()) is not None:
        return min((real / "dicom").rglob("*.dcm"))
    shades = np.add.outer(np.arange(60), np.arange(48)).astype(np.uint8)
    return write_dicom(folder / "drawn.dcm", shades, PatientName="Doe^Jane")


def test_a_dicom_file_over_http(address: str, weights: Path, tmp_path: Path) -> None:
    file = a_radiograph(tmp_path)
    ensemble, pixels = Ensemble.load([weights], rule=RULE), read_dicom(file).pixels
    status, answer = ask(address, file.read_bytes(), output="rle")
    assert status == 200
    (found,) = answer["predictions"]
    expected = ensemble.mask(pixels)
    assert 0 < expected.mean() < 1
    np.testing.assert_array_equal(decode([found["mask_rle"]], *expected.shape), expected)
    assert (found["mask_px"], found["case_positive"]) == (expected.sum(), bool(expected.any()))
    assert found["highest"] == pytest.approx(float(ensemble.probability(pixels).max()), abs=1e-6)
    assert found["caution"].startswith("these radiographs are drawn by a program")


def test_arrays_over_http(address: str, weights: Path, tmp_path: Path) -> None:
    pixels = np.add.outer(np.arange(60), np.arange(48)).astype(np.uint8)
    status, answer = ask(address, write_dicom(tmp_path / "a.dcm", pixels).read_bytes())
    assert status == 200
    (found,) = answer["predictions"]
    ensemble = Ensemble.load([weights], rule=RULE)
    np.testing.assert_allclose(found["probability"], ensemble.probability(pixels), atol=1e-6)
    np.testing.assert_array_equal(found["mask"], ensemble.mask(pixels))


@pytest.mark.parametrize(
    ("elements", "message"),
    [
        ({"Modality": "CT"}, "row 0: Modality: found CT, expected a projection radiograph"),
        ({"Modality": "MG"}, "row 0: Modality: found MG, expected a projection radiograph"),
        ({"ViewPosition": "LL"}, "row 0: ViewPosition: found LL, expected a frontal view"),
        ({"ViewPosition": "LATERAL"}, "row 0: ViewPosition: found LATERAL, expected a frontal"),
        ({"BitsAllocated": 32}, "row-0.dcm: BitsAllocated: found 32, expected 8 or 16"),
        (None, "row-0.dcm: preamble: found no 'DICM' at byte 128, expected a DICOM file"),
    ],
)
def test_what_cannot_be_segmented_is_answered_with_the_reason(
    address: str, tmp_path: Path, elements: dict[str, Any] | None, message: str
) -> None:
    content = b"a letter about Doe^Jane"
    if elements is not None:
        pixels = np.zeros((40, 48), dtype=np.uint8)
        path = write_dicom(tmp_path / "one.dcm", pixels, PatientName="Doe^Jane")
        dataset = pydicom.dcmread(path)
        for keyword, value in elements.items():
            setattr(dataset, keyword, value)
        dataset.save_as(path)
        content = path.read_bytes()
    status, answer = ask(address, content)
    assert status == 400
    assert message in answer["message"]
    assert "stack_trace" not in answer
    if elements is not None:
        assert "Doe" not in json.dumps(answer)
