"""Promotions whose ledger is a PostgreSQL: of those at once one wins, and a crash does no harm."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cut_off
import pytest
import sqlalchemy
from bare_versions import MODEL, bare_home, bare_versions, standing, step
from mlflow import MlflowClient
from postgres_server import PostgresServer, why_not

from sweep.errors import ChampionMoved
from sweep.ledger import model_record
from sweep.mlflow.registry import CHALLENGER, CHAMPION, PREVIOUS
from sweep.promotion.move import move, new_event, position, record_of
from sweep.storage.home import Home


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    if (reason := why_not()) is not None:
        pytest.skip(reason)
    server = PostgresServer(port=5434)
    yield server
    server.close()


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = bare_home(tmp_path_factory.mktemp("bare") / "home")
    bare_versions(made, 3)
    return made.folder


@pytest.fixture
def home(server: PostgresServer, template: Path, tmp_path: Path) -> Home:
    folder = Path(shutil.copytree(template, tmp_path / "home"))
    home = bare_home(folder, ledger=cut_off.own_schema(server.url))
    step(home, {CHAMPION: "1"})
    return home


#: What people do at once: two promotions, and a decision either way on the challenger.
AT_ONCE: dict[str, dict[str, str | None]] = {
    "promotion": {CHAMPION: "2", PREVIOUS: "1"},
    "request": {CHALLENGER: "2"},
    "approval": {CHAMPION: "3", PREVIOUS: "1", CHALLENGER: None},
    "rejection": {CHALLENGER: None},
}


def test_of_those_who_decide_at_once_one_wins(home: Home) -> None:
    client, asked = MlflowClient(home.tracking_uri), {"version": "3", "by": "alice@here"}
    with record_of(home, MODEL) as record:
        seen = position(client, record)
        move(client, record, seen, {CHALLENGER: "3"}, new_event("request"), request=asked)
    kinds = [*AT_ONCE] * 2
    barrier, won = threading.Barrier(len(kinds)), []

    def decide(kind: str) -> None:
        own = MlflowClient(home.tracking_uri)
        with record_of(home, MODEL) as record:
            seen = position(own, record)
            barrier.wait()
            request = {**asked, "version": "2"} if kind == "request" else None
            try:
                move(own, record, seen, AT_ONCE[kind], new_event(kind), request=request)
            except ChampionMoved:
                return
            won.append(kind)

    threads = [threading.Thread(target=decide, args=(kind,)) for kind in kinds]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (kind,) = won
    expected = {CHAMPION: "1", CHALLENGER: "3"} | AT_ONCE[kind]
    assert standing(home) == {alias: to for alias, to in expected.items() if to is not None}
    with record_of(home, MODEL) as record:
        position(client, record)
        assert [one["kind"] for one in record.events()] == ["promotion", "request", kind]


def test_a_kill_at_each_step_is_finished_by_the_next_call(
    server: PostgresServer, home: Home
) -> None:
    done = subprocess.run(
        [sys.executable, cut_off.__file__, "move", str(home.folder), server.url],
        capture_output=True,
        text=True,
        check=False,
        env=cut_off.environment(),
    )
    assert done.returncode == 0, done.stderr
    killed: list[dict[str, Any]] = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one["code"] for one in killed] == [9] * (len(killed) - 1) + [0]
    assert len(killed) > 6
    before, after = {CHAMPION: "1", PREVIOUS: "3"}, {CHAMPION: "2", PREVIOUS: "1"}
    for one in killed:
        assert one["cut"][CHAMPION] in ("1", "2"), one
        was_claimed = one["step"] > 1
        assert one["next"] == (after if was_claimed else before), one
        assert one["events"] == was_claimed, one


class Interrupted(MlflowClient):
    """Before it makes its champion, the server of the ledger crashes; it is back a second later."""

    def __init__(self, uri: str, server: PostgresServer) -> None:
        super().__init__(uri)
        self.server = server
        self.back: threading.Timer | None = None

    def set_registered_model_alias(self, name: str, alias: str, version: str) -> None:
        if alias == CHAMPION and self.back is None:
            self.server.stop()
            self.back = threading.Timer(1.0, self.server.start)
            self.back.start()
        super().set_registered_model_alias(name, alias, version)


def test_a_restart_of_the_server_in_mid_promotion_is_waited_for(
    server: PostgresServer, home: Home
) -> None:
    client = Interrupted(home.tracking_uri, server)
    with record_of(home, MODEL) as record:
        seen = position(client, record)
        try:
            move(client, record, seen, {CHAMPION: "2", PREVIOUS: "1"}, new_event("promotion"))
        finally:
            assert client.back is not None
            client.back.join()
        assert [one["outcome"] for one in record.events()] == ["done", "done"]
        assert position(client, record).champion == "2"
    assert standing(home) == {CHAMPION: "2", PREVIOUS: "1"}


def test_a_claim_whose_answer_was_lost_is_known_as_ones_own(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server crashes after its commit; the promoter had been told that another was faster."""
    real, left = model_record.compare_and_swap, ["once"]

    def cut(*arguments: Any) -> str | None:
        written = real(*arguments)
        if left:
            left.clear()
            raise sqlalchemy.exc.OperationalError("update", None, OSError("connection reset"))
        return written

    monkeypatch.setattr(model_record, "compare_and_swap", cut)
    client = MlflowClient(home.tracking_uri)
    with record_of(home, MODEL) as record:
        seen = position(client, record)
        move(client, record, seen, {CHAMPION: "2", PREVIOUS: "1"}, new_event("promotion"))
    assert standing(home) == {CHAMPION: "2", PREVIOUS: "1"}
