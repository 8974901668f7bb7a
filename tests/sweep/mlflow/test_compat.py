"""What we borrow of MLflow is still there. Fails first when its upper bound is raised."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from mlflow.entities import Metric

from sweep.mlflow import compat
from sweep.mlflow.view import connect


def test_a_database_is_laid_out_once_and_has_the_columns_of_places(tmp_path: Path) -> None:
    file = tmp_path / "mlflow.db"
    for _ in range(2):  # the second time there is nothing to do
        compat.upgrade(f"sqlite:///{file}")
    with closing(sqlite3.connect(file)) as database:
        tables = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        columns = {
            (table, row[1])
            for (table,) in tables.fetchall()
            for row in database.execute(f"PRAGMA table_info({table})")
        }
    assert set(compat.PLACES) <= columns


def test_what_is_sent_together_is_there_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    client, score = connect(f"sqlite:///{tmp_path}/mlflow.db"), Metric("score", 0.5, 1, 0)
    with compat.one_transaction(client):
        run = client.create_run("0")
        client.log_batch(run.info.run_id, metrics=[score])
        client.set_tag(run.info.run_id, "mlflow.runName", "named")  # opens a session in another
        client.set_terminated(run.info.run_id)
    kept = client.get_run(run.info.run_id)
    assert (kept.data.metrics, kept.info.run_name) == ({"score": 0.5}, "named")

    def half(then: Callable[[], object]) -> None:
        with compat.one_transaction(client):
            client.create_run("0")
            then()

    with pytest.raises(OSError, match="no room"):
        half(partial(_fail, OSError("no room")))
    with pytest.raises(compat.Undone):
        half(partial(client.log_batch, run.info.run_id, metrics=[score]))  # is there already
    assert [one.info.run_id for one in client.search_runs(["0"])] == [run.info.run_id]
    client.log_batch(run.info.run_id, metrics=[score])  # each call by itself sorts that out


def _fail(error: Exception) -> None:
    raise error
