"""An ensemble as an MLflow model: saved from code, without a pickle anywhere."""

from ptxcore.inference.ensemble_folder import (
    load_ensemble,
    load_facts,
    usable_runtime,
    write_ensemble,
)
from sweep.mlflow.model_package._model import ENSEMBLE_FOLDER, EnsembleModel
from sweep.mlflow.model_package._save import save_model
from sweep.mlflow.model_package._wheel import write_wheel

__all__ = [
    "ENSEMBLE_FOLDER",
    "EnsembleModel",
    "load_ensemble",
    "load_facts",
    "save_model",
    "usable_runtime",
    "write_ensemble",
    "write_wheel",
]
