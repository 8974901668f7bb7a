"""What we borrow of MLflow's private parts, all of it: migrations, columns of tables, views.

MLflow promises none of this, so pyproject.toml ends below its next minor release, and
`tests/sweep/mlflow/test_compat.py` says what is gone when that bound is raised.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
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

#: Name of our view, in tags of experiments and in addresses.
VIEW = "ptxsweep"


def shared_view(columns: Sequence[str], *, order_by: str) -> tuple[str, str]:
    """The tag of an experiment that its page shares a view by, `VIEW`: key and value.

    Args:
        columns: What the table of runs shows, such as "metrics.`score`".
        order_by: The one that it is sorted by, the highest first.
    """
    state = {"selectedColumns": list(columns), "orderByKey": order_by, "orderByAsc": False}
    return f"mlflow.sharedViewState.{VIEW}", json.dumps(state)


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
