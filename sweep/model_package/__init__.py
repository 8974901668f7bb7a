"""An ensemble as an MLflow model: saved from code, without a pickle anywhere."""

from sweep.model_package._ensemble import load_ensemble, usable_runtime, write_ensemble
from sweep.model_package._model import EnsembleModel
from sweep.model_package._save import save_model

__all__ = ["EnsembleModel", "load_ensemble", "save_model", "usable_runtime", "write_ensemble"]
