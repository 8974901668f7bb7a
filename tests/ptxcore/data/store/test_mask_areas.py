"""Areas that no pneumothorax has are said."""

from __future__ import annotations

import math

import pytest

from ptxcore.data.store.case_store import Case
from ptxcore.data.store.mask_areas import doubts_about_areas


def cases(*percent: float) -> list[Case]:
    return [
        Case(
            case_id=f"{number:016x}",
            group="",
            view="",
            height=1000,
            width=1000,
            spacing_height_mm=math.nan,
            spacing_width_mm=math.nan,
            mask_px=round(share * 10_000),
            digest="",
        )
        for number, share in enumerate(percent)
    ]


@pytest.mark.parametrize(
    "percent", [(), (0, 0), (0, 0.8), (0.1, 0.8, 15.4), (4.4, 4.3), (9,), (0.01,)]
)
def test_areas_as_they_are(percent: tuple[float, ...]) -> None:
    assert list(doubts_about_areas(cases(*percent))) == []


@pytest.mark.parametrize(
    ("percent", "expected"),
    [
        ((95, 99, 100, 0), "3 of 3 masks cover more than half of their image, as inverted masks"),
        ((0.8, 0.9, 97), "1 of 3 masks cover more than half of their image, as inverted masks do"),
        ((0.8, 0.9, 30), "1 of 3 masks cover 20% to 50% of their image, more than a pneumothorax"),
        ((2, 6, 7) * 7, "half of 21 masks cover more than 6.0% of their image; have they grown?"),
        ((0.01, 0.05, 3) * 7, "half of 21 masks cover less than 0.05% of their image; are they of"),
    ],
)
def test_areas_that_no_pneumothorax_has(percent: tuple[float, ...], expected: str) -> None:
    (said,) = doubts_about_areas(cases(*percent))
    assert said.startswith(expected)
    assert "in SIIM-ACR the median is 0.8%, the 95th percentile 4.4%" in said
