"""What we borrow of Optuna is still there. Fails first when its upper bound is raised."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import optuna
import pytest
from sqlalchemy import UniqueConstraint

from sweep.ledger import compat


@pytest.mark.parametrize(
    ("table", "name", "columns"),
    [
        (
            compat.TRIALS,
            "trials",
            "number study_id state datetime_start datetime_complete",
        ),
        (compat.STUDIES, "studies", "study_name"),
        (compat.PARAMETERS, "trial_params", "trial_id param_name param_value distribution_json"),
        (compat.STUDY_ATTRIBUTES, "study_user_attributes", "study_id key value_json"),
        (compat.TRIAL_ATTRIBUTES, "trial_user_attributes", "trial_id key value_json"),
        (
            compat.EpochValueRow.__table__,
            "trial_intermediate_values",
            "trial_id step intermediate_value intermediate_value_type",
        ),
        (compat.FinalValueRow.__table__, "trial_values", "trial_id objective value value_type"),
    ],
)
def test_tables_have_the_columns_that_we_write_and_no_others(
    table: Any, name: str, columns: str
) -> None:
    """A new column without a default would be left empty by our statements."""
    assert table.name == name
    key = {column.name for column in table.c if column.primary_key}
    assert {column.name for column in table.c} - key == set(columns.split())


@pytest.mark.parametrize(
    ("table", "columns"),
    [
        (compat.STUDY_ATTRIBUTES, {"study_id", "key"}),
        (compat.TRIAL_ATTRIBUTES, {"trial_id", "key"}),
        (compat.EpochValueRow.__table__, {"trial_id", "step"}),
        (compat.FinalValueRow.__table__, {"trial_id", "objective"}),
    ],
)
def test_rows_that_we_replace_are_unique_in_their_keys(table: Any, columns: set[str]) -> None:
    unique = [
        {column.name for column in one.columns}
        for one in table.constraints
        if isinstance(one, UniqueConstraint)
    ]
    assert columns in unique


def test_values_that_no_database_holds_are_stored_as_optuna_does() -> None:
    for stored in (
        compat.EpochValueRow.intermediate_value_to_stored_repr,
        compat.FinalValueRow.value_to_stored_repr,
    ):
        number, kind = stored(0.25)
        assert (number, kind.name) == (0.25, "FINITE")
        assert stored(math.inf)[1].name == "INF_POS"
    assert compat.EpochValueRow.intermediate_value_to_stored_repr(math.nan)[1].name == "NAN"


def test_trials_and_studies_have_ids(tmp_path: Path) -> None:
    storage = optuna.storages.RDBStorage(f"sqlite:///{tmp_path}/ids.db")
    for _ in range(2):  # so that number and id differ
        study = optuna.create_study(storage=storage)
        study.add_trial(optuna.create_trial(value=0.5))
    last = storage.get_all_studies()[-1]
    (trial,) = storage.get_all_trials(compat.study_id(last))
    assert storage.get_trial(compat.trial_id(trial)) == trial
    assert compat.trial_id(trial) != trial.number
    storage.remove_session()
    storage.engine.dispose()


def test_a_study_is_described_by_name_directions_and_attributes() -> None:
    directions = [optuna.study.StudyDirection.MAXIMIZE]
    study = compat.FrozenStudy("views", None, {}, {}, 7, directions=directions)
    assert (study.study_name, compat.study_id(study), study.directions) == ("views", 7, directions)
