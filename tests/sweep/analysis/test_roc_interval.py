"""The interval of a ROC area: DeLong's by hand, and its coverage where cases are alike."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import expit, logit
from scipy.stats import norm

from sweep.analysis.roc_interval import roc_interval


def test_one_case_a_patient_is_delongs() -> None:
    """Variances of the shares of the other kind that each case beats (Biometrics 44, 1988)."""
    ill, healthy = np.array([3.0, 1.0, 4.0, 2.0, 5.0]), np.array([2.0, 0.0, 1.0, 0.5, 3.5, -1.0])
    beats = (ill[:, None] > healthy) + 0.5 * (ill[:, None] == healthy)
    area = beats.mean()
    variance = beats.mean(1).var(ddof=1) / 5 + beats.mean(0).var(ddof=1) / 6
    half = 1.959964 * math.sqrt(variance) / (area * (1 - area))
    positive = np.array([True] * 5 + [False] * 6)
    found = roc_interval(np.concatenate((ill, healthy)), positive, [str(n) for n in range(11)])
    assert found == pytest.approx((area, expit(logit(area) - half), expit(logit(area) + half)))


@pytest.mark.parametrize("images", [1, 5])
def test_coverage_over_patients(images: int, rng: np.random.Generator) -> None:
    """Images of a patient share most of what makes them easy or hard; the truth is known."""
    truth = norm.cdf(1.2 / math.sqrt(2))
    covered = []
    for _ in range(600):
        ill = np.repeat(np.arange(90) < 30, images)
        shared = np.repeat(rng.normal(size=90), images)
        scores = 0.9 * shared + math.sqrt(1 - 0.81) * rng.normal(size=ill.size) + 1.2 * ill
        patients = np.repeat(np.arange(90), images).astype(str)
        _, low, high = roc_interval(scores, ill, patients.tolist())
        covered.append(low <= truth <= high)
    assert 0.92 <= np.mean(covered) <= 0.98


def test_patients_with_both_kinds_count_once(rng: np.random.Generator) -> None:
    """Twins of every case add nothing: the interval is that of the patients."""
    scores, ill = rng.normal(size=40), np.arange(40) % 2 == 0
    patients = (np.arange(40) // 4).astype(str).tolist()
    once = roc_interval(scores, ill, patients)
    assert roc_interval(np.tile(scores, 2), np.tile(ill, 2), patients * 2) == pytest.approx(once)


@pytest.mark.parametrize(
    ("scores", "ill"),
    [
        (np.arange(20.0), np.arange(20) >= 10),  # parted cleanly
        (np.arange(20.0), np.arange(20) >= 16),  # four positive patients
    ],
)
def test_no_interval(scores: np.ndarray, ill: np.ndarray) -> None:
    area, low, high = roc_interval(scores, ill, [str(number) for number in range(20)])
    assert area == 1
    assert math.isnan(low)
    assert math.isnan(high)
