"""Real Ray, real ledger; the trainable computes its scores, so only the platform is tested."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from ray import tune

from sweep.errors import LeaseHeld
from sweep.ledger import Ledger
from sweep.ledger.header import SweepHeader
from sweep.policies import make_policy
from sweep.ray.cluster import HostWatch, ray_cluster
from sweep.ray.nodes import ask, asks_for_token, hosts_without_token
from sweep.ray.resources import ResourceRequest, Resources
from sweep.ray.run import Interrupt, drive
from sweep.ray.scheduler import STOPPED
from sweep.ray.trainable import Job
from sweep.records import Assignment, Epoch, FoldScore, State
from sweep.search.controller import Controller
from sweep.search.stop_rules import make_stop_rule
from sweep.space import parse_space

NUM_EPOCHS = 2

SPACE = """
name: arithmetic
description: scores without training
objective: {metric: dice}
folds: 3
policy: {name: POLICY, num_trials: 6, num_completions: COMPLETIONS}
pruner: {name: none}
sampler: {name: random}
fixed: {}
parameters:
  learning_rate: {type: float, low: 0.0, high: 1.0, default: 0.5}
"""


class Arithmetic(tune.Trainable):
    """Scores the learning rate; `job.store` names a folder in which a fold can be made to fail."""

    def setup(self, config: dict[str, Any]) -> None:
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self.job: Job = new_config["job"]
        self.given: Assignment = new_config["assignment"]
        self.epoch = 0
        (Path(self.job.store) / f"worker-{os.getpid()}").touch()
        return True

    def step(self) -> dict[str, Any]:
        self._await_the_other()
        self.epoch += 1
        given = {key: getattr(self.given, key) for key in ("trial", "fold", "attempt")}
        result: dict[str, Any] = {key: given[key] for key in ("trial", "attempt")}
        trap = Path(self.job.store) / f"{given['trial']}-{given['fold']}"
        if trap.exists():
            how = trap.read_text()
            trap.unlink()
            if how == "die":
                os.kill(os.getpid(), signal.SIGKILL)
            return {**result, "failed": how, "final": how == "diverged"}
        value = self.given.settings["learning_rate"] + 0.01 * self.given.fold
        result["epoch"] = Epoch(**given, epoch=self.epoch, value=value, seconds=0.0)
        if self.epoch == NUM_EPOCHS:
            result["score"] = FoldScore(
                **given,
                value=value,
                score=value,
                seconds=0.1,
                num_epochs=NUM_EPOCHS,
                best_epoch=1,
            )
        return result

    def _await_the_other(self) -> None:
        """Both workers begin together: folds are so short that one could do all of them."""
        deadline = time.monotonic() + 30
        while len(list(Path(self.job.store).glob("worker-*"))) < 2 and time.monotonic() < deadline:
            time.sleep(0.02)


def _sweep(
    folder: Path, *, policy: str = "standard", completions: int = 6, on_poll: Any = None
) -> tuple[Ledger, Controller]:
    url = f"sqlite:///{folder / 'ledger.db'}"
    space = parse_space(
        SPACE.replace("POLICY", policy).replace("COMPLETIONS", str(completions)), "arithmetic"
    )
    header = SweepHeader(metric="dice", maximize=True, num_folds=3, seed=7)
    try:
        ledger = Ledger.create(url, "arithmetic", header=header)
    except Exception:
        ledger = Ledger.open(url, "arithmetic")
    ledger.acquire("test")
    controller = Controller(
        ledger,
        space,
        make_policy(space.policy.name, space.policy.settings(), 3),
        make_stop_rule(space.policy.num_trials, space.policy.num_completions, 3),
        seed=7,
    )
    job = Job(
        store=str(folder),
        data_hash="",
        plan="",
        plan_digest="",
        folder=str(folder),
        seed=7,
        metric="dice",
        maximize=True,
        runtime={},
        version="",
    )
    interrupt = Interrupt()
    drive(
        controller,
        job,
        Resources(workers=2),
        folder=folder,
        interrupt=interrupt,
        on_poll=(lambda: on_poll(ledger, interrupt)) if on_poll else (lambda: None),
        trainable=Arithmetic,
    )
    return ledger, controller


@pytest.fixture(scope="module", autouse=True)
def _ray() -> Any:
    with ray_cluster(ResourceRequest(workers=2)):
        yield


def test_a_cluster_of_our_own_asks_for_a_token() -> None:
    assert [found for _, found in ask(asks_for_token)] == [True]
    assert hosts_without_token() == []


def test_standard_order_trains_every_fold_once(tmp_path: Path) -> None:
    ledger, controller = _sweep(tmp_path)
    assert controller.stop_reason() is not None
    assert len(list(tmp_path.glob("worker-*"))) == 2, "actors were rebuilt instead of reused"
    for one in ledger.projection.trials:
        assert one.state is State.COMPLETE
        assert sorted(one.folds) == [0, 1, 2]
        assert one.attempts == {0: 1, 1: 1, 2: 1}
        assert all(len(epochs) == NUM_EPOCHS for epochs in one.epochs.values())


def test_greedy_parks_and_wakes_the_best_first(tmp_path: Path) -> None:
    ledger, controller = _sweep(tmp_path, policy="greedy", completions=2)
    controller.close("unused")
    states = [one.state for one in ledger.projection.trials]
    assert states.count(State.COMPLETE) == 2
    assert states[0] is State.COMPLETE
    assert ledger.projection.sweep_state == "finished"
    assert len(list(tmp_path.glob("worker-*"))) == 2, "actors were rebuilt instead of reused"
    assert not any(one.running_fold is not None for one in ledger.projection.trials)


@pytest.mark.parametrize(
    "policy",
    [
        "greedy",
        "expected_improvement",
        "expected_improvement, lookahead: 3",
        "halving",
        "intensify",
        "wave, epochs: [1], keep: [0.5]",
    ],
)
def test_a_live_sweep_replays_to_the_same_decisions(tmp_path: Path, policy: str) -> None:
    from in_process import assert_replays  # here: Ray workers import this file without our path

    ledger, _ = _sweep(tmp_path, policy=policy, completions=3)
    name, *given = policy.split(", ")
    settings = {key: json.loads(value) for key, value in (one.split(": ") for one in given)}
    assert_replays(ledger, name, 6, **settings)
    if name == "wave":
        tries = [one for trial in ledger.projection.trials for one in trial.log]
        assert {one.outcome for one in tries[:6]} == {"finished", "paused"}


def test_a_killed_worker_repeats_its_fold_alone(tmp_path: Path) -> None:
    (tmp_path / "1-1").write_text("die")
    ledger, _ = _sweep(tmp_path)
    assert [one.state for one in ledger.projection.trials] == [State.COMPLETE] * 6
    attempts = {one.number: dict(one.attempts) for one in ledger.projection.trials}
    assert attempts.pop(1) == {0: 1, 1: 2, 2: 1}
    assert all(value == {0: 1, 1: 1, 2: 1} for value in attempts.values())


def test_a_diverged_trial_fails_and_the_sweep_goes_on(tmp_path: Path) -> None:
    (tmp_path / "2-0").write_text("diverged")
    (tmp_path / "3-2").write_text("out of memory")
    ledger, _ = _sweep(tmp_path)
    one = ledger.projection.trials
    assert (one[2].state, one[2].reason) == (State.FAILED, "diverged")
    assert (one[3].state, one[3].attempts[2]) == (State.COMPLETE, 2)
    assert [c.state for c in one].count(State.COMPLETE) == 5


def test_an_interrupt_leaves_a_sweep_that_goes_on(tmp_path: Path) -> None:
    def interrupt_after_four(ledger: Ledger, interrupt: Interrupt) -> None:
        if sum(len(one.folds) for one in ledger.projection.trials) >= 4:
            interrupt.stop("SIGTERM")

    ledger, controller = _sweep(tmp_path, on_poll=interrupt_after_four)
    controller.close("SIGTERM")
    assert ledger.projection.sweep_state == "interrupted"
    done = {(c.number, f) for c in ledger.projection.trials for f in c.folds}
    assert 4 <= len(done) < 18
    ledger.close()
    ledger, controller = _sweep(tmp_path)
    assert [one.state for one in ledger.projection.trials] == [State.COMPLETE] * 6
    for one in ledger.projection.trials:
        for fold in one.folds:
            assert one.attempts[fold] == 1 or (one.number, fold) not in done


@pytest.mark.parametrize("method", ["record_epoch", "finish_fold", "start_fold"])
def test_a_lost_lease_is_said_as_such(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """Whatever Ray wraps around it: the command line chooses its exit code by the class."""

    def refuse(*_: Any) -> None:
        raise LeaseHeld("another driver writes this sweep")

    monkeypatch.setattr(Ledger, method, refuse)
    with pytest.raises(LeaseHeld, match="another driver writes"):
        _sweep(tmp_path)


def test_the_driver_says_that_no_host_is_left(caplog: pytest.LogCaptureFixture) -> None:
    watch = HostWatch()
    for now, num_slots in [(0, 0), (2, 2), (4, 0), (6, 0), (63, 0), (64, 0), (66, 1), (68, 1)]:
        watch.see(num_slots, float(now))
    said = [record.getMessage() for record in caplog.records]
    assert [text.split(";")[0] for text in said] == [
        "no host is left that can hold a trial, since 0 s",
        "no host is left that can hold a trial, since 60 s",
        "a host is back after 62 s",
    ]


def test_a_closing_sweep_ends_its_epochs_and_begins_none(tmp_path: Path) -> None:
    def close_after_four(ledger: Ledger, interrupt: Interrupt) -> None:
        if sum(len(trial.folds) for trial in ledger.projection.trials) >= 4:
            interrupt.close("enough")

    ledger, controller = _sweep(tmp_path, on_poll=close_after_four)
    controller.close("enough")
    trials = ledger.projection.trials
    lost = [attempt for trial in trials for attempt in trial.log if attempt.outcome == "lost"]
    # A fold that ran either ended with that epoch, or is lost behind a whole one.
    assert {attempt.reason for attempt in lost} <= {STOPPED}
    assert sum(len(trial.folds) for trial in trials) <= 5
    for trial in trials:
        assert trial.running_fold is None
        assert all(trial.epochs[attempt.fold] for attempt in trial.log)
    assert ledger.projection.sweep_state == "interrupted"
    ledger.close()
