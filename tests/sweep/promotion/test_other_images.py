"""Images of another size, shape, bit depth, view or modality than a champion was trained on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import numpy as np
import pytest
from tiny_dicom import write_dicom
from tiny_store import drawn_store
from tiny_sweep import NAME, copy_sweep

from ptxcore.errors import DicomError
from sweep.cli import main
from sweep.confirm import confirm
from sweep.errors import GateRefused, UsageError
from sweep.evaluate import evaluate_model
from sweep.ledger.evidence import Evidence
from sweep.mlflow.registry import aliases
from sweep.mlflow.view import connect
from sweep.promotion.promote import promote
from sweep.storage.home import Home

MODEL = "ptxsweep-phantom-average_precision"
CHAMPION = f"models:/{MODEL}@champion"
#: Of the tiny sweep: cases of 32 px, a grid of 32 px.
SEEN = {
    **{"shortest_px": 32, "longest_px": 32, "elongation": 1.0, "bits": 8},
    **{"has_lateral": False, "grid_px": 32},
}
#: What is wrong with a file by its name.
BAD: dict[str, tuple[tuple[int, int], dict[str, Any], str]] = {
    "coarse": ((12, 12), {}, "found 12 x 12 px, expected at least 16 on the longer side"),
    "strip": ((20, 90), {}, "found 90 x 20 px, expected a longer side of at most 2 times"),
    "shades": ((64, 64), {"BitsStored": 4}, "found 4 bits stored, expected at least 6"),
    "lateral": ((64, 64), {"ViewPosition": "LL"}, "ViewPosition: found LL, expected a frontal"),
}


@pytest.fixture
def home(tiny_home: Home) -> Home:
    promote(tiny_home, NAME)
    return tiny_home


def write(folder: Path, name: str, shape: tuple[int, int], **elements: Any) -> Path:
    folder.mkdir(exist_ok=True)
    pixels = np.random.default_rng(0).integers(0, 16, shape, dtype=np.uint8)
    return write_dicom(folder / f"{name}.dcm", pixels, uid=f"1.2.3.{len(name)}", **elements)


def test_predict_and_a_served_model_refuse_and_predict_goes_on_where_it_is_meant(
    home: Home, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    client = connect(home.tracking_uri)
    tags = client.get_model_version(MODEL, "1").tags
    source = client.get_model_version_download_uri(MODEL, "1")
    assert json.loads(tags["ptxsweep.images"]) == SEEN
    folder, out = tmp_path / "in", tmp_path / "out"
    good = write(folder, "good", (64, 64))
    files = {name: write(folder, name, shape, **more) for name, (shape, more, _) in BAD.items()}
    words = ["predict", "--model", CHAMPION, "--out", str(out), "--home", str(home.folder)]
    served = mlflow.pyfunc.load_model(source)
    for name, (_, _, problem) in BAD.items():
        assert main([*words, str(good), str(files[name])]) == 2
        error = capfd.readouterr().err
        assert f"{name}.dcm: {problem}" in error
        assert "as the model was trained on (--beyond-training" in error
        with pytest.raises(DicomError, match=r"row 0: .* as the model was trained on; pass its"):
            served.predict([{"dicom": files[name].read_bytes()}])
    assert len(served.predict([{"dicom": good.read_bytes()}])) == 1
    assert not out.exists()
    everything = [*words, str(folder), "--beyond-training", "--json"]
    assert main(everything) == 0
    found = json.loads(capfd.readouterr().out)
    assert len(found["predictions"]) == len(found["unlike"]) + 1 == len(BAD) + 1
    assert found["outside"].startswith("5 of 5 images are of other sizes or bits than the model")
    for word in ("CT", "MG"):
        bad = write(folder, word, (64, 64), Modality=word)
        assert main([*words, str(bad), "--beyond-training"]) == 2
        assert f"Modality: found {word}, expected a projection" in capfd.readouterr().err


def test_evaluate(home: Home, tmp_path: Path) -> None:
    store = drawn_store(tmp_path / "other", num_cases=8, num_positive=4, side_px=12, first=900)
    with pytest.raises(UsageError, match=r"8 of the 8 cases are too far .* 12 x 12 px, expected"):
        evaluate_model(home, CHAMPION, store)
    found = evaluate_model(home, CHAMPION, store, beyond_training=True)
    assert (found.num_cases, found.num_unlike) == (8, 8)
    larger = drawn_store(tmp_path / "larger", num_cases=8, num_positive=4, side_px=80, first=950)
    assert evaluate_model(home, CHAMPION, larger).num_unlike == 0


def test_confirm_scores_a_winner_without_a_champion_of_others(home: Home) -> None:
    """Which `promote` then refuses under its name, and takes under another."""
    client = connect(home.tracking_uri)
    larger = {**SEEN, "shortest_px": 1024, "longest_px": 1024, "grid_px": 512}
    client.set_model_version_tag(MODEL, "1", "ptxsweep.images", json.dumps(larger))
    copy_sweep(home, "coarse", [0, 1], space_text="name: coarse\n")
    copy_sweep(home, "coarse.confirm", [0, 1], confirms="coarse")
    found = confirm(home, "coarse").holdout
    assert found is not None
    assert found.champion is None
    with pytest.raises(GateRefused, match="14 of the 14 locked cases are too far from those"):
        promote(home, "coarse")
    assert len(Evidence(home.ledger_url, "coarse.confirm").uses()) == 1
    assert aliases(client, MODEL) == {"champion": "1"}
    assert promote(home, "coarse", model_name="thumbnails").model_name == "thumbnails"
    assert len(Evidence(home.ledger_url, "coarse.confirm").uses()) == 1


def test_a_champion_that_cannot_see_these_images_is_no_rival(home: Home) -> None:
    """Nothing is opened, no alias moves; the other way round both are brought to their grids."""
    client = connect(home.tracking_uri)
    larger = {**SEEN, "shortest_px": 1024, "longest_px": 1024, "grid_px": 512}
    client.set_model_version_tag(MODEL, "1", "ptxsweep.images", json.dumps(larger))
    copy_sweep(home, "coarse", [0, 1])
    reason = (
        r"trained on images of 1,024 px .* 14 of the 14 locked cases are too far .* at least 256"
    )
    with pytest.raises(GateRefused, match=reason):
        promote(home, "coarse")
    assert Evidence(home.ledger_url, "coarse").uses() == []
    assert aliases(client, MODEL) == {"champion": "1"}
    smaller = {**SEEN, "shortest_px": 24, "longest_px": 24}
    client.set_model_version_tag(MODEL, "1", "ptxsweep.images", json.dumps(smaller))
    with pytest.raises(GateRefused, match="champion"):
        promote(home, "coarse")  # an equal one: judged, and refused for its lead
    assert len(Evidence(home.ledger_url, "coarse").uses()) == 1
