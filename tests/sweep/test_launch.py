"""Launching and going on, where another driver comes in between."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest
from command_line import TINY_SPACE
from tiny_store import drawn_store
from tiny_sweep import home_at

from sweep import launch
from sweep.errors import UsageError
from sweep.home import Home
from sweep.ledger import Ledger
from sweep.resources import Resources


@pytest.fixture
def interrupted(
    tmp_path: Path, mlflow_template: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Home, str]:
    """A sweep that was interrupted before anything ran, and its name; Ray never starts."""
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
        other.set_sweep_state("finished", "the other one is done")
        other.close()

    monkeypatch.setattr(launch, "ray_cluster", meanwhile(finish))
    with pytest.raises(UsageError, match=r"the other one is done.*nothing to resume"):
        launch.resume(name, home=home)

    ledger = Ledger.open(home.ledger_url, name)
    ledger.acquire("the next one")  # not held by the one that was refused
    assert ledger.projection.sweep_reason == "the other one is done"
    ledger.close()
