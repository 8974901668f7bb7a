"""Whole images through networks: logits, probabilities and masks on the original grid."""

from ptxcore.inference._attention import predict_attention
from ptxcore.inference._costs import EnsembleCosts, measure_costs
from ptxcore.inference._ensemble import Ensemble, mean_logits, segment, sigmoid
from ptxcore.inference._folded_norms import for_inference_on
from ptxcore.inference._micro_batches import is_out_of_memory
from ptxcore.inference._predict import (
    Passes,
    on_grid,
    place,
    predict_grid,
    predict_logits,
    predict_prepared,
    prepared_for,
)

__all__ = [
    "Ensemble",
    "EnsembleCosts",
    "Passes",
    "for_inference_on",
    "is_out_of_memory",
    "mean_logits",
    "measure_costs",
    "on_grid",
    "place",
    "predict_attention",
    "predict_grid",
    "predict_logits",
    "predict_prepared",
    "prepared_for",
    "segment",
    "sigmoid",
]
