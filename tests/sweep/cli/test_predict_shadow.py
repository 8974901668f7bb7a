"""`predict --shadow`: where two models disagree, the worst first."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_dicom import write_dicom

from ptxcore.export.pictures import OUTLINES_RGB
from ptxcore.inference import Ensemble
from ptxcore.inference.ensemble_folder import save_ensemble
from ptxcore.models import build_network
from ptxcore.settings import FoldSettings
from ptxcore.types import Rule
from sweep.cli import main
from sweep.errors import UsageError
from sweep.segment import predict_files
from sweep.shadow import shadow_uri
from sweep.storage.home import Home

SETTINGS = FoldSettings(network="unet", channels=4, levels=2, image_size=32, patch_size=32)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    folder = tmp_path_factory.mktemp("home")
    (folder / "mlflow.db").touch()  # models are given by their folder
    return Home.from_environment(folder, tracking_uri=f"sqlite:///{folder / 'mlflow.db'}")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Folders of a model, of another network, and of one that finds nothing."""
    folder = tmp_path_factory.mktemp("models")
    rules = (Rule(top=0.0095, bottom=0.0095),) * 2 + (Rule(top=0.9, bottom=0.9),)
    for number, (seed, rule) in enumerate(zip((0, 1, 0), rules, strict=True)):
        network = build_network(SETTINGS, seed=seed).eval()
        network.output.weight.data *= 50  # untrained ones answer with nearly the same everywhere
        ensemble = Ensemble(members=((network, SETTINGS),), rule=rule)
        facts = {"phantom": True}
        save_ensemble(folder / str(number) / "artifacts/ensemble", ensemble, facts=facts)
    return [str(folder / str(number)) for number in range(3)]


@pytest.fixture
def files(tmp_path: Path, rng: np.random.Generator) -> Path:
    folder = tmp_path / "Doe"
    folder.mkdir()
    for number in range(3):
        pixels = rng.integers(0, 255, (48, 64), dtype=np.uint8)
        write_dicom(folder / f"jane-doe-{number}.dcm", pixels, uid=f"1.2.3.{number}")
    return folder


def test_disagreement_is_counted_and_the_worst_comes_first(
    home: Home, models: list[str], files: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out, drawn = tmp_path / "out", tmp_path / "drawn"
    words = ["predict", str(files), "--model", models[0], "--shadow", models[1]]
    words += ["--out", str(out), "--home", str(home.folder), "--shadow-pictures", str(drawn)]
    assert main([*words, "--json"]) == 0
    told = json.loads(capfd.readouterr().out)
    alone = [predict_files(home, uri, [files], tmp_path / uri[-1]) for uri in models[:2]]
    expected = []
    for one, other in zip(*alone, strict=True):
        assert one.mask
        assert other.mask
        first, second = (np.asarray(Image.open(path)) > 0 for path in (one.mask, other.mask))
        common = int((first & second).sum())
        dice = 2 * common / (first.sum() + second.sum())
        expected.append((dice, int(first.sum()), int(second.sum()), common))
    assert len({dice for dice, *_ in expected}) == 3
    with (out / "shadow.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    found = [(float(row["dice"]), int(row["mask_px"]), int(row["shadow_px"])) for row in rows]
    assert found == [numbers[:3] for numbers in sorted(expected)]
    assert [row["file"] for row in told["shadow"]["compared"]] == [row["file"] for row in rows]
    assert {row["file"] for row in rows} == {f"file {number} of 3" for number in (1, 2, 3)}
    assert "doe" not in (out / "shadow.csv").read_text(encoding="utf-8").lower()
    assert told["shadow"]["model"] == models[1]
    picture = np.asarray(Image.open(drawn / "jane-doe-0.shadow.png"))
    assert picture.shape == (48, 64, 3)
    colours = [(picture == colour).all(axis=2).any() for colour in OUTLINES_RGB]
    assert any(colours[:2])
    assert colours[2]


def test_one_mask_alone(
    home: Home, models: list[str], files: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words = ["predict", str(files), "--model", models[0], "--shadow", models[2]]
    words += ["--out", str(tmp_path / "out"), "--home", str(home.folder)]
    assert main(words) == 0
    shown = capfd.readouterr().out
    table = tmp_path / "out" / "shadow.csv"
    assert (
        f"shadow {models[2]}: of 3 images one model alone found something in 3, neither in 0, both "
        f"in 0 -> {table}"
    ) in shown
    assert f"{tmp_path / 'out' / 'jane-doe-0.mask.png'}, jane-doe-0.probability.png" in shown
    predictions = predict_files(home, models[2], [files], tmp_path / "none", shadow=models[2] + "/")
    both = [one.shadow for one in predictions if one.shadow]
    assert [(one.dice, one.one_is_empty) for one in both] == [(1.0, False)] * 3


def test_aliases_are_of_the_models_own_name() -> None:
    assert shadow_uri("challenger", "models:/pneumo@champion") == "models:/pneumo@challenger"
    assert shadow_uri("previous", "models:/pneumo/3") == "models:/pneumo@previous"
    assert shadow_uri("models:/other/3", "models:/pneumo/3") == "models:/other/3"
    with pytest.raises(UsageError, match="the alias 'challenger' beside a-folder, which no reg"):
        shadow_uri("challenger", "a-folder")


def test_what_cannot_be_a_shadow_is_refused(
    home: Home, models: list[str], files: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    with pytest.raises(UsageError, match="itself, expected another model"):
        predict_files(home, models[0], [files], out, shadow=models[0])
    words = ["predict", str(files), "--model", models[0], "--out", str(out)]
    assert main([*words, "--shadow-pictures", str(out), "--home", str(home.folder)]) == 2
    assert "found no --shadow, expected a model to compare with" in capfd.readouterr().err
    assert not out.exists()
