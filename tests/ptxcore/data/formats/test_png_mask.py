"""A mask is what its file says, or is refused: nothing grows on the way."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from ptxcore.data.formats.png_mask import read_png_mask
from ptxcore.errors import DicomError, MaskError

TRUE = np.zeros((64, 64), dtype=np.bool_)
TRUE[10:20, 30:50] = True
WHITE = TRUE.astype(np.uint8) * 255


def saved(image: Image.Image | np.ndarray, folder: Path) -> Path:
    path = folder / "a.png"
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(path)
    return path


def as_jpeg(mask: np.ndarray) -> Image.Image:
    stream = io.BytesIO()
    Image.fromarray(mask).save(stream, "JPEG", quality=60)
    return Image.open(stream)


def shrunk(mask: np.ndarray) -> Image.Image:
    large = Image.fromarray(np.kron(mask, np.ones((4, 4), dtype=np.uint8)))
    return large.resize((64, 64), Image.Resampling.LANCZOS)


@pytest.mark.parametrize("mode", ["L", "1", "P", "RGB", "LA", "RGBA"])
def test_masks_of_any_mode(mode: str, tmp_path: Path) -> None:
    path = saved(Image.fromarray(WHITE).convert(mode), tmp_path)
    assert np.array_equal(read_png_mask(path), TRUE)


@pytest.mark.parametrize("threshold", [None, 0.5])
@pytest.mark.parametrize(
    ("value", "depth"),
    [(1, np.uint8), (128, np.uint8), (1, np.uint16), (256, np.uint16), (65_535, np.uint16)],
)
def test_any_value_beside_0_marks(
    value: int, depth: type, threshold: float | None, tmp_path: Path
) -> None:
    path = saved(TRUE.astype(depth) * depth(value), tmp_path)
    assert np.array_equal(read_png_mask(path, threshold), TRUE)


@pytest.mark.parametrize("value", [0, 255])
def test_masks_of_one_value(value: int, tmp_path: Path) -> None:
    path = saved(np.full((4, 4), value, dtype=np.uint8), tmp_path)
    assert (read_png_mask(path) == (value > 0)).all()


@pytest.mark.parametrize(
    ("soft", "tolerance_px"),
    [
        (Image.fromarray(WHITE).filter(ImageFilter.GaussianBlur(2)), 20),
        (as_jpeg(WHITE), 0),
        (shrunk(WHITE), 0),
        (Image.fromarray(WHITE.astype(np.uint16) * 128 + TRUE[::-1] * np.uint16(5)), 0),
    ],
    ids=["blurred", "jpeg", "resampled", "16 bits"],
)
def test_soft_masks_are_refused_or_thresholded(
    soft: Image.Image, tolerance_px: int, tmp_path: Path
) -> None:
    path = saved(soft, tmp_path)
    with pytest.raises(MaskError, match=r"a\.png: values: found .*, expected 0 and one other"):
        read_png_mask(path)
    assert abs(int(read_png_mask(path, 0.49).sum()) - 200) <= tolerance_px


def test_several_classes_are_refused_with_and_without_threshold(tmp_path: Path) -> None:
    labels = TRUE.astype(np.uint8)
    labels[50:] = 2
    path = saved(labels, tmp_path)
    with pytest.raises(MaskError, match=r"values: found 0, 1 and 2, expected 0 and one other"):
        read_png_mask(path)
    with pytest.raises(MaskError, match=r"found 0, 1 and 2, none of which reaches 0\.5 of 255"):
        read_png_mask(path, 0.5)
    path = saved(labels + np.uint8(1), tmp_path)
    with pytest.raises(MaskError, match=r"values: found 1, 2 and 3, expected 0 and one other"):
        read_png_mask(path)
    path = saved(TRUE.astype(np.uint8) + np.uint8(1), tmp_path)
    with pytest.raises(MaskError, match=r"values: found 1 and 2, expected 0 and one other"):
        read_png_mask(path)


def test_places_of_a_palette_that_look_alike_are_refused(tmp_path: Path) -> None:
    image = Image.fromarray(TRUE.astype(np.uint8)).convert("P")
    image.putdata(TRUE.ravel().astype(int).tolist())
    image.putpalette([0] * 768)
    with pytest.raises(MaskError, match=r"a\.png: palette: found 2 places with 1 colours"):
        read_png_mask(saved(image, tmp_path))
    image.putpalette([0, 0, 0, 128, 0, 0] + [0] * 762)
    with pytest.raises(DicomError, match=r"a\.png: channels: found colours"):
        read_png_mask(saved(image, tmp_path))


@pytest.mark.parametrize("grey", [0, 255])
def test_a_mask_in_the_alpha_channel_is_refused(grey: int, tmp_path: Path) -> None:
    pixels = np.stack([np.full_like(WHITE, grey), WHITE], axis=-1)
    expected = r"a\.png: alpha: found transparency that differs from the grey values"
    with pytest.raises(MaskError, match=expected):
        read_png_mask(saved(Image.fromarray(pixels), tmp_path))
    colours = Image.fromarray(pixels).convert("RGBA")
    with pytest.raises(MaskError, match=expected):
        read_png_mask(saved(colours, tmp_path))


def test_an_alpha_channel_that_repeats_the_mask_or_says_nothing(tmp_path: Path) -> None:
    for alpha in (WHITE, np.full_like(WHITE, 128)):
        path = saved(Image.fromarray(np.stack([WHITE, alpha], axis=-1)), tmp_path)
        assert np.array_equal(read_png_mask(path), TRUE)
