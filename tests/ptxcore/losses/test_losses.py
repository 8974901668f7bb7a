from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from ptxcore.losses import SMOOTH_PX, dice_loss, segmentation_loss


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


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match=r"target: found shape \(2, 8, 8\), expected \(2, 1, 8, 8"):
        segmentation_loss(
            torch.zeros(2, 1, 8, 8), torch.zeros(2, 8, 8), bce_weight=1.0, dice_weight=1.0
        )


def test_some_weight_must_be_above_zero() -> None:
    empty = torch.zeros(1, 1, 2, 2)
    with pytest.raises(ValueError, match="bce_weight and dice_weight"):
        segmentation_loss(empty, empty, bce_weight=0.0, dice_weight=0.0)
