"""The file that MLflow copies into a model and runs when it is loaded ("models from code").

It needs the installed package `ptxsweep`, whose wheel lies in the model's folder and stands first
in its requirements.
"""

from mlflow.models import set_model

from sweep.mlflow.model_package import EnsembleModel

set_model(EnsembleModel())
