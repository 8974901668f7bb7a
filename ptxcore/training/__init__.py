"""Training of one fold, and the runtime it runs on."""

from ptxcore.models import load_weights, save_weights
from ptxcore.training.attempts import attempt_folder, take_over
from ptxcore.training.checkpoint import cases_name
from ptxcore.training.fold import train_fold
from ptxcore.training.runtime import measure_runtime

__all__ = [
    "attempt_folder",
    "cases_name",
    "load_weights",
    "measure_runtime",
    "save_weights",
    "take_over",
    "train_fold",
]
