"""MLflow as a view of the ledger: everything in it can be made again from the ledger alone."""

from sweep.mlflow_view._store import connect, init_store, shown_uri
from sweep.mlflow_view._view import EXPERIMENT, MlflowView

__all__ = ["EXPERIMENT", "MlflowView", "connect", "init_store", "shown_uri"]
