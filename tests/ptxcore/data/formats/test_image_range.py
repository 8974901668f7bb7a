"""Which images are too far from those that a model was trained on."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from ptxcore.data.formats.image_range import ImageRange, other_kind, unlike_training
from ptxcore.data.formats.radiograph import Header
from ptxcore.data.formats.subject import Subject

SEEN = dataclasses.replace(
    ImageRange.of([(1024, 1024), (3000, 2500)], ["PA", "AP"], bits=8), grid_px=512
)


def header(height: int, width: int, bits: int = 8, view: str = "PA") -> Header:
    return Header(
        uid="1.2",
        shape=(height, width),
        is_eight_bit=bits <= 8,
        subject=Subject(view=view),
        bits_stored=bits,
    )


def test_a_range_and_its_words() -> None:
    assert ImageRange.from_facts(SEEN.to_facts()) == SEEN
    assert SEEN.words == "1,024 to 3,000 px on the longer side, 8 bits"
    assert SEEN.elongation == pytest.approx(1.2)
    assert not SEEN.has_lateral
    assert ImageRange.of([(9, 9)], ["LL"], bits=16).has_lateral
    assert ImageRange.from_facts(None) is ImageRange.from_facts({"of": "a later version"}) is None


@pytest.mark.parametrize(
    ("image", "problem"),
    [
        (header(1024, 1024), None),
        (header(5000, 4200, bits=14), None),  # as much as the grid holds
        (header(256, 256), None),
        (header(255, 255), "found 255 x 255 px, expected at least 256 on the longer side"),
        (header(1200, 500), None),
        (header(1200, 499), "found 499 x 1200 px, expected a longer side of at most 2.4 times"),
        (header(1024, 1024, bits=6), None),
        (header(1024, 1024, bits=5), "found 5 bits stored, expected at least 6"),
        (header(1024, 1024, view="LL"), "ViewPosition: found LL, expected a frontal view"),
        (header(1024, 1024, view="LATERAL"), "ViewPosition: found LATERAL"),
    ],
)
def test_what_is_too_far(image: Header, problem: str | None) -> None:
    found = unlike_training({"images": SEEN.to_facts()}, image)
    assert (found is None) if problem is None else str(found).startswith(problem)


def test_without_a_grid_of_its_own_a_larger_image_is_another_scale() -> None:
    facts = {"images": {**SEEN.to_facts(), "grid_px": 0}}
    assert unlike_training(facts, header(6000, 6000)) is None
    assert "expected at most 6,000" in str(unlike_training(facts, header(6001, 6000)))
    assert "expected at least 512" in str(unlike_training(facts, header(500, 500)))


@pytest.mark.parametrize("facts", [{}, {"images": None}, {"images": {"odd": 1}}])
def test_a_model_that_does_not_tell(facts: dict[str, Any]) -> None:
    assert unlike_training(facts, header(9, 900, bits=2)) is None
    assert unlike_training(facts, header(9, 9, view="RL")) is not None
    assert unlike_training({**facts, "pictures": "lateral radiographs"}, header(9, 9)) is None


def test_a_model_that_saw_lateral_views_takes_them() -> None:
    facts = {"images": {**SEEN.to_facts(), "has_lateral": True}}
    assert unlike_training(facts, header(1024, 1024, view="LL")) is None


def test_another_kind() -> None:
    contents = {"modality": {"DX": 3}, "view": {"PA": 3}}
    assert other_kind({"pictures": "CT"}, contents) == "a model of CT, found radiographs"
    assert other_kind({"pictures": "radiographs"}, contents) is None
    assert other_kind({}, contents) is other_kind({"pictures": "CT"}, {}) is None
