from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from strategies import masks

from ptxcore.data.formats.coco import Annotated, draw_coco, read_coco
from ptxcore.errors import MaskError


def write(path: Path, segmentations: list[Any], **changes: Any) -> Path:
    content = {
        "images": [
            {"id": 1, "file_name": "train/1.2.3.dcm", "height": 20, "width": 30},
            {"id": 2, "file_name": "b.png", "height": 20, "width": 30},
        ],
        "annotations": [
            {"image_id": 1, "category_id": 7, "segmentation": one} for one in segmentations
        ],
        "categories": [{"id": 7, "name": "Pneumothorax, left"}, {"id": 8, "name": "tube"}],
    } | changes
    path.write_text(json.dumps(content))
    return path


def test_polygons_of_an_image_are_united(tmp_path: Path) -> None:
    square, triangle = [2, 3, 12, 3, 12, 9, 2, 9], [20, 10, 28, 10, 20, 18]
    found = read_coco(write(tmp_path / "c.json", [[square], [triangle]]))
    assert found.keys() == {"1.2.3", "b"}
    mask = draw_coco(found["1.2.3"])
    assert mask[3:9, 2:12].all()
    assert mask[:, :15].sum() == 60
    assert 24 <= mask[:, 15:].sum() <= 40
    assert not draw_coco(found["b"]).any()


@given(st.lists(st.tuples(st.floats(-3, 33), st.floats(-3, 23)), min_size=3, max_size=7))
def test_a_pixel_is_inside_when_its_centre_is(points: list[tuple[float, float]]) -> None:
    flat = [value for point in points for value in point]
    corner = [0.0, 0.0, 1.0, 0.0, 1.0, 1.0, 0.0, 1.0]  # an outline that marks nothing is refused
    found = draw_coco(Annotated(shape=(20, 30), shapes=([flat], [corner])))
    for row, column in [(0, 1), (7, 11), (19, 29), (10, 15)]:
        x, y = column + 0.5, row + 0.5
        crossed = 0
        for (x0, y0), (x1, y1) in zip(points, points[1:] + points[:1], strict=True):
            if (y0 <= y) != (y1 <= y):
                crossed += x0 + (y - y0) * (x1 - x0) / (y1 - y0) <= x
        assert found[row, column] == (crossed % 2 == 1)


def letters(counts: list[int]) -> str:
    """COCO's letters, as its C code writes them."""
    text = ""
    for place, count in enumerate(counts):
        value, more = count - (counts[place - 2] if place > 2 else 0), True
        while more:
            bits, value = value & 31, value >> 5
            more = value != (-1 if bits & 16 else 0)
            text += chr(bits + (32 if more else 0) + 48)
    return text


@given(masks(max_side=9))
def test_both_kinds_of_run_lengths(mask: NDArray[np.bool_]) -> None:
    flat = np.concatenate([[0], mask.T.ravel().astype(int)])
    edges = np.flatnonzero(np.diff(flat))
    counts = np.diff(np.concatenate([[0], edges, [mask.size]])).tolist()
    for form in (counts, letters(counts)):
        marks = {"size": list(mask.shape), "counts": form}
        found = draw_coco(Annotated(shape=mask.shape, shapes=(marks,)))  # type: ignore[arg-type]
        assert np.array_equal(found, mask)


@pytest.mark.parametrize(
    ("classes", "expected"), [((), 1), (("7",), 1), (("TUBE",), 0), (("all",), 1), (("8", "7"), 1)]
)
def test_categories_are_united_when_they_are_named(
    classes: tuple[str, ...], expected: int, tmp_path: Path
) -> None:
    path = write(tmp_path / "c.json", [[[0, 0, 4, 0, 4, 4, 0, 4]]])
    assert draw_coco(read_coco(path, classes)["1.2.3"]).any() == expected


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"categories": [{"id": 7, "name": "a"}, {"id": 8, "name": "b"}]},
            r"7 \(a\), 8 \(b\).*--mask-class",
        ),
        ({"categories": [{"id": 7, "name": "lung"}]}, "expected one called pneumothorax"),
        ({"images": []}, r"no annotations of COCO \(KeyError\)"),
        ({"annotations": 3}, "no annotations of COCO"),
    ],
)
def test_refused_files(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = write(tmp_path / "c.json", [[[0, 0, 4, 0, 4, 4]]], **changes)
    with pytest.raises(MaskError, match=message):
        read_coco(path)


def test_two_images_of_one_name_are_refused(tmp_path: Path) -> None:
    image = {"file_name": "a/x.png", "height": 2, "width": 2}
    twins = [image | {"id": 1}, image | {"id": 2, "file_name": "b/x.png"}]
    with pytest.raises(MaskError, match="found 1 images with the file name of another"):
        read_coco(write(tmp_path / "c.json", [], images=twins))


@pytest.mark.parametrize("marks", [[[1, 2]], {"size": [3, 3], "counts": [9]}, [["a"] * 6], 5, None])
def test_refused_marks(marks: Any) -> None:
    with pytest.raises(MaskError, match="neither polygons nor run lengths of the image's size"):
        draw_coco(Annotated(shape=(4, 4), shapes=(marks,)))


@pytest.mark.parametrize("marks", [[], [[0.1, 0.1, 0.3, 0.1, 0.3, 0.3]]])
def test_an_annotation_that_marks_nothing_makes_no_healthy_image(marks: Any) -> None:
    with pytest.raises(MaskError, match="annotations that mark no pixel, expected outlines in pix"):
        draw_coco(Annotated(shape=(4, 4), shapes=(marks,)))
    sound = [[0, 0, 2, 0, 2, 2, 0, 2]]
    assert draw_coco(Annotated(shape=(4, 4), shapes=(marks, sound))).sum() == 4
