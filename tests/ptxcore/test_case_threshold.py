"""A rule that asks the case head before it looks at pixels, wherever a mask is made."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from case_tables import rules
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ptxcore.errors import CheckpointError, SettingsError
from ptxcore.export.monai_bundle import write_bundle
from ptxcore.inference import Ensemble, segment
from ptxcore.inference.ensemble_folder import load_ensemble, save_ensemble
from ptxcore.metrics import apply_rule, build_table, check_rule, count_case, logits_to_mask
from ptxcore.models import build_network
from ptxcore.settings import FoldSettings
from ptxcore.types import Rule

SETTINGS = FoldSettings(channels=4, levels=2, image_size=32, patch_size=32, case_head=True)
ALWAYS = Rule(top=0.001, bottom=0.001)


@given(
    hnp.arrays(np.float32, (4, 5), elements=st.floats(-9, 9, width=32)),
    hnp.arrays(np.bool_, (4, 5)),
    rules(),
    st.floats(0.001, 0.999),
    st.floats(-9, 9),
)
def test_the_mask_is_the_one_that_was_scored(
    logits: np.ndarray, truth: np.ndarray, rule: Rule, threshold: float, case_logit: float
) -> None:
    asking = dataclasses.replace(rule, case_threshold=threshold)
    mask = logits_to_mask(logits, asking, case_logit)
    table = build_table(["a"], [count_case(logits, truth)], case_logits=[case_logit])
    counts = apply_rule(table, asking)
    assert counts.true_positive[0] == (mask & truth).sum()
    assert counts.false_positive[0] == (mask & ~truth).sum()
    if mask.any():
        np.testing.assert_array_equal(mask, logits_to_mask(logits, rule))


def test_by_hand() -> None:
    logits, rule = np.full((3, 3), 2.0, dtype=np.float32), Rule(case_threshold=0.5)
    assert logits_to_mask(logits, rule, 0.0).all()
    assert not logits_to_mask(logits, rule, -0.1).any()
    assert logits_to_mask(logits, Rule(), None).all()


def test_a_rule_of_three_numbers_means_what_it_meant() -> None:
    old = {"top": 0.9, "min_area": 0.001, "bottom": 0.3}
    assert Rule(**old) == Rule(top=0.9, min_area=0.001, bottom=0.3, case_threshold=None)
    assert Rule(**old).to_stored() == old  # nor do files of such rules change
    new = Rule(case_threshold=0.25)
    assert Rule(**new.to_stored()) == new


def test_its_words() -> None:
    assert Rule(case_threshold=0.25).words == (
        "the pixels at or above 0.5 where the case head says at least 0.25, else empty"
    )
    assert Rule(top=0.9, min_area=0.01, bottom=0.3, case_threshold=0.25).words == (
        "the pixels at or above 0.3 where the case head says at least 0.25 and more than 0.01 of "
        "the image lies above 0.9, else empty"
    )


def test_what_it_cannot_ask_is_refused() -> None:
    rule = Rule(case_threshold=0.5)
    logits = np.zeros((3, 3), dtype=np.float32)
    with pytest.raises(SettingsError, match="found a rule that asks a case head, and no case log"):
        logits_to_mask(logits, rule)
    table = build_table(["a"], [count_case(logits, np.ones((3, 3), dtype=np.bool_))])
    with pytest.raises(SettingsError, match="expected networks with case_head: true"):
        apply_rule(table, rule)
    with pytest.raises(SettingsError, match=r"case_threshold: found 1, expected a value in \(0, 1"):
        check_rule(Rule(case_threshold=1))
    plain = dataclasses.replace(SETTINGS, case_head=False)
    members = tuple((build_network(one, seed=0), one) for one in (SETTINGS, plain))
    with pytest.raises(SettingsError, match="and 1 of 2 networks without one; expected case_head"):
        Ensemble(members=members, rule=rule)


@pytest.fixture(scope="module")
def ensemble() -> Ensemble:
    members = tuple((build_network(SETTINGS, seed=seed).eval(), SETTINGS) for seed in range(2))
    return Ensemble(members=members, rule=ALWAYS)


def around(ensemble: Ensemble, image: np.ndarray) -> tuple[float, float]:
    """Thresholds below and above what the case head says of an image."""
    case = ensemble.predict(image).case
    assert case is not None
    below, above = (1 / (1 + np.exp(-(case + step))) for step in (-0.2, 0.2))
    return float(below), float(above)


def test_an_ensemble_asks_it_in_memory_and_from_its_folder(
    ensemble: Ensemble, rng: np.random.Generator, tmp_path: Path
) -> None:
    image = rng.integers(0, 255, (40, 36)).astype(np.uint8)
    low, high = around(ensemble, image)
    whole = ensemble.mask(image)
    assert whole.any()
    for threshold, expected in ((low, whole), (high, np.zeros_like(whole))):
        rule = dataclasses.replace(ALWAYS, case_threshold=threshold)
        asking = dataclasses.replace(ensemble, rule=rule)
        np.testing.assert_array_equal(asking.mask(image), expected)
        np.testing.assert_array_equal(segment(asking, image).mask, expected)
        folder = tmp_path / f"{threshold}"
        save_ensemble(folder, asking, facts={})
        loaded = load_ensemble(folder)
        assert loaded.rule == rule
        np.testing.assert_array_equal(loaded.mask(image), expected)


def test_a_folder_whose_rule_asks_what_its_networks_have_not(tmp_path: Path) -> None:
    plain = dataclasses.replace(SETTINGS, case_head=False)
    one = Ensemble(members=((build_network(plain, seed=0), plain),), rule=ALWAYS)
    save_ensemble(tmp_path / "model", one, facts={})
    path = tmp_path / "model" / "ensemble.json"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace('"bottom": 0.001', '"bottom": 0.001, "case_threshold": 0.5'))
    with pytest.raises((SettingsError, CheckpointError), match="case_threshold: found a rule that"):
        load_ensemble(tmp_path / "model")


def test_a_graph_asks_it_too(ensemble: Ensemble, rng: np.random.Generator, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    from ptxcore.export.onnx_graph import OnnxEnsemble, export_onnx

    image = rng.integers(0, 255, (40, 36)).astype(np.uint8)
    _, high = around(ensemble, image)
    rule = dataclasses.replace(ALWAYS, case_threshold=high)
    export_onnx(dataclasses.replace(ensemble, rule=rule), tmp_path / "one.onnx", facts={})
    graph = OnnxEnsemble.load(tmp_path / "one.onnx", engine="onnxruntime")
    assert graph.rule == rule
    assert not graph.mask(image).any()
    assert not segment(graph, image).mask.any()


def test_a_bundle_cannot_ask_it(ensemble: Ensemble, tmp_path: Path) -> None:
    asking = dataclasses.replace(ensemble, rule=Rule(case_threshold=0.5))
    with pytest.raises(
        SettingsError, match="which a bundle does not carry; expected a rule of pix"
    ):
        write_bundle(asking, tmp_path / "bundle", facts={})
    assert not (tmp_path / "bundle").exists()
