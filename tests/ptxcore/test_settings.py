"""Settings: ranges and combinations are refused with the name of the field."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptxcore.errors import SettingsError
from ptxcore.limits import COMBINED
from ptxcore.settings import FoldSettings, within


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"stop_metric": "nonsense"},
            "stop_metric: found 'nonsense', expected one of dice, .*, loss",
        ),
        ({"norm": "layer"}, "norm: found 'layer', expected one of batch, instance, group"),
        ({"focal_weight": -1.0}, r"focal_weight: found -1\.0, expected a value in \[0\.0, inf\)"),
        ({"focal_gamma": 11.0}, r"focal_gamma: found 11\.0, expected a value in \[0\.0, 10\.0\]"),
        ({"tversky_alpha": 1.0}, r"tversky_alpha: found 1\.0, expected a value in \[0\.0, 1\.0\)"),
        ({"tversky_alpha": 0.0}, r"tversky_alpha: found 0\.0, expected a value in \(0, 1\)"),
        ({"positive_fraction_schedule": "step"}, "positive_fraction_schedule: found 'step', expec"),
        ({"positive_fraction_end": 1.5}, r"positive_fraction_end: found 1\.5, expected a value in"),
        ({"foreground_share": 1.1}, r"foreground_share: found 1\.1, expected a value in \[0\.0, 1"),
        ({"hard_negative_share": -0.1}, r"hard_negative_share: found -0\.1, expected a value in"),
        ({"elastic_px": -1.5}, r"elastic_px: found -1\.5, expected a value in \[-1\.0, inf\)"),
        (
            {"elastic_px": 4.0, "image_size": 256},
            "elastic_px: found 4 px on an image_size of 256 px, expected less than 4 px",
        ),
        ({"grid_distortion_px": -1.0}, r"grid_distortion_px: found -1\.0, expected a value in"),
        (
            {"grid_distortion_px": 16.0, "image_size": 256},
            "grid_distortion_px: found 16 px on an image_size of 256 px, expected less than 16 px",
        ),
        ({"ema_decay": 1.0}, r"ema_decay: found 1\.0, expected a value in \[0\.0, 1\.0\)"),
        ({"average_best": 0}, r"average_best: found 0, expected a value in \[1, 100\]"),
        ({"average_best": 5, "max_epochs": 4}, "average_best: found 5 of 4 epochs"),
        ({"overlap": 0.95}, r"overlap: found 0\.95, expected a value in \[0\.0, 0\.9\]"),
        (
            {"deep_supervision": True, "levels": 2},
            "deep_supervision: found True with levels 2, expected False, or at least 3 levels",
        ),
        ({"warmup_epochs": 4, "max_epochs": 4}, "warmup_epochs: found 4 of 4 epochs, expected few"),
        ({"warmup_epochs": 2, "max_epochs": 1}, "warmup_epochs: found 2 of 1 epochs, expected few"),
        ({"learning_rate": 10**400}, "learning_rate: found a whole number of more than 300 digits"),
        ({"min_delta": -(10**5000)}, "min_delta: found a whole number of more than 300 digits"),
        ({"batch_size": 10**5000}, "batch_size: found a whole number of more than 300 digits"),
        (
            {"whole_image": True, "context_factor": 4},
            "whole_image: found True with a context_factor of 4, expected False",
        ),
        ({"swa_start": 1.0}, r"swa_start: found 1\.0, expected a value in \[0\.0, 1\.0\)"),
        (
            {"swa_start": 0.5, "average_best": 3},
            "swa_start: found 0.5 beside an average_best of 3, expected one of them off",
        ),
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
        {"elastic_px": 3.9, "image_size": 256},
        {"elastic_px": 40.0, "image_size": 0},
        {"elastic_px": -0.5},
        {"warmup_epochs": 1, "max_epochs": 1},
        {"warmup_epochs": 0, "max_epochs": 1},
        {"overlap": 0.9},
        {"learning_rate": 1},
    ],
)
def test_what_makes_sense_is_taken(values: dict[str, Any]) -> None:
    settings = FoldSettings(**values)
    assert FoldSettings.from_mapping(settings.as_dict()) == settings


def is_taken(values: dict[str, Any]) -> bool:
    try:
        FoldSettings(**values)
    except SettingsError:
        return False
    return True


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "image_size": st.sampled_from([0, 64, 256, 512]),
            "patch_size": st.sampled_from([0, 64, 256, 512]),
            "context_factor": st.sampled_from([0, 2, 16]),
            "elastic_px": st.sampled_from([-1.0, 0.0, 3.0, 6.0]),
            "grid_distortion_px": st.sampled_from([0.0, 3.0, 20.0]),
            "max_epochs": st.integers(1, 40),
            "warmup_epochs": st.integers(0, 40),
            "average_best": st.integers(1, 40),
            "swa_start": st.sampled_from([0.0, 0.75]),
            "bce_weight": st.sampled_from([0.0, 1.0]),
            "dice_weight": st.sampled_from([0.0, 1.0]),
            "focal_weight": st.sampled_from([0.0, 1.0]),
            "tversky_weight": st.sampled_from([0.0, 1.0]),
            "deep_supervision": st.booleans(),
            "levels": st.integers(2, 7),
            "tta": st.booleans(),
            "whole_image": st.booleans(),
        },
    )
)
def test_what_no_group_of_settings_forbids_is_taken(values: dict[str, Any]) -> None:
    """A search space is checked group by group, here beside what goes with everything."""
    neutral = {"image_size": 0, "patch_size": 32, "max_epochs": 9999}
    groups = [
        neutral | {name: values[name] for name in group if name in values} for group in COMBINED
    ]
    assert is_taken(neutral | values) == all(is_taken(group) for group in groups)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ToySettings(FoldSettings):
    """A setting more, in one line."""

    toy_px: float = within(2.0, 0.0, 8.0, closed=False)


def test_a_setting_is_added_in_one_place() -> None:
    assert ToySettings().toy_px == 2.0
    assert ToySettings.from_mapping({"toy_px": 3, "channels": 4}).as_dict()["toy_px"] == 3.0
    with pytest.raises(SettingsError, match=r"toy_px: found 8.0, expected a value in \[0.0, 8.0\)"):
        ToySettings(toy_px=8.0)
    with pytest.raises(SettingsError, match="toy_px: found 'a', expected a value of type float"):
        ToySettings.from_mapping({"toy_px": "a"})
