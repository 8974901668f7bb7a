"""Losses on logits.

Our own few lines and not MONAI's classes: its focal loss turns float64 into float32, so that no
gradient of it can be checked, and its Dice loss needs a smoothing of 1 to see an empty patch at
all. The tests compare values with MONAI's.

What an empty batch does: every term falls as less is predicted and has a gradient everywhere, so
each asks for an empty prediction. The Dice loss asks for it more than for anything else: a few
pixels of an empty target cost as much as a lost lesion, and a network that sees many healthy images
can learn to predict nothing at all. `dice_on_empty=False` leaves those to the cross-entropy.
"""

from __future__ import annotations

import math

import torch
from torch.nn import functional

from ptxcore.errors import SettingsError
from ptxcore.limits import LOSS_WEIGHTS
from ptxcore.settings import FoldSettings

#: Added to both sides of the Dice fraction, in pixels. Without it an empty patch has a loss of
#: almost 1 whatever is predicted, and next to no gradient (MONAI's default does that).
SMOOTH_PX = 1.0


def dice_loss(logits: torch.Tensor, target: torch.Tensor, *, on_empty: bool = True) -> torch.Tensor:
    """Soft Dice loss, the mean over samples (Milletari 2016, with sums instead of squares).

    Per sample 1 - (2 sum(p t) + s) / (sum(p) + sum(t) + s) with s = `SMOOTH_PX`. On an empty
    target it is sum(p) / (sum(p) + s): 0 for an empty prediction, so its gradient asks for less.

    Args:
        logits: Shape (B, 1, H, W), float.
        target: Shape (B, 1, H, W), float in [0, 1]; soft masks are allowed.
        on_empty: Whether an empty target has a loss, or 0 whatever is predicted.

    Returns:
        Scalar in [0, 1), float32 at least.

    Raises:
        SettingsError: The shapes differ.
    """
    _check_shapes(logits, target)
    probability = _wide(logits).sigmoid().flatten(1)
    truth = target.to(probability.dtype).flatten(1)
    overlap = (probability * truth).sum(1)
    total = probability.sum(1) + truth.sum(1)
    losses = 1.0 - (2.0 * overlap + SMOOTH_PX) / (total + SMOOTH_PX)
    return _counted(losses, truth, on_empty=on_empty).mean()


def tversky_loss(
    logits: torch.Tensor, target: torch.Tensor, *, alpha: float, on_empty: bool = True
) -> torch.Tensor:
    """Tversky loss, the mean over samples (Salehi et al. 2017, arXiv:1706.05721, equation 3).

    Per sample 1 - (TP + s) / (TP + alpha FP + (1 - alpha) FN + s) with soft counts and
    s = `SMOOTH_PX`. On an empty target it is alpha sum(p) / (alpha sum(p) + s). At alpha = 1/2 it
    is the Dice loss with twice the smoothing.

    Args:
        logits: Shape (B, 1, H, W), float.
        target: Shape (B, 1, H, W), float in [0, 1]; soft masks are allowed.
        alpha: Cost of a false positive, in (0, 1); below 1/2 it favours sensitivity.
        on_empty: Whether an empty target has a loss, or 0 whatever is predicted.

    Returns:
        Scalar in [0, 1), float32 at least.

    Raises:
        SettingsError: The shapes differ, or alpha is out of its range.
    """
    _check_shapes(logits, target)
    if not 0 < alpha < 1:
        raise SettingsError(f"alpha: found {alpha}, expected a value in (0, 1)")
    probability = _wide(logits).sigmoid().flatten(1)
    truth = target.to(probability.dtype).flatten(1)
    hit = (probability * truth).sum(1)
    false_positive = probability.sum(1) - hit
    false_negative = truth.sum(1) - hit
    cost = alpha * false_positive + (1 - alpha) * false_negative
    losses = 1.0 - (hit + SMOOTH_PX) / (hit + cost + SMOOTH_PX)
    return _counted(losses, truth, on_empty=on_empty).mean()


def focal_loss(logits: torch.Tensor, target: torch.Tensor, *, gamma: float) -> torch.Tensor:
    """Focal loss without class weights, the mean over pixels (Lin et al. 2017, arXiv:1708.02002).

    Per pixel -t (1 - p)^gamma log(p) - (1 - t) p^gamma log(1 - p): their equation 4 where a pixel
    is all or nothing, and linear in a soft mask. Powers are taken of logarithms, so that the
    gradient stays finite where p rounds to 0 or 1. On an empty target it is the mean of
    -p^gamma log(1 - p), with a gradient that asks for less, but a vanishing one for small p.

    Args:
        logits: Any shape, float.
        target: Same shape, float in [0, 1].
        gamma: Gamma, at least 0; 0 is binary cross-entropy.

    Returns:
        Scalar, at least 0, float32 at least.

    Raises:
        SettingsError: The shapes differ, or gamma is out of its range.
    """
    _check_shapes(logits, target)
    if not 0 <= gamma < math.inf:
        raise SettingsError(f"gamma: found {gamma}, expected a value of at least 0")
    wide = _wide(logits)
    truth = target.to(wide.dtype)
    log_present, log_absent = functional.logsigmoid(wide), functional.logsigmoid(-wide)
    present = truth * (gamma * log_absent).exp() * log_present
    absent = (1 - truth) * (gamma * log_present).exp() * log_absent
    return -(present + absent).mean()


