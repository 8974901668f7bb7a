from __future__ import annotations

import math
import re
from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor

from ptxcore.errors import SettingsError
from ptxcore.losses import (
    SMOOTH_PX,
    dice_loss,
    focal_loss,
    loss_of,
    segmentation_loss,
    tversky_loss,
)
from ptxcore.settings import FoldSettings


def logits_of(probability: float, shape: tuple[int, ...]) -> Tensor:
    return torch.full(shape, math.log(probability / (1 - probability)), dtype=torch.float64)


def test_one_uncertain_pixel_by_hand() -> None:
    logits, target = torch.zeros(1, 1, 1, 1), torch.ones(1, 1, 1, 1)
    # p = 1/2: 1 - (2 * 1/2 + 1) / (1/2 + 1 + 1) = 1/5
    assert dice_loss(logits, target).item() == pytest.approx(0.2)
    both = segmentation_loss(logits, target, bce_weight=3.0, dice_weight=2.0)
    assert both.item() == pytest.approx(3 * math.log(2) + 2 * 0.2)


@pytest.mark.parametrize("probability", [0.01, 0.3, 0.9])
def test_uniform_probability_in_closed_form(probability: float) -> None:
    shape = (2, 1, 16, 16)
    target = torch.zeros(shape, dtype=torch.float64)
    target[:, :, :4] = 1  # a quarter
    logits = logits_of(probability, shape)
    area, inside = 256.0, 64.0
    dice = 1 - (2 * probability * inside + 1) / (probability * area + inside + 1)
    bce = -(0.25 * math.log(probability) + 0.75 * math.log(1 - probability))
    assert dice_loss(logits, target).item() == pytest.approx(dice)
    only_bce = segmentation_loss(logits, target, bce_weight=1.0, dice_weight=0.0)
    assert only_bce.item() == pytest.approx(bce)


def test_perfect_prediction_costs_nothing() -> None:
    target = torch.zeros(2, 1, 8, 8)
    target[0, 0, 2:5, 2:5] = 1
    logits = (target * 2 - 1) * 50
    assert segmentation_loss(logits, target, bce_weight=1.0, dice_weight=1.0).item() < 1e-6


def test_empty_batch_costs_what_is_predicted_and_asks_for_less() -> None:
    target = torch.zeros(4, 1, 16, 16, dtype=torch.float64)
    for probability in (0.001, 0.01, 0.5):
        logits = logits_of(probability, target.shape).requires_grad_()
        loss = dice_loss(logits, target)
        total = probability * 256
        assert loss.item() == pytest.approx(total / (total + SMOOTH_PX))
        (gradient,) = torch.autograd.grad(loss, logits)
        slope = probability * (1 - probability) * SMOOTH_PX / (total + SMOOTH_PX) ** 2 / 4
        torch.testing.assert_close(gradient, torch.full_like(gradient, slope))
        assert slope > 0


@pytest.mark.parametrize("weights", [{"dice_weight": 1.0}, {"tversky_weight": 1.0}])
def test_empty_samples_can_be_left_to_the_other_terms(weights: dict[str, float]) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 1, 8, 8, generator=generator, requires_grad=True)
    target = torch.zeros(3, 1, 8, 8)
    target[1, 0, :3] = 0.4  # a soft mask is foreground

    def loss(bce: float, chosen: slice) -> Tensor:
        values = {"dice_weight": 0.0, **weights, "bce_weight": bce, "dice_on_empty": False}
        return segmentation_loss(logits[chosen], target[chosen], **values)

    # A mean over all samples, of which two have a loss of 0 and no gradient.
    whole = loss(0.0, slice(3))
    torch.testing.assert_close(whole, loss(0.0, slice(1, 2)) / 3)
    (gradient,) = torch.autograd.grad(whole, logits)
    assert gradient.flatten(1).abs().amax(1).gt(0).tolist() == [False, True, False]
    # The cross-entropy asks of them what it always did.
    (gradient,) = torch.autograd.grad(loss(1.0, slice(3)), logits)
    assert (gradient[0] > 0).all()


@pytest.mark.parametrize("on_empty", [True, False])
def test_what_predicting_nothing_costs_a_batch_that_is_half_empty(on_empty: bool) -> None:
    """A network that overlaps by a third and has ten pixels' worth on healthy images."""
    target, found = torch.zeros(2, 1, 32, 32), torch.full((2, 1, 32, 32), -20.0)
    target[0, 0, :10, :10] = 1
    nothing = found.clone()
    found[0, 0, 5:15, :10] = 20.0  # half of it, and as much beside it
    found[0, 0, 5:15, 3:13] = 20.0
    found[1, 0, 0, :10] = 20.0
    costs = [dice_loss(logits, target, on_empty=on_empty).item() for logits in (found, nothing)]
    assert (costs[1] < costs[0]) is on_empty


def test_gradient_descent_empties_an_empty_batch_with_dice_alone() -> None:
    target = torch.zeros(2, 1, 16, 16)
    logits = torch.zeros_like(target, requires_grad=True)
    optimizer = torch.optim.Adam([logits], lr=0.2)
    for _ in range(100):
        optimizer.zero_grad()
        segmentation_loss(logits, target, bce_weight=0.0, dice_weight=1.0).backward()
        optimizer.step()
    assert logits.sigmoid().sum((1, 2, 3)).max().item() < 0.2


def test_each_sample_counts_the_same() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 1, 8, 8, generator=generator)
    target = torch.zeros_like(logits)
    target[0, 0, :6] = 1
    target[1, 0, 0, 0] = 1
    one_by_one = [dice_loss(logits[i : i + 1], target[i : i + 1]) for i in range(3)]
    assert dice_loss(logits, target).item() == pytest.approx(
        float(torch.stack(one_by_one).mean()), abs=1e-6
    )
    reordered = dice_loss(logits[[2, 0, 1]], target[[2, 0, 1]])
    assert reordered.item() == pytest.approx(dice_loss(logits, target).item(), abs=1e-6)


@pytest.mark.parametrize(("bce", "dice"), [(1.0, 0.0), (0.0, 1.0), (0.7, 1.3)])
@pytest.mark.parametrize("empty", [False, True])
def test_gradients_are_those_of_the_formula(bce: float, dice: float, empty: bool) -> None:
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(2, 1, 4, 5, generator=generator, dtype=torch.float64, requires_grad=True)
    target = torch.rand(2, 1, 4, 5, generator=generator, dtype=torch.float64)  # soft masks too
    if empty:
        target = torch.zeros_like(target)

    def loss(values: Tensor) -> Tensor:
        return segmentation_loss(values, target, bce_weight=bce, dice_weight=dice)

    assert torch.autograd.gradcheck(loss, (logits,))


def test_half_precision_logits_are_summed_in_single_precision() -> None:
    generator = torch.Generator().manual_seed(2)
    logits = (torch.randn(1, 1, 256, 256, generator=generator) - 4).bfloat16()
    target = (torch.rand(1, 1, 256, 256, generator=generator) > 0.99).float()
    expected = segmentation_loss(logits.float(), target, bce_weight=1.0, dice_weight=1.0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = segmentation_loss(logits, target, bce_weight=1.0, dice_weight=1.0)
    assert found.dtype == torch.float32
    assert found.item() == pytest.approx(expected.item(), rel=1e-6)


@pytest.mark.parametrize(
    "loss",
    [
        dice_loss,
        partial(tversky_loss, alpha=0.3),
        partial(focal_loss, gamma=2.0),
        partial(segmentation_loss, bce_weight=1.0, dice_weight=1.0),
    ],
)
@pytest.mark.parametrize("shape", [(2, 8, 8), (1, 1, 8, 8)])
def test_shapes_must_agree(loss: Callable[..., Tensor], shape: tuple[int, ...]) -> None:
    message = rf"target: found shape {re.escape(str(shape))}, expected \(2, 1, 8, 8\)"
    with pytest.raises(SettingsError, match=message):
        loss(torch.zeros(2, 1, 8, 8), torch.zeros(shape))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"bce_weight": -1.0}, r"bce_weight: found -1\.0, expected a value of at least 0"),
        ({"dice_weight": math.nan}, "dice_weight: found nan"),
        ({"tversky_weight": 1.0, "tversky_alpha": 5.0}, r"alpha: found 5\.0, expected .* \(0, 1\)"),
        ({"focal_weight": 1.0, "focal_gamma": -1.0}, r"gamma: found -1\.0"),
    ],
)
def test_values_out_of_their_range_are_refused(values: dict[str, float], message: str) -> None:
    empty = torch.zeros(1, 1, 2, 2)
    with pytest.raises(SettingsError, match=message):
        segmentation_loss(empty, empty, **{"bce_weight": 1.0, "dice_weight": 1.0, **values})


def test_some_weight_must_be_above_zero() -> None:
    empty = torch.zeros(1, 1, 2, 2)
    with pytest.raises(SettingsError, match="bce_weight and dice_weight"):
        segmentation_loss(empty, empty, bce_weight=0.0, dice_weight=0.0)


