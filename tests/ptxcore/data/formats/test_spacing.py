"""Which size of a pixel is taken, against PS3.3 10.7.1.3 written once more."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from ptxcore.data.formats.spacing import (
    CALIBRATED,
    DETECTOR,
    FILM,
    NONE,
    ORIGINS,
    STATED,
    describe_spacings,
    doubts_about_spacings,
    read_spacing,
)

sizes = st.sampled_from([None, [0.1, 0.1], [0.2, 0.2], [0.0, 0.0]])
KEYWORDS = ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing")


@given(sizes, sizes, sizes, st.sampled_from([None, "", "GEOMETRY", "FIDUCIAL"]))
def test_the_order_of_the_standard(
    pixel: list[float] | None,
    detector: list[float] | None,
    film: list[float] | None,
    calibration: str | None,
) -> None:
    dataset = Dataset()
    for keyword, value in zip(KEYWORDS, (pixel, detector, film), strict=True):
        if value is not None:
            setattr(dataset, keyword, value)
    if calibration is not None:
        dataset.PixelSpacingCalibrationType = calibration
    known = [one if one and all(one) else None for one in (pixel, detector, film)]
    found = read_spacing(dataset)
    first = next((one for one in known if one), None)
    assert found.mm == (None if first is None else tuple(first))
    assert found.origin in ORIGINS
    if known[0] is None:
        assert found.origin == (DETECTOR if known[1] else FILM if known[2] else NONE)
    elif calibration:
        assert found.origin == CALIBRATED
    else:
        same = {None: STATED, True: DETECTOR, False: CALIBRATED}
        assert found.origin == same[None if known[1] is None else known[0] == known[1]]


@pytest.mark.parametrize(
    ("ratio", "is_square"), [(None, True), ([1, 1], True), ([3, 2], False), ("x", True)]
)
def test_the_aspect_ratio_counts_where_there_is_no_size(
    ratio: list[int] | str | None, is_square: bool
) -> None:
    dataset = Dataset()
    if ratio is not None:
        # IS would refuse what is no number.
        dataset.add_new("PixelAspectRatio", "SH" if isinstance(ratio, str) else "IS", ratio)
    assert read_spacing(dataset).is_square == is_square
    dataset.PixelSpacing = [0.1, 0.2]
    assert read_spacing(dataset).is_square


def test_what_is_said() -> None:
    assert list(doubts_about_spacings({NONE: 3})) == []
    assert list(doubts_about_spacings({NONE: 3, STATED: 1})) == [
        "3 of 4 images say no size of their pixels, so no millimetres"
    ]
    (mixed,) = doubts_about_spacings({CALIBRATED: 1, DETECTOR: 1})
    assert "cannot be compared" in mixed
    (uneven,) = doubts_about_spacings({NONE: 2}, num_not_square=1)
    assert uneven.startswith("1 image has pixels that are no squares")
    assert describe_spacings({DETECTOR: 2}) == (
        "pixel size: at the detector, so larger than in the body: 2"
    )
