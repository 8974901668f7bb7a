"""The file that MLflow copies into a model and runs when it is loaded ("models from code").

It needs the installed package `ptxsweep`; its wheel lies in the model's folder and stands first in
the requirements.
"""

from mlflow.models import set_model

try:
    from sweep.mlflow.model_package import EnsembleModel
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"found no package {error.name}, which this model needs; in the model's folder run `pip "
        "install -r requirements.txt` (the wheel of ptxsweep lies there, no index has it), or let "
        "MLflow make the environment: `mlflow models serve --env-manager virtualenv`",
        name=error.name,
    ) from error

set_model(EnsembleModel())
