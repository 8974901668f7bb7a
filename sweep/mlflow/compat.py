"""What we borrow of MLflow's private parts, all of it: migrations, tables, views and sessions.

MLflow promises none of this, so pyproject.toml ends below its next minor release, and
`tests/sweep/mlflow/test_compat.py` says what is gone when that bound is raised.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from mlflow import MlflowClient
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


class Undone(Exception):
    """MLflow found something in its database already, and all of a transaction was undone."""


@contextmanager
def one_transaction(client: MlflowClient) -> Iterator[None]:
    """Whatever a client sends while the block runs becomes one transaction, or nothing does.

    MLflow's store opens some thirty sessions for a trial, each with a commit and three settings.
    Here they share one. Nothing changes where a server has the database.

    Args:
        client: The only user of its store in this process while the block runs.

    Raises:
        Undone: What was sent is there already, as after a process that ended in the middle; MLflow
            sorts that out where each call has its own session.
    """
    store: Any = client._tracking_client.store
    maker = getattr(store, "ManagedSessionMaker", None)
    if maker is None:
        yield
        return
    depth = 0
    failure: Exception | None = None

    def undo() -> None:
        nonlocal failure
        failure = Undone()
        raise failure

    try:
        with maker(read_only=False) as session:

            @contextmanager
            def shared(**_kind: bool) -> Iterator[Any]:
                nonlocal depth
                depth += 1
                try:
                    yield session
                    session.flush()
                finally:
                    depth -= 1
                if not depth:
                    session.expunge_all()  # each user of a session finds it as if it was new

            session.commit, session.rollback = session.flush, undo
            store.ManagedSessionMaker = shared
            try:
                yield
            except Exception as error:
                failure = failure or error
                raise
            finally:
                store.ManagedSessionMaker = maker
                del session.commit, session.rollback
    except Exception:
        if failure is not None:  # which MLflow says in its own words
            raise failure from None
        raise
