"""What a search space asks for is refused before anything starts, where it makes no sense."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from sweep.errors import SpaceError
from sweep.space import SearchSpace
from sweep.space.overrides import Overrides, effective_space
from sweep.space.settings import check_measurable

SMALL = {"channels": 4, "levels": 3}
RATE = {"type": "float", "low": 1e-4, "high": 1e-2, "log": True, "default": 1e-3}


def choice(*values: Any, **more: Any) -> dict[str, Any]:
    return {"type": "categorical", "choices": list(values), "default": values[0], **more}


def whole(low: int, high: int, default: int, step: int = 1) -> dict[str, Any]:
    return {"type": "int", "low": low, "high": high, "default": default, "step": step}


def real(low: float, high: float, default: float, **more: Any) -> dict[str, Any]:
    return {"type": "float", "low": low, "high": high, "default": default, **more}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "space.yaml"


def space_of(
    file: Path,
    fixed: dict[str, Any] | None = None,
    parameters: dict[str, Any] | None = None,
    **sections: Any,
) -> SearchSpace:
    """A sound space of small images with these changes, written and read."""
    varied = parameters or {}
    tree = {
        "name": "x",
        "objective": {"metric": "dice"},
        "policy": {"num_trials": 20},
        "fixed": {**{k: v for k, v in SMALL.items() if k not in varied}, **(fixed or {})},
        "parameters": {"learning_rate": RATE, **varied},
        **sections,
    }
    file.write_text(yaml.safe_dump(tree, sort_keys=False), encoding="utf-8")
    return effective_space(str(file), Overrides())


@pytest.mark.parametrize(
    ("fixed", "message"),
    [
        ({"image_size": 64, "patch_size": 128}, r"patch_size: found 128 px on an image_size of 64"),
        ({"overlap": 1}, r"overlap: found 1\.0, expected a value in \[0\.0, 0\.9\]"),
        ({"channels": 0}, r"channels: found 0, expected a value in \[1, 1024\]"),
        ({"levels": 8}, r"levels: found 8, expected a value in \[2, 7\]"),
        ({"dice_weight": -1}, r"dice_weight: found -1\.0, expected a value in \[0\.0, inf\)"),
        ({"bce_weight": 0, "dice_weight": 0}, r"bce_weight, dice_weight, .*: found 0 in all of"),
        ({"stop_metric": "dise"}, r"stop_metric: found 'dise', expected one of dice, .*, loss"),
        ({"weight_decay": float("nan")}, r"weight_decay: found nan, expected a value in"),
        ({"context_factor": 4, "patch_size": 0}, r"context_factor: found 4 with whole images"),
        ({"warmup_epochs": 40}, r"warmup_epochs: found 40 of 40 epochs, expected fewer"),
    ],
)
def test_a_fixed_setting(file: Path, fixed: dict[str, Any], message: str) -> None:
    with pytest.raises(SpaceError, match=rf"space\.yaml:?\d*: at the defaults: {message}"):
        space_of(file, fixed)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        # Both ends are fine, and a value between them is not.
        ({"patch_size": whole(0, 64, 32, 16)}, r"at 16: patch_size: found 16, expected 0, or at"),
        ({"context_factor": whole(0, 4, 0)}, r"at 1: context_factor: found 1, expected 0 \(off\)"),
        # Of a parameter that is asked for under a condition alone.
        (
            {
                "channels": choice(4, 8),
                "dropout": real(0, 1.5, 0.1, when={"channels": 8}),
            },
            r"at 1\.5: dropout: found 1\.5, expected a value in \[0\.0, 1\.0\)",
        ),
        # Under the first value of its condition it is never asked for, under the second it is.
        (
            {
                "norm": choice("batch", "group", when={"network": "unet"}),
                "network": choice("attention_unet", "unet"),
                "dropout": real(
                    0, 1.5, 0.1, when={"network": ["attention_unet", "unet"], "norm": "group"}
                ),
            },
            r"at 1\.5: dropout: found 1\.5, expected a value in \[0\.0, 1\.0\)",
        ),
        # Each is fine beside the other's default.
        (
            {"image_size": choice(64, 32), "patch_size": choice(32, 64)},
            r"at 32 of image_size and 64 of patch_size: patch_size: found 64 px on .* a `when`",
        ),
        (
            {"bce_weight": choice(1, 0), "dice_weight": choice(1, 0)},
            r"at 0 of bce_weight and 0 of dice_weight: bce_weight, .*found 0 in all of them",
        ),
        (
            {"image_size": choice(512, 256), "grid_distortion_px": real(0, 20, 0)},
            r"at 256 of image_size and 20\.0 of grid_distortion_px: grid_distortion_px: found 20",
        ),
        (
            {"image_size": choice(512, 256), "elastic_px": real(-1, 6, -1)},
            r"at 256 of image_size and 6\.0 of elastic_px: elastic_px: found 6 px on an image_size",
        ),
        (
            {"max_epochs": whole(10, 40, 30), "average_best": whole(1, 20, 1)},
            r"at 10 of max_epochs and 20 of average_best: average_best: found 20 of 10 epochs",
        ),
        (
            {"average_best": choice(1, 3), "swa_start": real(0, 0.9, 0)},
            r"at 3 of average_best and 0\.9 of swa_start: swa_start: found 0\.9 beside an average",
        ),
        (
            {"levels": whole(2, 5, 5), "deep_supervision": choice(False, True)},
            r"at 2 of levels and True of deep_supervision: deep_supervision: found True with lev",
        ),
        # Every two are fine beside the default of the third.
        (
            {
                "image_size": choice(512, 64),
                "patch_size": choice(32, 64),
                "context_factor": choice(0, 2),
            },
            r"at 64 of image_size and 64 of patch_size and 2 of context_factor: context_factor: "
            r"found 2 with whole images",
        ),
        (
            {
                "bce_weight": choice(1, 0),
                "dice_weight": choice(1, 0),
                "tversky_weight": choice(1, 0),
            },
            r"at 0 of bce_weight and 0 of dice_weight and 0 of tversky_weight: bce_weight, .*0 in",
        ),
        ({"stop_metric": choice("dice", "dise")}, r"at 'dise': stop_metric: found 'dise'"),
        ({"dropout": choice(0.1, "much")}, r"at 'much': dropout: found 'much', expected a value"),
        ({"batch_size": whole(1, 10**30, 8)}, r"at 10{30}: batch_size: found 10{30}, expected"),
    ],
)
def test_what_parameters_allow(file: Path, parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(SpaceError, match=rf"space\.yaml:\d+: {message}"):
        space_of(file, parameters=parameters)


@pytest.mark.parametrize(
    "parameters",
    [
        # A condition keeps the impossible pair apart.
        {
            "image_size": choice(64, 32),
            "patch_size": choice(32, 64, when={"image_size": 64}),
        },
        # To draw both ends of two continuous ranges has no chance.
        {"bce_weight": real(0, 1, 1), "dice_weight": real(0, 1, 1)},
        # Sides that no stride divides are padded.
        {"image_size": choice(100, 99), "patch_size": choice(50, 33), "levels": choice(3, 5)},
        {"patch_size": choice(0, 256), "position_channels": choice(False, True)},
    ],
)
def test_what_makes_sense_is_taken(file: Path, parameters: dict[str, Any]) -> None:
    space = space_of(file, parameters=parameters)
    assert parameters.keys() <= space.parameters.keys()


@pytest.mark.parametrize(
    ("fixed", "parameters", "message"),
    [
        ({}, {"focal_gamma": real(0, 5, 2)}, "focal_gamma: .* while focal_weight is 0; expected"),
        ({}, {"tversky_alpha": real(0.1, 0.9, 0.3)}, "tversky_alpha: .* tversky_weight is 0"),
        ({"patch_size": 0}, {"foreground_share": real(0, 1, 0.5)}, "foreground_share: .* is 0"),
        ({"augmentation_strength": 0}, {"elastic_px": real(0, 4, 1)}, "elastic_px: .*_strength is"),
        (
            {},
            {
                "positive_fraction_schedule": choice("constant", "linear"),
                "positive_fraction_end": real(
                    0, 1, 0.5, when={"positive_fraction_schedule": "constant"}
                ),
            },
            "positive_fraction_end: .* while positive_fraction_schedule is constant",
        ),
    ],
)
def test_a_parameter_that_changes_nothing(
    file: Path, fixed: dict[str, Any], parameters: dict[str, Any], message: str
) -> None:
    with pytest.raises(SpaceError, match=rf"space\.yaml:\d+: {message}"):
        space_of(file, fixed, parameters)


def test_a_parameter_that_changes_something_at_some_values(file: Path) -> None:
    space_of(file, {"focal_weight": 1}, {"focal_gamma": real(0, 5, 2)})
    varied = {"focal_weight": choice(0, 1), "focal_gamma": real(0, 5, 2, when={"focal_weight": 1})}
    space_of(file, None, varied)
    space_of(file, None, {"elastic_px": real(0, 4, 1)})
    with pytest.raises(SpaceError, match=r"with overrides:\d+: elastic_px: .*_strength is 0"):
        effective_space(str(file), Overrides(fixed={"augmentation_strength": 0}))


@pytest.mark.parametrize(
    ("pruner", "message"),
    [
        ({"name": "median", "scope": "folds", "n_warmup_steps": 3}, "n_warmup_steps: found 3 for"),
        ({"name": "median", "scope": "epochs", "n_warmup_folds": 1}, "n_warmup_folds: found 1 for"),
        ({"name": "paired_folds", "min_folds": 5}, "min_folds: found 5 .* at most 4: with all 5"),
        ({"name": "wilcoxon", "n_startup_steps": 5}, "n_startup_steps: found 5 .* at most 4"),
        (
            {"name": "wilcoxon", "p_threshold": 0.05},
            r"p_threshold: .* more than 0\.0625, the least",
        ),
    ],
)
def test_a_pruner_that_could_stop_nobody(file: Path, pruner: dict[str, Any], message: str) -> None:
    with pytest.raises(SpaceError, match=rf"space\.yaml:\d+: pruner\.{message}"):
        space_of(file, pruner=pruner)


def test_fewer_folds_can_leave_a_pruner_nothing_to_do(file: Path) -> None:
    assert space_of(file, pruner={"name": "wilcoxon"}).pruner.name == "wilcoxon"
    with pytest.raises(SpaceError, match=r"overrides:\d+: pruner\.p_threshold: .* more than 0\.25"):
        effective_space(str(file), Overrides(num_folds=3))


IMPOSSIBLE = {"bce_weight": choice(1, 0), "dice_weight": choice(1, 0)}


def test_a_configuration_given_by_hand(file: Path) -> None:
    with pytest.raises(
        SpaceError, match=r"space\.yaml:\d+: candidates\.1: bce_weight, dice_weight"
    ):
        space_of(
            file,
            parameters=IMPOSSIBLE,
            candidates=[{"bce_weight": 0}, {"bce_weight": 0, "dice_weight": 0}],
        )


def test_pairs_that_nobody_proposes_do_no_harm(file: Path) -> None:
    listed: dict[str, Any] = {"candidates": [{"bce_weight": 0}], "policy": {"num_trials": 2}}
    assert space_of(file, parameters=IMPOSSIBLE, **listed).candidates
    with pytest.raises(SpaceError, match="at 0 of bce_weight and 0 of dice_weight"):
        space_of(file, parameters=IMPOSSIBLE, **{**listed, "policy": {"num_trials": 3}})


def test_a_loss_is_no_objective(file: Path) -> None:
    """Trials weigh its terms differently, and no held fold has one."""
    with pytest.raises(SpaceError, match=r"objective\.metric: found 'loss', expected one of: dice"):
        space_of(file, objective={"metric": "loss"})


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"fixed": None}, r"fixed: found None, expected a valid dictionary"),
        ({"fixed": {"dropout": {"a": 1}}}, r"fixed\.dropout: found \{'a': 1\}, expected a number,"),
        ({"parameters": {}}, r"parameters: found \{\}, expected at least 1$"),
        (
            {"parameters": {"norm": {"type": "categorical", "choices": [], "default": "batch"}}},
            r"parameters\.norm\.choices: found \[\], expected at least 1$",
        ),
        (
            {"parameters": {"dropout": real(0, 0.2, 0.1, step=float("inf"))}},
            r"parameters\.dropout\.step: found inf, expected a finite number",
        ),
    ],
)
def test_the_shape_of_a_file(file: Path, sections: dict[str, Any], message: str) -> None:
    tree = {"name": "x", "objective": {"metric": "dice"}, "parameters": {"learning_rate": RATE}}
    file.write_text(yaml.safe_dump({**tree, **sections}, sort_keys=False), encoding="utf-8")
    with pytest.raises(SpaceError, match=message):
        effective_space(str(file), Overrides())


def test_specificity_needs_a_case_without_a_pneumothorax(file: Path) -> None:
    """It would be NaN after a whole fold, or never improve while one trains."""
    asked = space_of(file, objective={"metric": "case_specificity"})
    check_measurable(asked, has_negatives=True)
    with pytest.raises(SpaceError, match=r"space\.yaml:\d+: objective\.metric: found 'case_speci"):
        check_measurable(asked, has_negatives=False)
    for watched in (
        space_of(file, {"stop_metric": "case_specificity"}),
        space_of(file, parameters={"stop_metric": choice("dice", "case_specificity")}),
    ):
        with pytest.raises(SpaceError, match=r"space\.yaml:\d+: stop_metric: found 'case_specific"):
            check_measurable(watched, has_negatives=False)
    check_measurable(space_of(file), has_negatives=False)


def test_a_choice_for_inference_goes_with_every_value(file: Path) -> None:
    """Not with the defaults alone: on a worker each trial with the other value would fail."""
    space_of(file, inference={"whole_image": [False, True]})
    with pytest.raises(SpaceError, match="at 4: whole_image: found True with a context_factor of"):
        space_of(
            file, None, {"context_factor": choice(0, 4)}, inference={"whole_image": [False, True]}
        )
