"""What we borrow of MLflow is still there. Fails first when its upper bound is raised."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from sweep.mlflow import compat


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