def segmentation_loss(
    logits: torch.Tensor,
    target: torch.Tensor,
    *,
    bce_weight: float,
    dice_weight: float,
    focal_weight: float = 0.0,
    focal_gamma: float = 2.0,
    tversky_weight: float = 0.0,
    tversky_alpha: float = 0.3,
    dice_on_empty: bool = True,
) -> torch.Tensor:
    """The weighted sum of binary cross-entropy, `dice_loss`, `focal_loss` and `tversky_loss`.

    Args:
        logits: Shape (B, 1, H, W), float.
        target: Shape (B, 1, H, W), float in [0, 1].
        bce_weight: Weight, at least 0; the cross-entropy is the mean over pixels.
        dice_weight: Weight, at least 0.
        focal_weight: Weight, at least 0.
        focal_gamma: Gamma of the focal loss.
        tversky_weight: Weight, at least 0.
        tversky_alpha: Alpha of the Tversky loss.
        dice_on_empty: Whether the Dice and the Tversky loss count samples with an empty target.

    Returns:
        Scalar, float32 at least: a sum over 65,536 bfloat16 probabilities has three digits.

    Raises:
        SettingsError: The shapes differ, a weight is below 0, all are 0, or what shapes a term that
            counts is out of its range.
    """
    _check_shapes(logits, target)
    weights = (bce_weight, dice_weight, focal_weight, tversky_weight)
    for name, weight in zip(LOSS_WEIGHTS, weights, strict=True):
        if not 0 <= weight < math.inf:
            raise SettingsError(f"{name}: found {weight}, expected a value of at least 0")
    if not any(weights):
        raise SettingsError(f"{' and '.join(LOSS_WEIGHTS)}: found none above 0, expected one")
    wide = _wide(logits)
    loss = wide.new_zeros(())
    if bce_weight > 0:
        cross = functional.binary_cross_entropy_with_logits(wide, target.to(wide.dtype))
        loss = loss + bce_weight * cross
    if dice_weight > 0:
        loss = loss + dice_weight * dice_loss(wide, target, on_empty=dice_on_empty)
    if focal_weight > 0:
        loss = loss + focal_weight * focal_loss(wide, target, gamma=focal_gamma)
    if tversky_weight > 0:
        tversky = tversky_loss(wide, target, alpha=tversky_alpha, on_empty=dice_on_empty)
        loss = loss + tversky_weight * tversky
    return loss


def loss_of(settings: FoldSettings, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """`segmentation_loss` with the weights of the settings.

    Args:
        settings: Settings, of which the weights and shapes of the terms count here.
        logits: Shape (B, 1, H, W), any floating type.
        target: The same shape, covered share of each pixel in [0, 1].

    Returns:
        A scalar, float32 at least.

    Raises:
        SettingsError: The shapes differ.
    """
    return segmentation_loss(
        logits,
        target,
        bce_weight=settings.bce_weight,
        dice_weight=settings.dice_weight,
        focal_weight=settings.focal_weight,
        focal_gamma=settings.focal_gamma,
        tversky_weight=settings.tversky_weight,
        tversky_alpha=settings.tversky_alpha,
        dice_on_empty=settings.dice_on_empty,
    )


def case_loss(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Binary cross-entropy of whether a sample has anything to segment, the mean over samples.

    Of a patch that is what the patch shows: a patch beside the finding is an empty one.

    Args:
        logits: Logits of the case head, shape (B, 1), any floating type.
        target: Covered share of each pixel in [0, 1], shape (B, 1, H, W); positive is a sample in
            which any is above 0.

    Returns:
        Scalar, at least 0, float32 at least.
    """
    wide = _wide(logits)
    positive = (target.flatten(1).amax(1, keepdim=True) > 0).to(wide.dtype)
    return functional.binary_cross_entropy_with_logits(wide, positive)


@torch.no_grad()
def losses_of_samples(
    settings: FoldSettings, logits: torch.Tensor, target: torch.Tensor
) -> torch.Tensor:
    """`loss_of` each sample alone, without a gradient.

    Args:
        settings: Settings, as for `loss_of`.
        logits: Shape (B, 1, H, W), B at least 1.
        target: The same shape.

    Returns:
        Shape (B,), on the device of the logits.
    """
    pairs = zip(logits, target, strict=True)
    return torch.stack([loss_of(settings, sample[None], truth[None]) for sample, truth in pairs])


def _counted(losses: torch.Tensor, truth: torch.Tensor, *, on_empty: bool) -> torch.Tensor:
    """Losses of samples, 0 for those with an empty target if they do not count.

    Still a mean over all samples, so that the parts of a split batch add up to the whole.
    """
    return losses if on_empty else losses * (truth.amax(1) > 0)


def _check_shapes(logits: torch.Tensor, target: torch.Tensor) -> None:
    """Refuse what would broadcast."""
    if logits.shape != target.shape:
        raise SettingsError(
            f"target: found shape {tuple(target.shape)}, expected {tuple(logits.shape)} as logits"
        )


def _wide(logits: torch.Tensor) -> torch.Tensor:
    """At least single precision."""
    return logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits
