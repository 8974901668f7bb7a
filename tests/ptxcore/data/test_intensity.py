from __future__ import annotations

import numpy as np
import pytest

from ptxcore.data.intensity import moments, normalise


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_zero_mean_and_unit_variance(depth: type, rng: np.random.Generator) -> None:
    image = rng.integers(0, np.iinfo(depth).max, (200, 300)).astype(depth)
    values = normalise(image)
    assert values.dtype == np.float32
    assert values.mean() == pytest.approx(0, abs=1e-4)
    assert values.std() == pytest.approx(1, abs=1e-4)


def test_exposure_says_nothing(rng: np.random.Generator) -> None:
    image = rng.integers(0, 100, (64, 64)).astype(np.uint8)
    assert np.allclose(normalise(image), normalise(image.astype(np.uint16) * 300 + 7), atol=1e-4)


def test_a_constant_image_is_zero() -> None:
    assert not normalise(np.full((8, 8), 200, dtype=np.uint8)).any()


def test_a_crop_by_the_moments_of_its_image(rng: np.random.Generator) -> None:
    image = rng.integers(0, 255, (64, 64)).astype(np.uint8)
    assert np.array_equal(normalise(image[5:20], moments(image)), normalise(image)[5:20])
