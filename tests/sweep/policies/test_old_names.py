"""`expected_improvement` was called `chance`: sweeps of that time open, go on and replay."""

from __future__ import annotations

from pathlib import Path

import pytest
from in_process import (
    Driver,
    assert_replays,
    make_controller,
    memory_storage,
    new_sweep,
    toy_fold,
    toy_space,
)

from sweep.ledger import Ledger
from sweep.ledger.connection import open_storage
from sweep.policies import PolicySpec, make_policy
from sweep.simulate import parse_arm
from sweep.space import parse_space

HEAD = """
name: x
objective: {metric: dice}
parameters: {a: {type: float, low: 0.0, high: 1.0, default: 0.5}}
policy: """.lstrip()
#: Folds that the last version under the old name started: in one sitting, and in two.
STARTED = "00 10 01 20 11 30 21 40 50 31 60 70 02 22 61 80 62 81 90 91 82 92"
RESUMED = "00 10 01 20 11 30 21 40 30 40 31 50 60 70 02 22 61 90 91 92 80 81 82"


@pytest.mark.parametrize(
    ("given", "min_gain", "digest"),
    [
        ("{name: chance}", 0.25, "f8638baf"),
        ("{name: chance, num_completions: 3}", None, "f27c90ca"),
        ("{name: chance, min_gain: 1.5, lookahead: 9}", 1.5, "757b23eb"),
        ("{name: chance, min_gain: null}", None, "1a526c31"),
    ],
)
def test_the_old_name_is_the_new_policy_and_the_digest_stays(
    given: str, min_gain: float | None, digest: str
) -> None:
    old, new = (
        parse_space(HEAD + policy, "x.yaml")
        for policy in (given, given.replace("chance", "expected_improvement"))
    )
    assert old.policy == new.policy
    assert (old.policy.name, old.policy.min_gain) == ("expected_improvement", min_gain)
    assert old.digest == new.digest
    assert old.digest.startswith(digest)  # as the last version under the old name wrote it


def test_a_setting_that_every_policy_had_may_stand_at_zero() -> None:
    plain = parse_space(HEAD + "{name: greedy}", "x.yaml")
    assert parse_space(HEAD + "{name: greedy, lookahead: 0}", "x.yaml").digest == plain.digest


def test_no_list_shows_the_old_name() -> None:
    assert "chance" not in PolicySpec.known
    settings = {"num_trials": 3}
    assert type(make_policy("chance", settings, 2)) is type(
        make_policy("expected_improvement", settings, 2)
    )
    old, new = parse_arm("chance:0.5"), parse_arm("expected_improvement:0.5")
    assert (old.policy, old.settings, old.min_gain) == (new.policy, new.settings, new.min_gain)


def test_a_ledger_of_then_goes_on_as_it_would_have(tmp_path: Path) -> None:
    space = toy_space(policy="chance, lookahead: 3", num_trials=10, num_completions=4)
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    name, started = new_sweep(open_storage(url), space), []
    for most in (20, None):
        ledger = Ledger.open(url, name)
        ledger.acquire("test", ttl_seconds=1e-3)
        text = str(ledger.header.space_text)
        assert "name: chance" in text
        driver = Driver(
            make_controller(ledger, parse_space(text, "ledger", has_begun=True)), ledger, toy_fold
        )
        assert driver.run(most) is (most is None)
        started += driver.started
    assert " ".join(f"{trial}{fold}" for trial, fold in started) == RESUMED
    driver.controller.close("unused")
    ledger.close()


def test_its_history_replays_under_both_names() -> None:
    space = toy_space(policy="chance, lookahead: 3", num_trials=10, num_completions=4)
    storage = memory_storage()
    ledger = Ledger(storage, new_sweep(storage, space))
    ledger.acquire("test")
    driver = Driver(make_controller(ledger, space), ledger, toy_fold)
    assert driver.run()
    assert " ".join(f"{trial}{fold}" for trial, fold in driver.started) == STARTED
    ledger = Ledger(storage, new_sweep(storage, space))
    ledger.acquire("test")
    assert Driver(make_controller(ledger, space), ledger, toy_fold, num_slots=1).run()
    for name in ("chance", "expected_improvement"):
        assert_replays(ledger, name, 10, lookahead=3)
