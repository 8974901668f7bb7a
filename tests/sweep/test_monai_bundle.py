"""A champion as a MONAI bundle, run by MONAI's own commands."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from siim_slice import find_slice
from tiny_dicom import write_dicom

from ptxcore.errors import CheckpointError, SettingsError
from ptxcore.export.monai_bundle import NETWORKS, EnsembleNetwork, write_bundle
from ptxcore.inference import Ensemble
from ptxcore.models import build_network
from ptxcore.settings import FoldSettings
from ptxcore.types import Rule
from sweep.cli import main
from sweep.errors import UsageError
from sweep.export_model import export_model
from sweep.mlflow.open_model import open_model
from sweep.segment import predict_files
from sweep.storage.home import Home

pytest.importorskip("fire")
pytest.importorskip("ignite")

#: Windows of several sizes with an overlap, a mirrored pass, and all channels a network can have.
SETTINGS = FoldSettings(
    network="attention_unet",
    channels=4,
    levels=3,
    image_size=64,
    patch_size=32,
    tta=True,
    position_channels=True,
    context_factor=2,
)
#: Required by the specification of bundles (docs/source/mb_specification.rst of MONAI); the schema
#: itself lies on a network.
REQUIRED = (
    *("version", "monai_version", "pytorch_version", "numpy_version", "task", "description"),
    *("required_packages_version", "authors", "copyright", "network_data_format", "changelog"),
)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    folder = tmp_path_factory.mktemp("home")
    (folder / "mlflow.db").touch()  # models are given by their folder
    return Home.from_environment(folder, tracking_uri=f"sqlite:///{folder / 'mlflow.db'}")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registered model's folder, of which ptxsweep reads the networks alone."""
    from ptxcore.inference.ensemble_folder import save_ensemble

    members = tuple((build_network(SETTINGS, seed=seed).eval(), SETTINGS) for seed in range(2))
    for network, _ in members:
        network.output.weight.data *= 50  # untrained ones answer with nearly the same everywhere
    folder = tmp_path_factory.mktemp("model")
    ensemble = Ensemble(members=members, rule=Rule(top=0.012, bottom=0.01))
    save_ensemble(folder / "artifacts" / "ensemble", ensemble, facts={"phantom": True})
    return folder


def test_networks_with_case_heads_give_their_masks_and_it_is_said(tmp_path: Path) -> None:
    settings = dataclasses.replace(SETTINGS, case_head=True)
    members = tuple((build_network(settings, seed=seed).eval(), settings) for seed in range(2))
    assert write_bundle(Ensemble(members=members), tmp_path / "bundle", facts={}) <= 1e-5
    said = (tmp_path / "bundle" / "docs" / "README.md").read_text()
    assert "A bundle\ngives masks alone" in said


