"""Whole images through networks: logits, probabilities and masks on the original grid."""

from ptxcore.inference._ensemble import Ensemble
from ptxcore.inference._predict import (
    on_grid,
    place,
    predict_grid,
    predict_logits,
    predict_prepared,
)

__all__ = [
    "Ensemble",
    "on_grid",
    "place",
    "predict_grid",
    "predict_logits",
    "predict_prepared",
]
