"""What we borrow of MLflow's private parts, all of it: its migrations, and columns of its tables.

MLflow promises none of this, so pyproject.toml ends below its next minor release, and
`tests/sweep/mlflow/test_compat.py` says what is gone when that bound is raised.
"""

from __future__ import annotations

from typing import Any

from mlflow.store.db import utils

_database: Any = utils  # half annotated

#: All that holds a place of the artifacts of an experiment, or of something below it.
PLACES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)


def upgrade(url: str) -> None:
    """Lay out a database or bring it up to this version, as `mlflow db upgrade` does."""
    engine = _database.create_sqlalchemy_engine_with_retry(url)
    try:
        if _database._is_empty_database(engine):
            _database._initialize_tables(engine)
        else:
            _database._upgrade_db(engine)
    finally:
        engine.dispose()
