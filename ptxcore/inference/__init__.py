"""Whole images through networks: logits, probabilities and masks on the original grid."""

from ptxcore.inference._attention import predict_attention
from ptxcore.inference._costs import EnsembleCosts, measure_costs
from ptxcore.inference._ensemble import (
    Ensemble,
    Segmentation,
    mean_case_logit,
    mean_logits,
    segment,
    sigmoid,
)
from ptxcore.inference._folded_norms import for_inference_on
from ptxcore.inference._micro_batches import is_out_of_memory
from ptxcore.inference._predict import (
    GridLogits,
    ImageLogits,
    Passes,
    grid_logits,
    on_grid,
    place,
    predict_grid,
    predict_image,
    predict_logits,
    predict_prepared,
    prepared_for,
)

__all__ = [
    "Ensemble",
    "EnsembleCosts",
    "GridLogits",
    "ImageLogits",
    "Passes",
    "Segmentation",
    "for_inference_on",
    "grid_logits",
    "is_out_of_memory",
    "mean_case_logit",
    "mean_logits",
    "measure_costs",
    "on_grid",
    "place",
    "predict_attention",
    "predict_grid",
    "predict_image",
    "predict_logits",
    "predict_prepared",
    "prepared_for",
    "segment",
    "sigmoid",
]
