"""An ensemble as an MLflow model: saved from code, without a pickle anywhere.

What imports MLflow is imported when it is first asked for.
"""

import importlib
from typing import TYPE_CHECKING, Any

from ptxcore.inference.ensemble_folder import (
    load_ensemble,
    load_facts,
    usable_runtime,
    write_ensemble,
)
from sweep.mlflow.model_package._places import ARTIFACT, ENSEMBLE_FOLDER
from sweep.mlflow.model_package._wheel import write_wheel

if TYPE_CHECKING:
    from sweep.mlflow.model_package._model import EnsembleModel
    from sweep.mlflow.model_package._save import save_model

__all__ = [
    "ARTIFACT",
    "ENSEMBLE_FOLDER",
    "EnsembleModel",
    "load_ensemble",
    "load_facts",
    "save_model",
    "usable_runtime",
    "write_ensemble",
    "write_wheel",
]


def __getattr__(name: str) -> Any:
    """Import a name (PEP 562)."""
    places = {"EnsembleModel": "_model", "save_model": "_save"}
    if name not in places:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{places[name]}"), name)
