"""Networks that ended by predicting nothing are told of, whatever their scores say."""

from __future__ import annotations

import dataclasses
from typing import Any

import projections as hand
import pytest

from sweep.analysis.emptied import emptied_folds
from sweep.analysis.selection_bias import caution

FOUND = (0.0, 0.1, 0.17, 0.1, 0.0, 0.0, 0.0)


def said(curves: list[tuple[float, ...]], **settings: Any) -> str | None:
    """What is said of a trial with a fold for each curve."""
    made = hand.projection(num_folds=len(curves))
    number = hand.folds(made, [0.7] * len(curves), {"x": 0.5, **settings})
    folds = made.trials[number].folds
    for fold, curve in enumerate(curves):
        known = {"monitor_dice_positive": curve} if curve else {}
        folds[fold] = dataclasses.replace(folds[fold], curves=known)
    assert caution(made) == emptied_folds(made)
    return emptied_folds(made)


def test_folds_are_counted_and_the_way_out_is_named() -> None:
    text = said([FOUND, (0.1, 0.2, 0.2, 0.3), FOUND])
    assert text is not None
    assert text.startswith("2 of 3 folds had begun to find lesions and ended by predicting nothing")
    assert text.endswith(
        "dice_on_empty: false takes the Dice loss, which asks for that, off healthy images"
    )


@pytest.mark.parametrize(
    "settings",
    [{"dice_on_empty": False}, {"dice_weight": 0.0}, {"dice_weight": 0.0, "tversky_weight": 0.0}],
)
def test_no_way_out_is_named_where_it_is_none(settings: dict[str, Any]) -> None:
    text = said([FOUND], **settings)
    assert text is not None
    assert text.endswith("their scores are of an earlier epoch")


@pytest.mark.parametrize(
    "curve",
    [
        (),  # an earlier version
        (0.0, 0.0, 0.0, 0.0),  # has not begun
        (0.04, 0.0, 0.0, 0.0),  # nor more than by chance
        (0.2, 0.0, 0.0, 0.001),  # an epoch that found less
        (0.2, 0.1, 0.0, 0.0),  # not for long
    ],
)
def test_other_folds_are_not_meant(curve: tuple[float, ...]) -> None:
    assert said([curve]) is None
