"""The facts of a sweep: what older and newer versions stored comes back as it was stored."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from sweep.errors import LedgerError
from sweep.ledger import Ledger
from sweep.ledger.header import SweepHeader
from sweep.mlflow.view import sweep_id

#: What the first versions stored.
OLDEST = {"metric": "dice", "maximize": True, "num_folds": 2, "seed": 0}
#: What a later one stores, with a key that this one does not know and a value of another kind.
NEWER = OLDEST | {
    "phantom": False,
    "runtime": {"device": "cpu"},
    "environment": ["a==1"],
    "git_sha": None,
    "cohort": "unknown",
    "colour": {"of": "the sky"},
}


@pytest.mark.parametrize("stored", [OLDEST, NEWER])
def test_what_is_stored_comes_back_whole(stored: dict[str, Any]) -> None:
    assert SweepHeader.from_stored(stored).to_stored() == stored
    assert SweepHeader.from_stored(json.loads(json.dumps(stored))).to_stored() == stored


def test_what_was_not_noted_is_unknown() -> None:
    header = SweepHeader.from_stored(NEWER)
    assert (header.git_sha, header.cohort, header.store) == (None, None, None)
    assert header.extra == {key: NEWER[key] for key in ("git_sha", "cohort", "colour")}
    assert (header.phantom, SweepHeader.from_stored(OLDEST).phantom) == (False, None)


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        (OLDEST, "4ccf6633d9905d0930854334de8c8a3c"),
        (NEWER, "6f3cb29ad3ba78622fa5e8ce2df8874b"),
    ],
)
def test_a_sweep_keeps_the_id_that_mlflow_knows(stored: dict[str, Any], expected: str) -> None:
    assert sweep_id("first", SweepHeader.from_stored(stored)) == expected


@pytest.mark.parametrize(
    ("key", "value", "found"),
    [
        ("seed", None, "seed: found None, expected int"),
        ("metric", 3, "metric: found 3, expected str"),
        ("num_folds", 0, "num_folds: found 0, expected at least 1"),
    ],
)
def test_a_sweep_without_its_objective_is_none(key: str, value: Any, found: str) -> None:
    with pytest.raises(LedgerError, match=f"the ledger's header: {found}"):
        SweepHeader.from_stored(OLDEST | {key: value})


def test_the_ledger_holds_plain_values(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    Ledger.create(url, "first", header=SweepHeader.from_stored(NEWER)).close()
    found = Ledger.open(url, "first")
    found.close()
    assert found.header == SweepHeader.from_stored(NEWER)
    with sqlite3.connect(tmp_path / "ledger.db") as connection:
        (text,) = connection.execute(
            "select value_json from study_user_attributes where key = 'ptxsweep:header'"
        ).fetchone()
    assert json.loads(text) == NEWER
