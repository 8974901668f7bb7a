"""Launching and going on, where another driver comes in between."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import TINY_SPACE
from optuna.distributions import FloatDistribution
from tiny_store import drawn_store
from tiny_sweep import home_at

from ptxcore.metrics import build_table, save_table, summarize
from ptxcore.types import NUM_LOGIT_BINS
from sweep import launch
from sweep.analysis.selection_bias import caution
from sweep.analysis.summary import summarise
from sweep.errors import UsageError
from sweep.ledger import Ledger, list_sweeps
from sweep.ledger.header import SweepHeader
from sweep.mlflow.view._metrics import winner_metrics
from sweep.ray.resources import Resources
from sweep.ray.run import Interrupt
from sweep.ray.trainable import Job
from sweep.records import FoldScore, State, SweepState
from sweep.search.budget import Budget
from sweep.search.controller import Controller
from sweep.stop import stop
from sweep.storage.home import Home
from sweep.util.provenance import pixel_versions


@pytest.fixture
def interrupted(
    tmp_path: Path, mlflow_template: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Home, str]:
    """A sweep that was interrupted before anything ran, and its name; Ray never starts."""
    return interrupted_sweep(tmp_path, mlflow_template, monkeypatch)


def interrupted_sweep(
    tmp_path: Path, mlflow_template: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Home, str]:
    home = home_at(tmp_path / "home")
    home.folder.mkdir()
    shutil.copy(mlflow_template, home.folder / "mlflow.db")
    drawn_store(tmp_path / "store", num_cases=24, num_positive=12, side_px=64)
    space = tmp_path / "tiny.yaml"
    space.write_text(TINY_SPACE.replace("POLICY", "greedy").replace("EPOCHS", "1"))
    monkeypatch.setattr(launch, "ray_cluster", lambda request: nullcontext(Resources()))
    monkeypatch.setattr(launch, "drive", lambda *_, **__: None)
    summary = launch.run(str(space), store=tmp_path / "store", home=home, precision="float32")
    assert summary.state == "interrupted"
    return home, summary.name


def meanwhile(action: Callable[[], None]) -> Callable[[object], object]:
    """A `ray_cluster` during whose start another driver acts."""

    @contextmanager
    def connect(request: object) -> Iterator[Resources]:
        action()
        yield Resources()

    return connect


def test_resume_does_not_take_up_what_another_driver_ended_while_ray_started(
    interrupted: tuple[Home, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    home, name = interrupted

    def finish() -> None:
        other = Ledger.open(home.ledger_url, name)
        other.acquire("another driver")
        other.set_sweep_state(SweepState.FINISHED, "the other one is done")
        other.close()

    monkeypatch.setattr(launch, "ray_cluster", meanwhile(finish))
    with pytest.raises(UsageError, match=r"the other one is done.*nothing to resume"):
        launch.resume(name, home=home)

    ledger = Ledger.open(home.ledger_url, name)
    ledger.acquire("the next one")  # not held by the one that was refused
    assert ledger.projection.sweep_reason == "the other one is done"
    ledger.close()


def test_a_sweep_that_goes_on_under_other_versions_says_so_for_good(
    interrupted: tuple[Home, str],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    home, name = interrupted
    assert launch.resume(name, home=home).caution is None
    ours = pixel_versions()
    other = {**ours, "opencv": "4.12.0", "python-gdcm": "9.9.9"}
    monkeypatch.setattr(launch, "pixel_versions", lambda: other)
    decoder = f"python-gdcm 9.9.9, not {ours.get('python-gdcm', 'none')}"
    text = f"opencv 4.12.0, not {ours['opencv']}, {decoder}"
    for _ in range(2):  # the second time nothing has changed again
        assert text in str(launch.resume(name, home=home).caution)
    assert [text in one for one in caplog.messages].count(True) == 1
    ledger = Ledger.open(home.ledger_url, name)
    assert ledger.header.versions == ours
    assert ledger.projection.versions == [ours, other]
    assert "the same seed gives other pixels" in str(caution(ledger.projection))
    ledger.close()


@pytest.mark.parametrize("is_listed", [False, True])
def test_workers_get_the_version_that_is_installed_and_the_ledger_keeps_that_it_changed(
    is_listed: bool, tmp_path: Path, mlflow_template: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not that of the ledger's header, which no worker has any more."""
    build, here = launch.build_header, importlib.metadata.version("ptxsweep")

    def before(**facts: Any) -> SweepHeader:
        header = build(**facts)
        versions = {**(header.versions or {}), "ptxsweep": "0.0.9"}
        if not is_listed:  # as headers had it at first
            del versions["ptxsweep"]
        return dataclasses.replace(header, version="0.0.9", versions=versions)

    monkeypatch.setattr(launch, "build_header", before)
    home, name = interrupted_sweep(tmp_path, mlflow_template, monkeypatch)
    given: list[Job] = []
    monkeypatch.setattr(launch, "drive", lambda controller, job, *_, **__: given.append(job))
    said = launch.resume(name, home=home).caution
    assert [(one.version, one.versions["ptxsweep"]) for one in given] == [(here, here)]
    assert f"went on under other versions (ptxsweep {here}, not 0.0.9): the same seed" in str(said)


def _begin_and_look(
    controller: Controller, *_: object, on_poll: Callable[[], None], **__: object
) -> None:
    """A driver that begins a trial, looks at the budget, and then wants no more."""
    controller.add_trial()
    on_poll()
    assert controller.wanted(1) == []


