"""Losses on logits."""

from __future__ import annotations

import torch
from torch.nn import functional

#: Added to both sides of the Dice fraction, in pixels. Without it an empty patch has a loss of
#: almost 1 whatever is predicted, and next to no gradient (MONAI's default does that).
SMOOTH_PX = 1.0


def dice_loss(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Soft Dice loss, the mean over samples (Milletari 2016, with sums instead of squares).

    Per sample 1 - (2 sum(p t) + s) / (sum(p) + sum(t) + s) with s = `SMOOTH_PX`. On an empty
    target it is sum(p) / (sum(p) + s): 0 for an empty prediction, so its gradient asks for less.

    Args:
        logits: Shape (B, 1, H, W), float.
        target: Shape (B, 1, H, W), float in [0, 1]; soft masks are allowed.

    Returns:
        Scalar in [0, 1), float32 at least.
    """
    wide = logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits
    probability = wide.sigmoid().flatten(1)
    truth = target.to(probability.dtype).flatten(1)
    overlap = (probability * truth).sum(1)
    total = probability.sum(1) + truth.sum(1)
    return (1.0 - (2.0 * overlap + SMOOTH_PX) / (total + SMOOTH_PX)).mean()


def segmentation_loss(
    logits: torch.Tensor, target: torch.Tensor, *, bce_weight: float, dice_weight: float
) -> torch.Tensor:
    """`bce_weight` times binary cross-entropy plus `dice_weight` times `dice_loss`.

    Args:
        logits: Shape (B, 1, H, W), float.
        target: Shape (B, 1, H, W), float in [0, 1].
        bce_weight: At least 0; the cross-entropy is the mean over pixels.
        dice_weight: At least 0.

    Returns:
        Scalar, float32 at least: a sum over 65,536 bfloat16 probabilities has three digits.

    Raises:
        ValueError: The shapes differ, or both weights are 0.
    """
    if logits.shape != target.shape:
        raise ValueError(
            f"target: found shape {tuple(target.shape)}, expected {tuple(logits.shape)} as logits"
        )
    if bce_weight <= 0 and dice_weight <= 0:
        raise ValueError("bce_weight and dice_weight: found neither above 0, expected one")
    wide = logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits
    loss = wide.new_zeros(())
    if bce_weight > 0:
        cross = functional.binary_cross_entropy_with_logits(wide, target.to(wide.dtype))
        loss = loss + bce_weight * cross
    if dice_weight > 0:
        loss = loss + dice_weight * dice_loss(wide, target)
    return loss