def test_focal_and_tversky_in_closed_form() -> None:
    shape = (2, 1, 16, 16)
    target = torch.zeros(shape, dtype=torch.float64)
    target[:, :, :4] = 1  # a quarter
    p, gamma, alpha = 0.3, 1.5, 0.2
    focal = -(0.25 * 0.7**gamma * math.log(p) + 0.75 * p**gamma * math.log(0.7))
    assert focal_loss(logits_of(p, shape), target, gamma=gamma).item() == pytest.approx(focal)
    hit, false_positive, missed = 64 * p, 192 * p, 64 * 0.7
    tversky = 1 - (hit + 1) / (hit + alpha * false_positive + 0.8 * missed + 1)
    assert tversky_loss(logits_of(p, shape), target, alpha=alpha).item() == pytest.approx(tversky)


def test_focal_without_focus_is_cross_entropy_on_soft_masks_too() -> None:
    generator = torch.Generator().manual_seed(3)
    logits = 9 * torch.randn(2, 1, 8, 8, generator=generator)
    target = torch.rand(2, 1, 8, 8, generator=generator)
    expected = segmentation_loss(logits, target, bce_weight=1.0, dice_weight=0.0)
    torch.testing.assert_close(focal_loss(logits, target, gamma=0.0), expected)


def test_the_same_values_as_monai_on_hard_masks() -> None:
    from monai.losses import FocalLoss, TverskyLoss

    generator = torch.Generator().manual_seed(4)
    logits = 3 * torch.randn(3, 1, 8, 8, generator=generator)
    target = (torch.rand(3, 1, 8, 8, generator=generator) > 0.8).float()
    theirs = FocalLoss(gamma=2.0)(logits, target)
    torch.testing.assert_close(focal_loss(logits, target, gamma=2.0), theirs)
    # MONAI's alpha is the cost of a false positive, as ours.
    theirs = TverskyLoss(sigmoid=True, alpha=0.3, beta=0.7, smooth_nr=1.0, smooth_dr=1.0)
    torch.testing.assert_close(tversky_loss(logits, target, alpha=0.3), theirs(logits, target))


@pytest.mark.parametrize("probability", [0.001, 0.01, 0.5])
def test_focal_and_tversky_ask_an_empty_batch_for_less(probability: float) -> None:
    target = torch.zeros(4, 1, 16, 16, dtype=torch.float64)
    logits = logits_of(probability, target.shape).requires_grad_()
    focal = focal_loss(logits, target, gamma=2.0)
    assert focal.item() == pytest.approx(-(probability**2) * math.log(1 - probability))
    tversky = tversky_loss(logits, target, alpha=0.3)
    total = 0.3 * probability * 256
    assert tversky.item() == pytest.approx(total / (total + SMOOTH_PX))
    for loss in (focal, tversky):
        (gradient,) = torch.autograd.grad(loss, logits)
        assert (gradient > 0).all()


@pytest.mark.parametrize("gamma", [0.3, 2.0])
@pytest.mark.parametrize("alpha", [0.2, 0.7])
@pytest.mark.parametrize("empty", [False, True])
def test_gradients_of_all_terms_together(gamma: float, alpha: float, empty: bool) -> None:
    generator = torch.Generator().manual_seed(5)
    logits = torch.randn(2, 1, 4, 5, generator=generator, dtype=torch.float64, requires_grad=True)
    target = torch.rand(2, 1, 4, 5, generator=generator, dtype=torch.float64)
    settings = FoldSettings(
        bce_weight=0.5, focal_weight=1.5, focal_gamma=gamma, tversky_weight=2.0, tversky_alpha=alpha
    )
    truth = torch.zeros_like(target) if empty else target
    assert torch.autograd.gradcheck(lambda values: loss_of(settings, values, truth), (logits,))


@pytest.mark.parametrize("gamma", [0.0, 0.3, 2.0])
def test_focal_gradients_stay_finite_where_probabilities_round(gamma: float) -> None:
    logits = torch.tensor([[[[-200.0, -40.0, 40.0, 200.0]]]], requires_grad=True)
    for target in (torch.zeros_like(logits), torch.ones_like(logits)):
        loss = focal_loss(logits, target, gamma=gamma)
        (gradient,) = torch.autograd.grad(loss, logits)
        assert torch.isfinite(gradient).all()
        assert loss.item() == pytest.approx(60.0, rel=1e-5)  # (40 + 200) / 4
