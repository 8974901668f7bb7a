"""Settings: ranges and combinations are refused with the name of the field."""

from __future__ import annotations

from typing import Any

import pytest

from ptxcore.errors import SettingsError
from ptxcore.settings import FoldSettings


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"focal_weight": -1.0}, r"focal_weight: found -1\.0, expected a value in \[0\.0, inf\)"),
        ({"focal_gamma": 11.0}, r"focal_gamma: found 11\.0, expected a value in \[0\.0, 10\.0\]"),
        ({"tversky_alpha": 1.0}, r"tversky_alpha: found 1\.0, expected a value in \[0\.0, 1\.0\)"),
        ({"tversky_alpha": 0.0}, r"tversky_alpha: found 0\.0, expected a value in \(0, 1\)"),
        ({"positive_fraction_schedule": "step"}, "positive_fraction_schedule: found 'step', expec"),
        ({"positive_fraction_end": 1.5}, r"positive_fraction_end: found 1\.5, expected a value in"),
        ({"hard_negative_share": -0.1}, r"hard_negative_share: found -0\.1, expected a value in"),
        ({"grid_distortion_px": -1.0}, r"grid_distortion_px: found -1\.0, expected a value in"),
        (
            {"grid_distortion_px": 16.0, "image_size": 256},
            "grid_distortion_px: found 16 px on an image_size of 256 px, expected less than 16 px",
        ),
        ({"ema_decay": 1.0}, r"ema_decay: found 1\.0, expected a value in \[0\.0, 1\.0\)"),
        ({"average_best": 0}, r"average_best: found 0, expected a value in \[1, 100\]"),
        ({"average_best": 5, "max_epochs": 4}, "average_best: found 5 of 4 epochs"),
        (
            {"bce_weight": 0.0, "dice_weight": 0.0},
            "bce_weight, dice_weight, focal_weight and tversky_weight: found 0 in all of them",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(values: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        FoldSettings(**values)


@pytest.mark.parametrize(
    "values",
    [
        {"bce_weight": 0.0, "dice_weight": 0.0, "focal_weight": 1.0},
        {"bce_weight": 0.0, "dice_weight": 0.0, "tversky_weight": 0.1},
        {"grid_distortion_px": 15.9, "image_size": 256},
        {"grid_distortion_px": 40.0, "image_size": 0},
    ],
)
def test_what_makes_sense_is_taken(values: dict[str, Any]) -> None:
    settings = FoldSettings(**values)
    assert FoldSettings.from_mapping(settings.as_dict()) == settings
