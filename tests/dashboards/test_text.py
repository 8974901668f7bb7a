from __future__ import annotations

import math

import pytest

from dashboards import text


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (0.04, "0.0 s"),
        (9.96, "10.0 s"),
        (42.4, "42 s"),
        (59.9, "1 min 00 s"),
        (61, "1 min 01 s"),
        (3599.6, "1 h 00 min"),
        (7260, "2 h 01 min"),
        (90_000, "1 d 1 h"),
        (math.nan, "–"),
        (None, "–"),
    ],
)
def test_durations(seconds: float | None, written: str) -> None:
    assert text.duration(seconds) == written


def test_scores_and_differences() -> None:
    assert text.score(0.12345) == "0.123"
    assert text.score(math.nan) == "–"
    assert text.score(None) == "–"
    assert text.signed(-0.0316) == "−0.032"
    assert text.signed(0.5, 1) == "+0.5"


@pytest.mark.parametrize(
    ("value", "written"),
    [(1e-6, "1e-06"), (0.0, "0"), (512, "512"), (True, "yes"), ("unet", "unet"), ((1, 2), "1, 2")],
)
def test_settings(value: object, written: str) -> None:
    assert text.setting(value) == written


@pytest.mark.parametrize(
    ("value", "written", "signed"),
    [(0.12345, "0.123", "+0.123"), (-9.5, "−9.500", "−9.500"), (164.328, "164.3", "+164.3")],
)
def test_scores_and_distances(value: float, written: str, signed: str) -> None:
    assert (text.score(value), text.signed(value)) == (written, signed)


def test_names_in_sentences() -> None:
    assert text.in_sentence("average_precision") == "average precision"
    assert text.in_sentence("dice_positive") == "Dice over positive cases"
    assert text.in_sentence("my_metric") == "my metric"


def test_lists() -> None:
    assert text.listed(["a"]) == "a"
    assert text.listed(["a", "b", "c"]) == "a, b and c"
