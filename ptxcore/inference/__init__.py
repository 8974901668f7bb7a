"""Whole images through networks: logits, probabilities and masks on the original grid."""

from ptxcore.inference._ensemble import Ensemble
from ptxcore.inference._predict import place, predict_logits, predict_prepared

__all__ = ["Ensemble", "place", "predict_logits", "predict_prepared"]
