"""The file that MLflow copies into a model and runs when it is loaded ("models from code").

It needs the installed package `ptxsweep`; its wheel lies in the model's folder and stands first in
the requirements.
"""

from mlflow.models import set_model

from sweep.mlflow.model_package import EnsembleModel

set_model(EnsembleModel())
