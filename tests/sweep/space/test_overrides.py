"""Overrides of the command line: the space that is left is whole, and says what it cannot do."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from ptxcore.settings import FoldSettings
from sweep.errors import SpaceError
from sweep.space import parse_space
from sweep.space.overrides import Overrides, effective_space
from sweep.space.settings import image_grids

NESTED = """\
name: nested
objective: {metric: dice}
policy: {name: greedy, num_trials: 12, num_completions: 6}
parameters:
  patch_size: {type: categorical, choices: [128, 256, 512], default: 128}
  channels: {type: categorical, choices: [8, 16], default: 8, when: {patch_size: [128, 512]}}
  dropout: {type: float, low: 0, high: 0.3, default: 0.1, when: {channels: 16}}
  learning_rate: {type: float, low: 1e-4, high: 1e-2, log: true, default: 1e-3}
"""


@pytest.fixture
def nested(tmp_path: Path) -> str:
    path = tmp_path / "nested.yaml"
    path.write_text(NESTED)
    return str(path)


def test_a_held_value_that_others_wait_for_frees_them(nested: str) -> None:
    space = effective_space(nested, Overrides(fixed={"patch_size": 128}))
    assert space.distributions().keys() == {"channels", "dropout", "learning_rate"}
    assert space.complete(space.defaults())["patch_size"] == 128
    assert "channels" in space.active(space.defaults())


def test_a_held_value_that_others_exclude_takes_them_along(nested: str) -> None:
    space = effective_space(nested, Overrides(fixed={"patch_size": 256}))
    assert space.distributions().keys() == {"learning_rate"}


def test_what_is_taken_along_keeps_its_default_and_frees_who_waits_for_it(tmp_path: Path) -> None:
    """As in the file, where a parameter that is not asked for is at its default."""
    path = tmp_path / "chain.yaml"
    chain = NESTED.replace(
        "default: 0.1, when: {channels: 16}", "default: 0.2, when: {channels: 8}"
    )
    path.write_text(chain)
    space = effective_space(str(path), Overrides(fixed={"patch_size": 256}))
    assert space.distributions().keys() == {"dropout", "learning_rate"}
    assert space.complete(space.defaults()).items() >= {"channels": 8, "dropout": 0.2}.items()
    path.write_text(chain.replace("channels: 8}", "channels: 16}"))
    space = effective_space(str(path), Overrides(fixed={"patch_size": 256}))
    assert space.distributions().keys() == {"learning_rate"}
    assert space.complete(space.defaults()).items() >= {"channels": 8, "dropout": 0.2}.items()


def test_overrides_cannot_make_a_condition_that_never_holds(nested: str) -> None:
    path = Path(nested)
    path.write_text(NESTED.replace("{channels: 16}", "{learning_rate: 1e-3}"))
    with pytest.raises(
        SpaceError, match=r"nested\.yaml:7: .*when\.learning_rate: found 0\.001 of a"
    ):
        effective_space(nested, Overrides(fixed={"patch_size": 128}))


def test_the_shipped_space_on_small_images() -> None:
    space = effective_space(
        "attention_unet", Overrides(fixed={"image_size": 64, "patch_size": 0, "levels": 3})
    )
    assert space.complete(space.defaults())["image_size"] == 64


def test_fewer_trials_need_no_word_about_completions(nested: str) -> None:
    assert effective_space(nested, Overrides(num_trials=4)).policy.num_completions == 4
    assert effective_space(nested, Overrides(num_trials=9)).policy.num_completions == 6
    with pytest.raises(SpaceError, match=r"num_completions: found 5, expected at most num_trials"):
        effective_space(nested, Overrides(num_trials=4, num_completions=5))


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("{name: greedy, num_trials: 40}", 10),
        ("{name: greedy, num_trials: 3}", 3),
        ("{name: standard, num_trials: 3}", None),
        ("{name: standard, num_trials: 40}", None),
        ("{name: greedy, num_trials: 3, num_completions: null}", None),
    ],
)
def test_completions_left_out(nested: str, policy: str, expected: int | None) -> None:
    path = Path(nested)
    path.write_text(NESTED.replace("{name: greedy, num_trials: 12, num_completions: 6}", policy))
    assert effective_space(nested, Overrides()).policy.num_completions == expected


GRIDS = """
name: grids
objective: {metric: dice}
fixed: {patch_size: 32}
parameters:
  image_size: {type: categorical, choices: [64, 128], default: 64}
  resampling: {type: categorical, choices: [lanczos, area], default: lanczos}
"""


def test_every_size_with_every_filter_is_made_before_the_first_fold() -> None:
    space = parse_space(
        GRIDS,
        "here",
        known={"patch_size", "image_size", "resampling"},
        metrics={"dice": "maximize"},
    )
    assert image_grids(space) == [(64, "lanczos"), (64, "area"), (128, "lanczos"), (128, "area")]


def test_a_filter_can_be_fixed() -> None:
    space = effective_space("demo", Overrides(fixed={"resampling": "bicubic"}))
    assert {name for _, name in image_grids(space)} == {"bicubic"}


def test_a_held_choice_for_inference_is_no_choice_any_more() -> None:
    space = effective_space("attention_unet", Overrides(fixed={"overlap": 0.5}))
    assert space.inference == ()
    assert space.complete(space.defaults())["overlap"] == 0.5
    with pytest.raises(SpaceError, match=r"overlap: found 1.5, expected a value in \[0.0, 0.9\]"):
        effective_space("attention_unet", Overrides(fixed={"overlap": 1.5}))


def test_a_choice_for_inference_must_be_a_setting(tmp_path: Path) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(NESTED + "inference: {overlap: [0.25, 1.5]}\n")
    with pytest.raises(SpaceError, match=r"wrong.yaml:9: overlap: found 1.5, expected a value"):
        effective_space(str(path), Overrides())


def test_settings_that_exist_are_listed_by_name() -> None:
    names = ", ".join(sorted(field.name for field in dataclasses.fields(FoldSettings)))
    with pytest.raises(SpaceError, match=f"fixed.zzz: .*expected one of: {names}$"):
        effective_space("attention_unet", Overrides(fixed={"zzz": 1}))
