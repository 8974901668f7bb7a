"""Training of one fold, and the runtime it runs on."""

from ptxcore.models import load_weights, save_weights
from ptxcore.training.attempts import attempt_folder, continue_from
from ptxcore.training.checkpoint import cases_name
from ptxcore.training.fold import train_fold
from ptxcore.training.runtime import has_gpu, measure_runtime, measure_step

__all__ = [
    "attempt_folder",
    "cases_name",
    "continue_from",
    "has_gpu",
    "load_weights",
    "measure_runtime",
    "measure_step",
    "save_weights",
    "train_fold",
]
