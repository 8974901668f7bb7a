"""A space that is sound in form, and would quietly search something else, is refused."""

from __future__ import annotations

from pathlib import Path

import optuna
import pytest

from sweep.errors import SpaceError
from sweep.space import load_space, parse_space

HEAD = """\
name: x
objective: {metric: dice}
"""
#: The parameters begin on line 4.
BODY = """\
parameters:
  kind: {type: categorical, choices: [a, b], default: a}
  size: {type: int, low: 1, high: 9, step: 2, default: 3, when: {kind: b}}
  rate: {type: float, low: 0, high: 1, default: 0.5}
  share: {type: float, low: 0, high: 0.5, step: 0.1, default: 0}
"""


def space(more: str, before: str = "") -> str:
    return HEAD + before + BODY + f"  child: {{type: int, low: 0, high: 3, default: 0{more}}}\n"


@pytest.mark.parametrize(
    ("when", "message"),
    [
        # Of 500 draws from a continuous range none is at any one value.
        (
            "{rate: 0.5}",
            r"rate: found 0\.5 of a continuous range, .* categorical or int, or .*`step`",
        ),
        ("{rate: [0, 1], kind: a}", r"rate: found \[0, 1\] of a continuous range"),
        ("{kind: c}", r"kind: found 'c', expected one of \['a', 'b'\]"),
        ("{kind: []}", r"kind: found \[\], expected at least one value"),
        ("{size: 4}", r"size: found 4, expected 1 plus a multiple of 2"),
        ("{size: 11}", r"size: found 11, expected a value in \[1, 9\]"),
        ("{share: 0.25}", r"share: found 0\.25, expected 0\.0 plus a multiple of 0\.1"),
    ],
)
def test_a_condition_that_cannot_hold(when: str, message: str) -> None:
    with pytest.raises(SpaceError, match=rf"^f:8: parameters\.child\.when\.{message}"):
        parse_space(space(f", when: {when}"), "f")


@pytest.mark.parametrize(
    ("when", "told"),
    [
        ("{size: 5, kind: a}", r"size 5, kind 'a', kind 'b' for size"),
        ("{size: [1, 5], kind: a}", r"size 1 or 5, kind 'a', kind 'b' for size"),
    ],
)
def test_conditions_that_exclude_each_other(when: str, told: str) -> None:
    """`size` is asked for at kind b alone, and else at its default, which is 3."""
    with pytest.raises(SpaceError, match=rf"^f:8: .*child\.when: .* never hold at once \({told}\)"):
        parse_space(space(f", when: {when}"), "f")
    assert parse_space(space(f", when: {when}"), "f", has_begun=True)


@pytest.mark.parametrize(
    "when",
    [
        *("{kind: [a, b]}", "{size: 5}", "{size: 5, kind: b}", "{share: 0.3}", "{share: [0.3, 0]}"),
        "{size: 3, kind: a}",  # its default, while nobody asks for it
    ],
)
def test_a_condition_that_can_hold_is_met_by_draws(when: str) -> None:
    found = parse_space(space(f", when: {when}"), "f")
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    draws = [study.ask() for _ in range(200)]
    for trial in draws:
        found.suggest(trial)
    assert any("child" in trial.params for trial in draws)
    values = found.activating({"child": 2})
    assert values is not None
    assert found.active(values)["child"] == 2


def test_a_sweep_that_has_begun_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "old.yaml"
    path.write_text(space(", when: {rate: 0.5}"), encoding="utf-8")
    assert load_space(path, has_begun=True).name == "x"  # for `run --or-resume` and `submit`
    with pytest.raises(SpaceError, match=r"old\.yaml:8: parameters\.child"):
        load_space(path)


def test_a_range_of_one_value_can_be_a_condition() -> None:
    text = space(", when: {rate: 0.5}").replace("low: 0, high: 1,", "low: 0.5, high: 0.5,")
    assert "child" in parse_space(text, "f").active({})


def test_a_long_chain_is_followed() -> None:
    links = [f"  p{n}: {{type: categorical, choices: [0, 1], default: 0" for n in range(40)]
    chain = "\n".join(
        link + (f", when: {{p{n - 1}: 1}}}}" if n else "}") for n, link in enumerate(links)
    )
    found = parse_space(f"{HEAD}parameters:\n{chain}\n", "f")
    assert found.activating({"p39": 1}) == {f"p{n}": 1 for n in range(40)}
    broken = chain.replace("when: {p38: 1}", "when: {p38: 1, p0: 0}")
    with pytest.raises(SpaceError, match=r"^f:43: parameters\.p39\.when: .*never hold at once"):
        parse_space(f"{HEAD}parameters:\n{broken}\n", "f")


@pytest.mark.parametrize("choices", ["[0, false, 1, true]", "[1, true]", "[false, 0.0]"])
def test_choices_that_the_ledger_keeps_as_one(choices: str) -> None:
    text = f"{HEAD}parameters:\n  x: {{type: categorical, choices: {choices}, default: {{}}}}\n"
    text = text.replace("{}", choices.strip("[]").split(", ")[0])
    with pytest.raises(SpaceError, match=r"^f:4: parameters\.x\.choices: found .* as one value"):
        parse_space(text, "f")
    assert parse_space(text, "f", has_begun=True)


@pytest.mark.parametrize(
    ("candidates", "message"),
    [
        ("[{size: 5}]", r"candidates\.0\.size: found 5, which counts for nothing .* kind 'b'; exp"),
        ("[{rate: 0.5}]", r"candidates\.0: found the configuration of the default again"),
        (
            "[{rate: 1}, {rate: 1.0}]",
            r"candidates\.1: found the configuration of candidates\.0 again",
        ),
        (
            "[{kind: b, size: 3}, {kind: b}]",
            r"candidates\.1: found the configuration of candidates\.0",
        ),
    ],
)
def test_candidates_that_are_not_what_they_say(candidates: str, message: str) -> None:
    with pytest.raises(SpaceError, match=rf"^f:3: {message}"):
        parse_space(space("", f"candidates: {candidates}\n"), "f")


def test_candidates_may_name_what_they_leave_at_its_default() -> None:
    text = space("", "candidates: [{kind: a, size: 3, rate: 0.1}, {kind: b, size: 5}]\n")
    assert len(parse_space(text, "f").candidates) == 2


@pytest.mark.parametrize("number", ["010", "0x10", "1:30"])
def test_numbers_that_are_read_in_two_ways_are_text(number: str) -> None:
    with pytest.raises(
        SpaceError, match=rf"^f:8: parameters\.child\.high: found '{number}', expec"
    ):
        parse_space(space("").replace("high: 3,", f"high: {number},"), "f")
