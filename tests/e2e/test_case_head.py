"""A classifier beside the mask, from the fold to the prediction: a drawn sweep with `case_head`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tiny_dicom import write_dicom
from tiny_sweep import NAME, make_sweep

from ptxcore.data.splits.fold_plan import FoldPlan
from ptxcore.data.store.case_store import CaseStore
from ptxcore.metrics import concatenate, load_table, roc_area
from sweep.analysis.detection import detect, sentence
from sweep.cli import main
from sweep.evaluate import evaluate_model
from sweep.ledger import Ledger
from sweep.mlflow.open_model import open_model
from sweep.promotion.card import make_card
from sweep.promotion.confirmation import last_confirmation
from sweep.promotion.gate import Gate
from sweep.promotion.holdout import table_path
from sweep.promotion.promote import promote
from sweep.segment import predict_files
from sweep.storage.sweep import Sweep

URI = "models:/ptxsweep-phantom-average_precision@champion"


def test_from_fold_to_prediction(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    home = make_sweep(tmp_path, case_head=True, case_loss_weight=0.5)
    ledger = Ledger.open(home.ledger_url, NAME)
    best = ledger.projection.best()
    found = detect(ledger.projection, home.sweep_folder(NAME), {})
    store = CaseStore.open(Path(str(ledger.header.store)))
    ledger.close()
    assert best is not None
    assert found is not None
    # What the ledger's tables hold is what the figures are made of.
    folder = home.sweep_folder(NAME)
    tables = [load_table(folder / str(best.folds[fold].cases)) for fold in sorted(best.folds)]
    together = concatenate(tables)
    assert together.case_logits is not None
    assert roc_area(together.case_logits, together.truth.sum(1) > 0) > 0.8
    assert found.rule.score == "case_head"
    assert "by the networks' case head" in sentence(found)

    promote(home, NAME, gate=Gate(max_loss=1.0))
    kept = load_table(table_path(folder, 1, best.number))
    assert kept.case_logits is not None
    model, facts = open_model(home, URI)
    by_hand = [model.predict(store.image(store.index(name))).case for name in kept.case_ids]
    np.testing.assert_allclose(kept.case_logits, by_hand, atol=1e-5)
    assert facts["case_detection"]["rule"]["score"] == "case_head"

    # The model, and the graph of it, say of a file what the rule makes of the head's logit.
    plan = FoldPlan.load(folder / "plan.json")
    index = max(map(store.index, plan.holdout), key=lambda one: store.cases[one].mask_px)
    file = write_dicom(tmp_path / "unseen.dcm", np.asarray(store.image(index)))
    where = ["--home", str(home.folder)]
    words = ["predict", str(file), "--model", URI, "--out", str(tmp_path / "masks"), *where]
    assert main([*words, "--json"]) == 0
    case = json.loads(capfd.readouterr().out)["predictions"][0]["case"]
    logit = model.predict(store.image(index)).case
    assert logit is not None
    assert case["score"] == "case_head"
    assert case["probability"] == pytest.approx(found.rule.probability(logit), abs=1e-4)
    graph = tmp_path / "model.onnx"
    assert main(["export-model", URI, "--out", str(graph), *where]) == 0
    (other,) = predict_files(home, str(graph), [file], tmp_path / "graph")
    assert other.case is not None
    assert other.case.score == "case_head"
    assert other.case.probability == pytest.approx(case["probability"], abs=1e-3)
    fresh = evaluate_model(home, URI, store, allow_seen=True)
    assert np.isfinite(fresh.metrics["dice"])


def test_a_pretrained_encoder_and_rules_for_the_mean_of_networks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = {"encoder": "efficientnet_lite0", "dice_on_empty": False, "case_head": True}
    home = make_sweep(tmp_path, **values)
    ledger = Ledger.open(home.ledger_url, NAME)
    of_single = detect(ledger.projection, home.sweep_folder(NAME), {})
    ledger.close()
    assert of_single is not None
    # Its cases are few: as if they said enough.
    monkeypatch.setattr("sweep.promotion.case_agreement.LEAST_PAIRS", 1)
    monkeypatch.setattr("sweep.promotion.case_agreement.tells_apart", lambda _logits, _ill: True)
    promote(home, NAME, force=True, reason="a test")
    with Sweep.open(home, NAME) as sweep:
        kept = last_confirmation(sweep)
        assert kept is not None
        assert kept.agreement is not None
        assert set(kept.agreement["correlations"]) == {"ill case", "healthy case"}
        assert kept.agreed is not None
        assert kept.agreed in make_card(sweep).markdown

    # A registered model holds its weights: where it predicts the package need not be.
    monkeypatch.setattr("ptxcore.pretrained.find_spec", lambda _name: None)
    model, facts = open_model(home, URI)
    assert all(settings.encoder == "efficientnet_lite0" for _, settings in model.members)
    rule = facts["case_detection"]["rule"]
    assert rule["score"] == "case_head"
    assert tuple(rule["thresholds"]) != of_single.rule.thresholds
    assert facts["case_detection"]["area"] == pytest.approx(of_single.area)  # of single networks
    store = CaseStore.open(tmp_path / "store")
    mask, case = model.predict(store.image(0))
    assert np.isfinite(mask).all()
    assert case is not None
