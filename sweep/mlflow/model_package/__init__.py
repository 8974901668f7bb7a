"""An ensemble as an MLflow model: saved from code, without a pickle anywhere."""

from sweep.mlflow.model_package._ensemble import (
    load_ensemble,
    load_facts,
    usable_runtime,
    write_ensemble,
)
from sweep.mlflow.model_package._model import ENSEMBLE_FOLDER, EnsembleModel, segment
from sweep.mlflow.model_package._save import save_model

__all__ = [
    "ENSEMBLE_FOLDER",
    "EnsembleModel",
    "load_ensemble",
    "load_facts",
    "save_model",
    "segment",
    "usable_runtime",
    "write_ensemble",
]
