"""The demo's whole way on a tiny phantom: every step runs, whatever such a network can learn."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_sweep import home_at

from ptxcore.data.splits.fold_plan import FoldPlan
from ptxcore.data.store.case_store import CaseStore
from sweep.analysis.resampling import known_resampling, sentences
from sweep.cli.live import watching
from sweep.demo import DemoResult, demo, holdout_file
from sweep.errors import UsageError
from sweep.ledger import Ledger
from sweep.mlflow.open_model import load_champion
from sweep.promotion.promote import promote
from sweep.storage.home import Home

#: Makes windows overlap, so that the choices differ.
CHOICES = """
inference: {overlap: [0.25, 0.75], tta: [false, true]}
"""


def run(folder: Path, space: Path, said: list[str]) -> DemoResult:
    return demo(
        home_at(folder),
        space=str(space),
        num_cases=60,
        precision="float32",
        say=said.append,
        watch=watching,
    )


def test_demo_twice_in_one_home(tmp_path: Path, space_file: Callable[..., Path]) -> None:
    said: list[str] = []
    space = space_file("greedy", epochs=2)
    text = space.read_text().replace("patch_size: 0", "patch_size: 32") + CHOICES
    space.write_text(text)
    first = run(tmp_path / "home", space, said)
    assert first.sweep == "demo"
    assert first.state == "finished"
    assert first.phantom
    assert first.num_folds_run + first.num_folds_stopped <= first.num_folds_full_grid == 9
    assert first.metrics is not None
    assert first.baseline == pytest.approx(first.metrics["dice_all_empty"]["mean"])
    assert first.mlflow_run_id is not None
    assert first.report is not None
    assert first.report.is_file()
    assert (first.model_uri is None) == bool(first.refusals)
    ledger = Ledger.open(home_at(tmp_path / "home").ledger_url, "demo")
    kept = known_resampling(ledger.projection)
    ledger.close()
    assert kept is not None
    assert sum(rank.first for rank in kept.ranks) == pytest.approx(1)
    page = first.report.read_text(encoding="utf-8")
    assert sentences(kept)[0].partition(";")[0] in page.replace("&#x27;", "'").replace("&#39;", "'")
    assert (first.prediction is None) == (first.model_uri is None)
    assert any("drawing 60" in line for line in said)

    said.clear()
    second = run(tmp_path / "home", space, said)
    assert second.sweep == "demo-2"
    assert not any("drawing" in line for line in said)
    assert second.metrics == first.metrics
    assert second.holdout == first.holdout  # whatever the gate said

    folder = tmp_path / "home"
    plan = FoldPlan.load(folder / "sweeps" / "demo" / "plan.json")
    store = CaseStore.open(folder / "store-60-0")
    file = holdout_file(folder / "phantom-60-0" / "dicom", store, plan)
    from ptxcore.data.formats.dicom import read_dicom

    assert store.case_id_of(read_dicom(file).uid) in plan.holdout
    with pytest.raises(UsageError, match="was the folder changed"):
        holdout_file(folder / "sweeps" / "demo", store, plan)

    _check_deployed_as_chosen(folder)


def _check_deployed_as_chosen(folder: Path) -> None:
    """What the search chose for inference is what the champion does, whatever the gate says."""
    home = home_at(folder)
    promotion = promote(home, "demo-2", force=True, reason="of the test")
    ledger = Ledger.open(home.ledger_url, "demo-2")
    winner = ledger.projection.trials[promotion.trial]
    assert {len(fold.choices) for fold in winner.folds.values()} == {4}
    assert winner.inference is not None
    champion = load_champion(home, promotion.model_uri)
    for _, settings in champion.members:
        assert {"overlap": settings.overlap, "tta": settings.tta} == winner.inference
    ledger.close()


def test_own_images_need_their_masks(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="both --dicom FOLDER and --rle FILE"):
        demo(Home.from_environment(tmp_path), dicom=tmp_path, say=print, watch=watching)
