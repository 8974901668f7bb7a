"""A model of drawings, or one that has seen no healthy image, says so before it is used."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ptxcore.models import build_network, save_weights
from ptxcore.settings import FoldSettings
from ptxcore.types import Rule, Runtime
from sweep.analysis.selection_bias import PHANTOM, POSITIVES_ALONE, UNKNOWN_ORIGIN, of_model, spoken
from sweep.cli import main
from sweep.mlflow.model_package import ENSEMBLE_FOLDER, EnsembleModel, write_ensemble
from sweep.mlflow.model_package._example import input_example
from sweep.util.provenance import pixel_versions

SETTINGS = FoldSettings(network="unet", channels=4, levels=2, image_size=32, patch_size=32)


def make_model(folder: Path, facts: dict[str, Any]) -> Path:
    """A model's folder as far as `predict` reads it."""
    save_weights(folder / "weights", build_network(SETTINGS, seed=0), SETTINGS)
    (folder / "model" / "artifacts").mkdir(parents=True)
    write_ensemble(
        folder / "model" / ENSEMBLE_FOLDER,
        [folder / "weights"],
        rule=Rule(),
        runtime=Runtime(),
        facts=facts,
    )
    return folder / "model"


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"phantom": True, "positives_alone": False}, [PHANTOM]),
        ({"phantom": False, "positives_alone": True}, [POSITIVES_ALONE]),
        ({"phantom": True, "positives_alone": True}, [PHANTOM, POSITIVES_ALONE]),
        ({"phantom": False, "positives_alone": False}, []),
        ({"phantom": True}, [PHANTOM]),
        ({"phantom": False, "holdout_dice_all_empty": 0.0}, [POSITIVES_ALONE]),  # an older package
        ({"phantom": False, "holdout_dice_all_empty": 0.78}, []),
        ({"sweep": "theirs"}, [UNKNOWN_ORIGIN]),
        ({}, [UNKNOWN_ORIGIN]),
    ],
)
def test_what_a_package_tells(facts: dict[str, Any], expected: list[object]) -> None:
    assert of_model(facts) == expected


def test_predict_says_it_in_text_and_in_json(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    cohort = {"cases": "positive", "num_cases": 146, "num_positive": 146}
    facts = {"phantom": False, "positives_alone": True, "cohort": cohort}
    model, file = make_model(tmp_path, facts), tmp_path / "one.dcm"
    file.write_bytes(input_example()["dicom"][0])
    words = ["predict", str(file), "--model", str(model), "--out", str(tmp_path / "out")]
    words += ["--home", str(tmp_path / "home")]
    assert main(words) == 0
    assert f"caution: {POSITIVES_ALONE.text}" in capfd.readouterr().err
    assert main([*words, "--json"]) == 0
    found = json.loads(capfd.readouterr().out)
    assert (found["phantom"], found["positives_alone"]) == (False, True)
    assert found["caution"] == POSITIVES_ALONE.text
    assert found["cohort"] == cohort


def test_predict_says_under_which_other_versions_a_model_was_trained(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    ours = pixel_versions()
    known = {"phantom": False, "positives_alone": False, "versions": {**ours, "opencv": "4.12.0"}}
    file, home = tmp_path / "one.dcm", ["--home", str(tmp_path / "home")]
    file.write_bytes(input_example()["dicom"][0])
    said = {}
    for name, facts in (
        ("other", known),
        ("same", {**known, "versions": ours}),
        ("unknown", {**known, "versions": {}}),
        ("older", {"phantom": False}),
    ):
        model = make_model(tmp_path / name, facts)
        words = ["predict", str(file), "--model", str(model), "--out", str(tmp_path / "out")]
        assert main([*words, *home, "--json"]) == 0
        shown = capfd.readouterr()
        said[name] = json.loads(shown.out)["other_versions"], shown.err
    assert said["other"][0] == {"opencv": {"model": "4.12.0", "here": ours["opencv"]}}
    assert (
        f"trained under other versions than are here (opencv {ours['opencv']}, not 4.12.0)"
        in (said["other"][1])
    )
    assert said["same"][0] == {}
    assert "versions" not in said["same"][1]
    for name in ("unknown", "older"):
        assert said[name][0] is None
        assert "does not say under which versions it was trained" in said[name][1]


def test_predict_names_its_rule_and_a_champion_against_the_gate(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    facts = {"phantom": False, "positives_alone": False, "forced": True}
    facts |= {"force_reason": "of the test", "reasons": ["dice over positives: found 0.1"]}
    model, file = make_model(tmp_path, facts), tmp_path / "one.dcm"
    file.write_bytes(input_example()["dicom"][0])
    words = ["predict", str(file), "--model", str(model), "--out", str(tmp_path / "out")]
    assert main([*words, "--home", str(tmp_path / "home")]) == 0
    shown = capfd.readouterr().err
    assert "masks: the pixels at or above 0.5" in shown
    assert "against the gate, because: of the test; the gate said: dice over positives: f" in shown
    assert main([*words, "--home", str(tmp_path / "home"), "--json"]) == 0
    found = json.loads(capfd.readouterr().out)
    assert found["rule"] == {"top": 0.5, "min_area": 0.0, "bottom": 0.5}
    assert "against the gate" in found["caution"]


def test_a_model_without_facts_predicts_and_its_origin_is_called_unknown(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    model, file = make_model(tmp_path, {}), tmp_path / "one.dcm"
    file.write_bytes(input_example()["dicom"][0])
    words = ["predict", str(file), "--model", str(model), "--out", str(tmp_path / "out")]
    assert main([*words, "--home", str(tmp_path / "home"), "--json"]) == 0
    found = json.loads(capfd.readouterr().out)
    assert (found["phantom"], found["positives_alone"]) == (None, None)
    assert found["caution"] == UNKNOWN_ORIGIN.text


def test_mlflows_own_way_in_says_it_too(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    model = make_model(tmp_path, {"phantom": True, "positives_alone": False})
    context = SimpleNamespace(artifacts={"ensemble": str(model / ENSEMBLE_FOLDER)})
    with caplog.at_level(logging.WARNING):
        EnsembleModel().load_context(context)
    assert caplog.messages == [f"caution: {spoken([PHANTOM])}"]
