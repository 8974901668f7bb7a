"""Our storage's commits leave what Optuna's own writes leave, all of it or nothing."""

from __future__ import annotations

import math
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import RDBStorage
from optuna.trial import TrialState

from sweep.ledger.sql import (
    Attribute,
    Change,
    Ended,
    EpochValue,
    Fence,
    Fenced,
    LedgerStorage,
    StudyAttribute,
)

ENDS = [
    (TrialState.COMPLETE, 0.25),
    (TrialState.COMPLETE, math.inf),
    (TrialState.PRUNED, 0.5),
    (TrialState.PRUNED, None),
    (TrialState.FAIL, None),
]


def changes(trial: int, state: TrialState, value: float | None) -> list[Change]:
    """Every kind of value, some of it twice."""
    rows = [Attribute(trial, "row", value) for value in ({"a": [1, None]}, {"a": [2.5, "x"]})]
    values = [(0, 0.1), (1, math.nan), (2, math.inf), (3, -math.inf), (0, 0.7), (3, 1.0)]
    return [
        *rows,
        *(EpochValue(trial, step, number) for step, number in values),
        Ended(trial, state, value),
    ]


def read(storage: RDBStorage, trial: int) -> tuple[dict[str, Any], str]:
    """What a trial holds; a NaN equals none, so its values are text."""
    found = storage.get_trial(trial)
    assert found.datetime_start is not None
    assert found.datetime_complete is not None
    assert found.datetime_complete >= found.datetime_start
    values = sorted(found.intermediate_values.items())
    return found.user_attrs, repr((values, found.state, found.values))


@pytest.mark.parametrize(("state", "value"), ENDS)
def test_same_as_optuna(tmp_path: Path, state: TrialState, value: float | None) -> None:
    ours = LedgerStorage(f"sqlite:///{tmp_path / 'ours.db'}")
    trial = optuna.create_study(storage=ours).ask()._trial_id
    ours.commit(*changes(trial, state, value))
    theirs = LedgerStorage(f"sqlite:///{tmp_path / 'theirs.db'}")
    other = optuna.create_study(storage=theirs).ask()._trial_id
    for change in changes(other, state, value):
        theirs._write_by_optuna(change)  # as on other databases
    assert read(ours, trial) == read(theirs, other)
    attributes, rest = read(ours, trial)
    assert attributes == {"row": {"a": [2.5, "x"]}}
    assert rest.startswith("([(0, 0.7), (1, nan), (2, inf), (3, 1.0)]")


def test_a_finished_trial_stays_as_it_is(tmp_path: Path) -> None:
    storage = LedgerStorage(f"sqlite:///{tmp_path / 'ledger.db'}")
    study = optuna.create_study(storage=storage)
    trial, other = study.ask(), study.ask()
    study.tell(trial, 1.0)
    late = [
        Attribute(trial._trial_id, "late", 1),
        EpochValue(trial._trial_id, 0, 0.5),
        Ended(trial._trial_id, TrialState.PRUNED, None),
    ]
    for change in late:
        with pytest.raises(UpdateFinishedTrialError, match="can not be updated"):
            storage.commit(Attribute(other._trial_id, "before", 1), change)
    found = storage.get_trial(trial._trial_id)
    assert (found.user_attrs, found.intermediate_values) == ({}, {})
    assert found.state is TrialState.COMPLETE
    assert storage.get_trial(other._trial_id).user_attrs == {}, "half a commit was written"


def test_nothing_is_written_behind_an_end(tmp_path: Path) -> None:
    storage = LedgerStorage(f"sqlite:///{tmp_path / 'ledger.db'}")
    trial = optuna.create_study(storage=storage).ask()._trial_id
    with pytest.raises(UpdateFinishedTrialError, match="can not be updated"):
        storage.commit(Ended(trial, TrialState.FAIL, None), Attribute(trial, "late", 1))
    assert storage.get_trial(trial).state is TrialState.RUNNING


def test_a_trial_is_made_as_by_optuna(tmp_path: Path) -> None:
    values = {"rate": 0.25, "size": 8, "norm": "batch"}
    distributions = {
        "rate": FloatDistribution(1e-4, 1.0, log=True),
        "size": IntDistribution(2, 16, step=2),
        "norm": CategoricalDistribution(("instance", "batch")),
    }
    template = optuna.trial.create_trial(
        state=TrialState.RUNNING,
        params=values,
        distributions=distributions,
        user_attrs={"added": {"seq": 0}},
    )
    ours = LedgerStorage(f"sqlite:///{tmp_path / 'ours.db'}")
    theirs = LedgerStorage(f"sqlite:///{tmp_path / 'theirs.db'}")
    studies = [optuna.create_study(storage=one)._study_id for one in (ours, theirs)]
    ours.commit(StudyAttribute(studies[0], "lease", "me"))
    fence = Fence(studies[0], "lease", '"me"')
    for number in range(2):
        ours.create_fenced_trial(studies[0], number, template, fence)
        theirs.create_new_trial(studies[1], template)
    found, expected = ours.get_all_trials(studies[0]), theirs.get_all_trials(studies[1])
    for one, other in zip(found, expected, strict=True):
        assert abs(one.datetime_start - datetime.now()).total_seconds() < 60
        one.datetime_start = other.datetime_start
    assert found == expected
    with pytest.raises(Fenced, match="another text in the fence"):
        ours.create_fenced_trial(studies[0], 2, template, Fence(studies[0], "lease", '"you"'))
    assert len(ours.get_all_trials(studies[0])) == 2


@pytest.mark.parametrize("zone", ["UTC", "JST-9", "EST5"])
def test_times_are_those_of_the_wall_clock_wherever_that_is(
    tmp_path: Path, zone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        storage = LedgerStorage(f"sqlite:///{tmp_path / 'ledger.db'}")
        trial = optuna.create_study(storage=storage).ask()._trial_id
        storage.commit(Ended(trial, TrialState.FAIL, None))
        ended = storage.get_trial(trial).datetime_complete
        assert abs(ended - datetime.now()).total_seconds() < 60
    finally:
        monkeypatch.undo()
        time.tzset()