@pytest.fixture(scope="module")
def bundle(home: Home, model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundles") / "pneumothorax"
    done = export_model(home, str(model), folder, form="bundle")
    assert done.difference <= 1e-5
    return folder


def monai_bundle(*words: str | Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """One of MONAI's commands, in the bundle's folder."""
    return subprocess.run(
        [sys.executable, "-m", "monai.bundle", *map(str, words)],
        cwd=folder,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_monai_runs_it_and_gives_what_the_networks_give(
    home: Home, model: Path, bundle: Path, tmp_path: Path, rng: np.random.Generator
) -> None:
    (tmp_path / "in" / "deep").mkdir(parents=True)
    files = [
        write_dicom(tmp_path / "in" / "eight.dcm", rng.integers(0, 255, (90, 70), dtype=np.uint8)),
        write_dicom(
            tmp_path / "in" / "deep" / "sixteen.dcm",
            rng.integers(0, 4000, (48, 64)).astype(np.uint16),
            PhotometricInterpretation="MONOCHROME1",
        ),
    ]
    if (real := find_slice()) is not None:
        files.append(tmp_path / "in" / "real.dcm")
        shutil.copy(min((real / "dicom").rglob("*.dcm")), files[-1])
    out = tmp_path / "out"
    words = ("--dataset_dir", tmp_path / "in", "--output_dir", out)
    ran = monai_bundle("run", "--config_file", "configs/inference.json", *words, folder=bundle)
    assert ran.returncode == 0, ran.stderr
    num_pixels = 0
    for own in predict_files(home, str(model), files, tmp_path / "own"):
        assert own.probability
        assert own.mask
        (theirs, ours) = (
            np.asarray(Image.open(path)).astype(np.int64)
            for path in (out / own.probability.name, own.probability)
        )
        assert np.abs(theirs - ours).max() <= 0.001 * 65_535
        masks = [np.asarray(Image.open(path)) for path in (out / own.mask.name, own.mask)]
        np.testing.assert_array_equal(*masks)
        num_pixels += own.mask_px
    assert num_pixels  # masks of nothing would all be equal


def test_monai_refuses_a_lateral_view_with_the_reason(
    bundle: Path, tmp_path: Path, rng: np.random.Generator
) -> None:
    (tmp_path / "in").mkdir()
    pixels, out = rng.integers(0, 255, (90, 70), dtype=np.uint8), tmp_path / "out"
    write_dicom(tmp_path / "in" / "side.dcm", pixels, ViewPosition="LL", PatientName="Doe^Jane")
    words = ("--dataset_dir", tmp_path / "in", "--output_dir", out)
    ran = monai_bundle("run", "--config_file", "configs/inference.json", *words, folder=bundle)
    assert ran.returncode != 0
    assert "ViewPosition: found LL, expected a frontal view" in ran.stderr
    assert "Doe" not in ran.stderr + ran.stdout
    assert not list(out.rglob("*.png"))


def test_monai_verifies_it(bundle: Path, tmp_path: Path) -> None:
    schema = tmp_path / "schema.json"
    schema.write_text(json.dumps({"type": "object", "required": REQUIRED}), encoding="utf-8")
    words: tuple[Any, ...] = ("--meta_file", "configs/metadata.json")
    ran = monai_bundle("verify_metadata", *words, "--filepath", schema, folder=bundle)
    assert "metadata is verified with no error" in ran.stderr + ran.stdout
    words = (*words, "--config_file", "configs/inference.json", "--device", "cpu", "--any", "48")
    ran = monai_bundle("verify_net_in_out", "network_def", *words, folder=bundle)
    assert "data shape of network is verified with no error" in ran.stderr + ran.stdout


def test_nothing_in_it_is_pickled_and_what_was_exchanged_is_refused(
    bundle: Path, tmp_path: Path
) -> None:
    kinds = {path.suffix for path in bundle.rglob("*") if path.is_file()}
    assert kinds == {".json", ".md", ".safetensors", ".whl"}
    copy = tmp_path / "copy"
    shutil.copytree(bundle / NETWORKS, copy)
    for name in ("model.json", "model.safetensors"):
        shutil.copy(copy / "fold-1" / name, copy / "fold-0" / name)
    with pytest.raises(CheckpointError, match="damaged or was exchanged"):
        EnsembleNetwork(copy)


def test_what_cannot_be_a_bundle_is_refused(
    home: Home, model: Path, bundle: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words = ["export-model", str(model), "--format", "bundle", "--out", str(bundle)]
    assert main([*words, "--home", str(home.folder)]) == 2
    assert "there already, expected a new folder for the bundle" in capfd.readouterr().err
    with pytest.raises(UsageError, match="there already"):
        export_model(home, str(model), tmp_path, form="bundle")
    ensemble, _ = open_model(home, str(model))
    assert isinstance(ensemble, Ensemble)
    other = FoldSettings(network="unet", channels=4, levels=3, image_size=64, patch_size=32)
    mixed = Ensemble(members=(*ensemble.members, (build_network(other, seed=0).eval(), other)))
    with pytest.raises(SettingsError, match="found networks of several settings, expected one"):
        write_bundle(mixed, tmp_path / "bundle", facts={})
    assert not list(tmp_path.iterdir())