def test_gpu_hours_end_a_sweep_with_its_running_fold(
    interrupted: tuple[Home, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    home, name = interrupted

    monkeypatch.setattr(launch, "ray_cluster", lambda request: nullcontext(Resources(gpus=0.5)))
    monkeypatch.setattr(launch, "drive", _begin_and_look)
    summary = launch.resume(name, home=home, budget=Budget(gpu_hours=1e-12))

    assert (summary.state, summary.reason) == ("finished", "the budget of 1e-12 GPU hours is used")
    ledger = Ledger.open(home.ledger_url, name)
    (one,) = ledger.projection.trials
    ledger.close()
    assert one.state is State.ABANDONED
    assert [attempt.outcome for attempt in one.log] == ["lost"]


def test_a_cost_ends_a_sweep_and_its_price_is_kept(
    interrupted: tuple[Home, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    home, name = interrupted

    monkeypatch.setattr(launch, "ray_cluster", lambda request: nullcontext(Resources(cpus=2)))
    monkeypatch.setattr(launch, "drive", _begin_and_look)
    budget = Budget(max_cost=1e-12, price_per_cpu_hour=0.05)
    summary = launch.resume(name, home=home, budget=budget)
    assert summary.state == "finished"
    assert str(summary.reason).startswith("the budget of 1e-12 is used: 0.00 spent")
    assert summary.cost is not None
    assert summary.cost.price == pytest.approx(0.05 * summary.cost.hours)
    assert summary.cost.max_cost == 1e-12


def test_gpu_hours_without_a_gpu_are_refused_and_nothing_changes(
    interrupted: tuple[Home, str],
) -> None:
    home, name = interrupted
    for start in (
        lambda budget: launch.resume(name, home=home, budget=budget),
        lambda budget: launch.run(
            str(home.folder.parent / "tiny.yaml"),
            store=home.folder.parent / "store",
            home=home,
            name="other",
            budget=budget,
        ),
    ):
        with pytest.raises(UsageError, match=r"trials take no GPU here.*--hours instead"):
            start(Budget(gpu_hours=1.0))
    assert not home.sweep_folder("other").exists()
    assert list_sweeps(home.ledger_url) == [name]


def test_a_sweep_that_is_over_keeps_what_its_ranking_is_worth(tmp_path: Path) -> None:
    store = drawn_store(tmp_path / "store", num_cases=24, num_positive=12, side_px=16)
    header = SweepHeader(metric="dice", maximize=True, num_folds=2, seed=0)
    ledger = Ledger.create(f"sqlite:///{tmp_path / 'ledger.db'}", "one", header=header)
    ledger.acquire("driver")
    for number, hit in enumerate((6, 9)):  # of ten true pixels
        ledger.add_trial({"x": 0.5}, {"x": FloatDistribution(0.0, 1.0)})
        for fold in (0, 1):
            ledger.start_fold(number, fold)
            truth, nothing = np.zeros((2, NUM_LOGIT_BINS), dtype=np.int64)
            truth[[-1, 0]], nothing[0] = (hit, 10 - hit), 90
            cases = store.cases[fold::2]
            rows = [(truth if case.is_positive else truth * 0, nothing) for case in cases]
            table = build_table([case.case_id for case in cases], rows)
            save_table(tmp_path / f"{number}-{fold}.npz", table)
            value = summarize(table)["dice"]
            ledger.finish_fold(
                FoldScore(
                    trial=number, fold=fold, attempt=1, value=value, score=value, seconds=1.0,
                    num_epochs=1, best_epoch=1, cases=f"{number}-{fold}.npz",
                )
            )  # fmt: skip
        ledger.end(number, State.COMPLETE)
    ledger.set_sweep_state(SweepState.FINISHED)
    launch._note_patients(ledger, store, tmp_path)
    ledger.close()
    again = Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}", "one")
    found = summarise(again).resampling
    sent = {metric.key: metric.value for metric in winner_metrics(again.projection)}
    again.close()
    assert found is not None
    assert (found.ranks[0].trial, found.ranks[0].first) == (1, 1.0)
    assert found.corrected == pytest.approx(found.search_score, abs=0.001)  # nothing to choose
    assert sent["score_bias_corrected"] == pytest.approx(found.corrected)
    assert sent["score_bias_corrected_low"] == pytest.approx(found.corrected_low)
    assert sent["score_first_share"] == 1.0


@pytest.mark.parametrize("now", [False, True])
def test_a_driver_heeds_a_wish_that_is_meant_for_it(
    interrupted: tuple[Home, str], monkeypatch: pytest.MonkeyPatch, *, now: bool
) -> None:
    home, name = interrupted
    seen = []

    def until_asked(
        _: object, *more: object, interrupt: Interrupt, on_poll: Callable[[], None], **__: object
    ) -> None:
        on_poll()
        assert (interrupt.closing, interrupt.reason) == (None, None)
        stop(home, name, now=now, wait=False)
        while interrupt.closing is None and interrupt.reason is None:
            on_poll()
        seen.append((interrupt.closing, interrupt.reason))
        interrupt.stop(launch.STOPPED)  # as Ray's run does when its last epoch has ended

    monkeypatch.setattr(launch, "drive", until_asked)
    summary = launch.resume(name, home=home)
    assert seen == [(None, launch.STOPPED) if now else (launch.STOPPED, None)]
    assert (summary.state, summary.reason) == ("interrupted", "ptxsweep stop")

    # The next driver was not meant.
    def once(*_: object, interrupt: Interrupt, on_poll: Callable[[], None], **__: object) -> None:
        on_poll()
        seen.append((interrupt.closing, interrupt.reason))

    monkeypatch.setattr(launch, "drive", once)
    launch.resume(name, home=home)
    assert seen[1:] == [(None, None)]
    with pytest.raises(UsageError, match="no driver is at work on the sweep"):
        stop(home, name)
