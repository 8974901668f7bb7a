"""MLflow as a view of the ledger: everything in it can be made again from the ledger alone."""

from sweep.mlflow.view._content import sweep_id
from sweep.mlflow.view._find import find_run
from sweep.mlflow.view._metrics import milliseconds
from sweep.mlflow.view._outages import OUTAGES, lasts
from sweep.mlflow.view._removal import remove_runs
from sweep.mlflow.view._store import connect, init_store, quietly
from sweep.mlflow.view._view import EXPERIMENT, MODEL_TRAINING, MlflowView
from sweep.util.redaction import shown_uri

__all__ = [
    "EXPERIMENT",
    "MODEL_TRAINING",
    "OUTAGES",
    "MlflowView",
    "connect",
    "find_run",
    "init_store",
    "lasts",
    "milliseconds",
    "quietly",
    "remove_runs",
    "shown_uri",
    "sweep_id",
]
