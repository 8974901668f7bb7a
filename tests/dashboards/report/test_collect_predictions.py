"""Pictures from a real store, real weights and real tables; only the training is left out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from synthetic_sweeps import projection_of, stamp
from tiny_store import drawn_store

from dashboards.report.predictions import Example, PredictionsInfo, collect_predictions, gallery
from dashboards.report.thumbnails import PREDICTION_RGB
from ptxcore.data.store.case_store import CaseStore
from ptxcore.metrics import build_table, count_case, save_table
from ptxcore.models import build_network, save_weights
from ptxcore.settings import FoldSettings
from ptxcore.types import Rule, Runtime
from sweep.analysis.operating_point import OperatingPoint
from sweep.ledger.projection import Trial
from sweep.records import FoldScore

SETTINGS = FoldSettings(channels=2, levels=2, image_size=32, patch_size=0, dropout=0.0)
#: The networks of the folds: one paints everything, the other nothing.
BIASES = (5.0, -5.0)


def trial(folder: Path, store_folder: Path) -> tuple[Trial, PredictionsInfo]:
    store = drawn_store(store_folder, num_cases=8, num_positive=4, side_px=64)
    held = [range(0, 8, 2), range(1, 8, 2)]
    projection = projection_of([[]], num_folds=2)
    one = projection.trials[0]
    one.settings.update(SETTINGS.as_dict())
    for fold, bias in enumerate(BIASES):
        network = build_network(SETTINGS, seed=0)
        with torch.no_grad():
            network.output.weight.zero_()
            network.output.bias.fill_(bias)
        save_weights(folder / f"fold-{fold}" / "best", network, SETTINGS)
        logits = np.full((64, 64), bias, np.float32)
        rows = [count_case(logits, store.mask(index)) for index in held[fold]]
        names = [store.cases[index].case_id for index in held[fold]]
        save_table(folder / f"fold-{fold}" / "cases.npz", build_table(names, rows))
        projection.start(0, fold, 1, stamp(fold))
        projection.finish(
            FoldScore(
                trial=0, fold=fold, attempt=1, value=0.5, score=0.5, seconds=1, num_epochs=1,
                best_epoch=1, cases=f"fold-{fold}/cases.npz", weights=f"fold-{fold}/best",
            ),
            stamp(fold + 1),
        )  # fmt: skip
    info = collect_predictions(one, store=store, folder=folder, runtime=Runtime(), num_each=2)
    return one, info


def orange(example: Example) -> NDArray[np.bool_]:
    painted: NDArray[np.bool_] = (example.picture == np.array(PREDICTION_RGB, np.uint8)).all(axis=2)
    return painted


def test_each_case_is_predicted_by_the_network_that_never_saw_it(tmp_path: Path) -> None:
    _, info = trial(tmp_path / "sweep", tmp_path / "store")
    assert (info.num_positive, info.num_found) == (4, 2)
    assert "2 overlap with their prediction (50.0%; too few patients for an interval)" in str(
        gallery(info)
    )
    assert (info.num_negative, info.num_false_alarms) == (4, 2)
    kinds = [example.choice.kind for example in info.examples]
    assert kinds == ["best", "best", "worst", "worst", "false alarm", "false alarm"]
    for example in info.examples:
        paints_all = BIASES[example.choice.fold] > 0
        assert example.choice.predicted_share == (1.0 if paints_all else 0.0)
        assert (example.choice.kind == "worst") == (not paints_all)
        # A mask that fills the image leaves no room for an outline, except in a close-up beyond it.
        assert not orange(example)[:, :300].any()
        assert example.picture.shape == (360, 726, 3)


def test_the_first_of_each_kind_shows_where_the_gates_look(tmp_path: Path) -> None:
    _, info = trial(tmp_path / "sweep", tmp_path / "store")
    shown = [example.attention is not None for example in info.examples]
    assert shown == [True, False] * 3
    assert str(gallery(info)).count("Where the attention gates look at case") == 2 * 3


def test_the_rule_of_a_fold_is_applied_to_its_masks(tmp_path: Path) -> None:
    one, _ = trial(tmp_path / "sweep", tmp_path / "store")
    strict = Rule(top=0.999, bottom=0.999)
    info = collect_predictions(
        one,
        store=CaseStore.open(tmp_path / "store"),
        folder=tmp_path / "sweep",
        runtime=Runtime(),
        operating_point=OperatingPoint(folds=({}, {}), rules=(strict, strict)),
    )
    assert info.num_found == info.num_false_alarms == 0  # sigmoid(5) = 0.993
