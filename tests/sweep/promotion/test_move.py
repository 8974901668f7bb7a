"""Aliases move as a whole or not at all: one of two promoters wins, and a crash does no harm."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cut_off
import pytest
from bare_versions import MODEL, bare_home, bare_versions, standing, step
from mlflow import MlflowClient

from sweep.errors import ChampionMoved
from sweep.ledger import list_sweeps
from sweep.mlflow.registry import CHALLENGER, CHAMPION, PREVIOUS
from sweep.promotion.move import move, new_event, position, record_of
from sweep.storage.home import Home


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = bare_home(tmp_path_factory.mktemp("bare") / "home")
    bare_versions(made, 3)
    step(made, {CHAMPION: "1"})
    return made.folder


@pytest.fixture
def home(template: Path, tmp_path: Path) -> Home:
    return bare_home(Path(shutil.copytree(template, tmp_path / "home")))


def test_of_two_promoters_one_wins(home: Home) -> None:
    client = MlflowClient(home.tracking_uri)
    with record_of(home, MODEL) as record, record_of(home, MODEL) as other:
        seen = position(client, record)
        step(home, {CHAMPION: "2", PREVIOUS: "1"}, record=other)
        with pytest.raises(ChampionMoved, match="changed in this moment; look with `ptxsweep reg"):
            move(client, record, seen, {CHAMPION: "3", PREVIOUS: "1"}, new_event("promotion"))
        assert [one["outcome"] for one in record.events()] == ["done", "done"]
    assert standing(home) == {CHAMPION: "2", PREVIOUS: "1"}
    assert list_sweeps(home.ledger_url) == []


def test_promoters_of_two_ledgers_and_a_stale_champion(home: Home, tmp_path: Path) -> None:
    other = bare_home(tmp_path / "other", tracking_uri=home.tracking_uri)
    client = MlflowClient(home.tracking_uri)
    with record_of(home, MODEL) as record:
        seen = position(client, record)
        step(other, {CHAMPION: "2", PREVIOUS: "1"})
        with pytest.raises(
            ChampionMoved, match="its champion or its challenger changed in this moment"
        ):
            move(client, record, seen, {CHAMPION: "3", PREVIOUS: "1"}, new_event("promotion"))
        assert record.events()[-1]["outcome"] == "undone"
        assert position(client, record).champion == "2"
    assert standing(home) == {CHAMPION: "2", PREVIOUS: "1"}


class Slow(MlflowClient):
    """Before it makes its champion, somebody else does something."""

    def __init__(self, uri: str, meanwhile: Callable[[], None]) -> None:
        super().__init__(uri)
        self.meanwhile = meanwhile

    def set_registered_model_alias(self, name: str, alias: str, version: str) -> None:
        if alias == CHAMPION and self.meanwhile is not None:
            meanwhile, self.meanwhile = self.meanwhile, None
            meanwhile()
        super().set_registered_model_alias(name, alias, version)


def test_the_later_of_two_ledgers_stands(home: Home, tmp_path: Path) -> None:
    """The earlier looked at the alias before the later one moved it, and moves it afterwards."""
    other = bare_home(tmp_path / "other", tracking_uri=home.tracking_uri)
    client = Slow(home.tracking_uri, lambda: step(other, {CHAMPION: "2", PREVIOUS: "1"}))
    with record_of(home, MODEL) as record:
        seen = position(client, record)
        with pytest.raises(
            ChampionMoved, match="its champion or its challenger changed in this moment"
        ):
            move(client, record, seen, {CHAMPION: "3", PREVIOUS: "1"}, new_event("promotion"))
    assert standing(home) == {CHAMPION: "2", PREVIOUS: "1"}


def test_a_slow_promoter_does_not_undo_what_followed(home: Home) -> None:
    """Another process finished its move, and a third promoted after that."""

    def meanwhile() -> None:
        with record_of(home, MODEL) as record:
            position(MlflowClient(home.tracking_uri), record)
        step(home, {CHAMPION: "3", PREVIOUS: "2"})

    client = Slow(home.tracking_uri, meanwhile)
    with record_of(home, MODEL) as record:
        seen = position(client, record)
        move(client, record, seen, {CHAMPION: "2", PREVIOUS: "1"}, new_event("promotion"))
    assert standing(home)[CHAMPION] == "3"


def test_a_request_waits_in_the_ledger_until_it_is_decided_on(home: Home) -> None:
    """A promotion or a rollback in between left it to the tag, which others can write."""
    client, asked = MlflowClient(home.tracking_uri), {"version": "3", "by": "alice@here"}
    with record_of(home, MODEL) as record:
        seen = position(client, record)
        move(client, record, seen, {CHALLENGER: "3"}, new_event("request"), request=asked)
        step(home, {CHAMPION: "2", PREVIOUS: "1"}, record=record)
        assert record.read().request == asked
        step(home, {CHALLENGER: None}, record=record)
        assert record.read().request is None


def test_a_version_that_was_deleted_is_not_made_champion(home: Home) -> None:
    client = MlflowClient(home.tracking_uri)
    with record_of(home, MODEL) as record:
        seen = position(client, record)
        client.delete_model_version(MODEL, "2")
        with pytest.raises(
            ChampionMoved, match="its champion or its challenger changed in this moment"
        ):
            move(client, record, seen, {CHAMPION: "2", PREVIOUS: "1"}, new_event("promotion"))
    assert standing(home) == {CHAMPION: "1"}


def test_a_kill_at_each_step_is_finished_by_the_next_call(home: Home) -> None:
    """Nine steps write; before each of them a process ends without a word."""
    done = subprocess.run(
        [sys.executable, cut_off.__file__, "move", str(home.folder)],
        capture_output=True,
        text=True,
        check=False,
        env=cut_off.environment(),
    )
    assert done.returncode == 0, done.stderr
    killed: list[dict[str, Any]] = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one["code"] for one in killed] == [9] * (len(killed) - 1) + [0]
    assert len(killed) > 6
    for one in killed:
        before, after = {CHAMPION: "1", PREVIOUS: "3"}, {CHAMPION: "2", PREVIOUS: "1"}
        assert one["cut"][CHAMPION] in ("1", "2"), one
        was_claimed = one["step"] > 1
        assert one["next"] == (after if was_claimed else before), one
        assert one["events"] == was_claimed, one
