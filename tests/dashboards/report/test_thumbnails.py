from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from dashboards.report.thumbnails import GAP_PX, PREDICTION_RGB, TRUTH_RGB, data_uri, thumbnail

SIZE = 64


def masks(height: int = 256, width: int = 256) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    truth, prediction = np.zeros((2, height, width), bool)
    truth[40:80, 40:80] = True
    prediction[48:88, 40:80] = True
    return truth, prediction


def has(picture: NDArray[np.uint8], rgb: tuple[int, int, int]) -> bool:
    return bool((picture == np.array(rgb, np.uint8)).all(axis=2).any())


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("shape", [(256, 256), (200, 256), (256, 180), (40, 40)])
def test_two_squares_beside_each_other(dtype: type, shape: tuple[int, int]) -> None:
    image = (np.arange(shape[0] * shape[1]).reshape(shape) % 251).astype(dtype)
    truth = np.zeros(shape, bool)
    truth[10:20, 10:20] = True
    picture = thumbnail(image, truth, truth, size=SIZE)
    assert picture.shape == (SIZE, 2 * SIZE + GAP_PX, 3)
    assert picture.dtype == np.uint8


def test_both_outlines_are_drawn_and_neither_covers_its_region() -> None:
    truth, prediction = masks()
    image = np.full(truth.shape, 100, np.uint8)
    picture = thumbnail(image, truth, prediction, size=256)
    whole = picture[:, :256]
    assert has(whole, TRUTH_RGB)
    assert has(whole, PREDICTION_RGB)
    inside = whole[50:78, 42:78]  # inside both
    assert not has(inside, TRUTH_RGB)
    assert not has(inside, PREDICTION_RGB)


def test_the_prediction_is_dashed_so_that_colour_is_not_needed() -> None:
    _, prediction = masks()
    picture = thumbnail(
        np.zeros(prediction.shape, np.uint8), np.zeros_like(prediction), prediction, size=256
    )
    on_top = (picture[47, 40:80] == np.array(PREDICTION_RGB, np.uint8)).all(axis=1)
    assert on_top.any()
    assert not on_top.all()


def test_a_region_smaller_than_a_pixel_is_still_seen() -> None:
    truth = np.zeros((1024, 1024), bool)
    truth[500, 500] = True
    image = np.zeros(truth.shape, np.uint8)
    picture = thumbnail(image, truth, np.zeros_like(truth), size=SIZE)
    assert has(picture[:, :SIZE], TRUTH_RGB)
    assert has(picture[:, SIZE + GAP_PX :], TRUTH_RGB)


def test_nothing_to_outline() -> None:
    empty = np.zeros((64, 64), bool)
    image = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64)
    picture = thumbnail(image, empty, empty, size=SIZE)
    np.testing.assert_array_equal(picture[:, :SIZE], picture[:, SIZE + GAP_PX :])


def test_a_picture_becomes_an_address_that_reads_back() -> None:
    picture = np.zeros((8, 16, 3), np.uint8)
    head, data = data_uri(picture).split(",")
    assert head == "data:image/jpeg;base64"
    assert Image.open(io.BytesIO(base64.b64decode(data))).size == (16, 8)
