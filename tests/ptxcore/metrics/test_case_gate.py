"""Expected gains of rules that ask a case head, against the same by hand, rule by rule."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from ptxcore.metrics import fit_calibration
from ptxcore.metrics._case_gate import gate_of, tells_apart
from ptxcore.metrics._counts import quantise

CENTRES = -8 + (np.arange(256) + 0.5) / 16


def by_hand(
    heads: np.ndarray, positive: np.ndarray, weights: np.ndarray, own: np.ndarray
) -> tuple[float, int]:
    """Best expected gain of one rule whose cases gain `own`, and the bin from which cases pass."""
    slope, intercept = fit_calibration(heads, positive)
    odds = np.exp(slope * CENTRES + intercept) * weights[positive][0] / weights[~positive][0]
    ill = odds / (1 + odds)
    lines = [
        np.polyval(np.polyfit(heads[kind], own[kind], 1), CENTRES) for kind in (positive, ~positive)
    ]
    expected = ill * np.clip(lines[0], 0, 1) + (1 - ill) * np.clip(lines[1], -1, 0)
    bins = quantise(heads.astype(np.float32))
    gains = [(weights * (bins >= edge) * expected[bins]).mean() for edge in range(256)]
    # Where no case lies, the edge is where the expected gain turns positive.
    best = max(gains)
    allowed = [edge for edge in range(256) if gains[edge] >= best - 1e-12]
    return best, min(allowed, key=lambda edge: -expected[edge : allowed[-1]].sum())


@pytest.mark.parametrize("prevalence", [None, 0.2])
def test_gains_and_thresholds_are_those_by_hand(
    rng: np.random.Generator, prevalence: float | None
) -> None:
    positive = np.arange(40) % 3 == 0
    heads = rng.normal(1.5 * positive, 1.0)
    weights = np.ones(40)
    if prevalence is not None:
        share = positive.mean()
        weights = np.where(positive, prevalence / share, (1 - prevalence) / (1 - share))
    passes = rng.random((40, 2, 3)) < 0.7
    gain = np.where(positive[:, None], rng.uniform(0, 0.9, (40, 4)), -1.0)
    found = gate_of(heads, positive, weights, passes, gain)
    assert found.gain.shape == found.threshold.shape == (2, 3, 4)
    bins = quantise(heads.astype(np.float32))
    for top, area, bottom in itertools.product(range(2), range(3), range(4)):
        own = passes[:, top, area] * gain[:, bottom]
        best, edge = by_hand(heads, positive, weights, own)
        assert found.gain[top, area, bottom] == pytest.approx(best, abs=1e-3)
        threshold = found.threshold[top, area, bottom]
        if np.isnan(threshold):
            assert edge <= bins.min()
        else:
            assert np.log(threshold / (1 - threshold)) == pytest.approx(-8 + edge / 16, abs=0.07)


def test_cases_of_one_logit_are_all_let_pass_or_none(rng: np.random.Generator) -> None:
    """A head that says the same of all has no slope to speak of."""
    positive = np.arange(20) < 10
    passes = np.ones((20, 1, 1), dtype=bool)
    gain = np.where(positive, 0.5, -1.0)[:, None]
    none = gate_of(np.zeros(20), positive, np.ones(20), passes, gain)
    assert none.gain.item() == pytest.approx(0, abs=1e-3)
    assert none.threshold.item() > 0.5
    every = gate_of(np.zeros(20), positive, np.ones(20), passes, np.maximum(gain, -0.1))
    assert every.gain.item() == pytest.approx(0.2, abs=0.02)
    assert np.isnan(every.threshold.item())


def test_a_head_that_parts_the_cases_cleanly() -> None:
    """Its slope is as steep as can be, and nothing overflows."""
    positive = np.arange(2000) < 1000
    heads = np.where(positive, 0.01, -0.01) + np.linspace(-1e-3, 1e-3, 2000)
    gain = np.where(positive, 0.5, -1.0)[:, None]
    found = gate_of(heads, positive, np.ones(2000), np.ones((2000, 1, 1), dtype=bool), gain)
    assert found.gain.item() == pytest.approx(0.25, abs=0.01)
    assert found.threshold.item() == pytest.approx(0.5, abs=0.02)


def test_what_chance_does_once_in_twenty_is_no_telling(rng: np.random.Generator) -> None:
    order = np.arange(20.0)
    assert tells_apart(order, order >= 10)
    assert not tells_apart(order, order < 10)
    assert not tells_apart(order, order >= 0)
    # Two of five in the right order: one in ten by chance.
    assert not tells_apart(order[:5], order[:5] >= 3)
    found = [tells_apart(rng.normal(size=60), np.arange(60) % 3 == 0) for _ in range(2000)]
    assert np.mean(found) == pytest.approx(0.045, abs=0.012)
