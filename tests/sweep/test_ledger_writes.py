"""Our storage's cheaper writes leave what Optuna's own leave."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import RDBStorage

from sweep.ledger.writes import LedgerStorage


def written(storage: RDBStorage) -> tuple[dict[str, Any], str]:
    """Every kind of value, some of it twice, then read back; a NaN equals none, so as text."""
    trial = optuna.create_study(storage=storage).ask()._trial_id
    for value in ({"a": [1, None]}, {"a": [2.5, "x"]}):
        storage.set_trial_user_attr(trial, "row", value)
    for step, number in enumerate((0.1, math.nan, math.inf, -math.inf)):
        storage.set_trial_intermediate_value(trial, step, number)
    storage.set_trial_intermediate_value(trial, 0, 0.7)
    storage.set_trial_intermediate_value(trial, 3, 1.0)
    found = storage.get_trial(trial)
    return found.user_attrs, repr(sorted(found.intermediate_values.items()))


def test_same_as_optuna(tmp_path: Path) -> None:
    ours = written(LedgerStorage(f"sqlite:///{tmp_path / 'ours.db'}"))
    assert ours == written(RDBStorage(f"sqlite:///{tmp_path / 'theirs.db'}"))
    assert ours == ({"row": {"a": [2.5, "x"]}}, "[(0, 0.7), (1, nan), (2, inf), (3, 1.0)]")


def test_a_finished_trial_stays_as_it_is(tmp_path: Path) -> None:
    storage = LedgerStorage(f"sqlite:///{tmp_path / 'ledger.db'}")
    study = optuna.create_study(storage=storage)
    trial = study.ask()
    study.tell(trial, 1.0)
    with pytest.raises(UpdateFinishedTrialError, match="can not be updated"):
        storage.set_trial_user_attr(trial._trial_id, "late", 1)
    with pytest.raises(UpdateFinishedTrialError, match="can not be updated"):
        storage.set_trial_intermediate_value(trial._trial_id, 0, 0.5)
    found = storage.get_trial(trial._trial_id)
    assert (found.user_attrs, found.intermediate_values) == ({}, {})
