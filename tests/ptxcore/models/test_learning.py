from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from ptxcore.losses import segmentation_loss
from ptxcore.metrics import build_table, count_case, summarize
from ptxcore.models import build_network
from ptxcore.settings import FoldSettings


def disks(num: int, *, seed: int) -> tuple[Tensor, Tensor]:
    """Noisy images of shape (num, 1, 32, 32) with one faint disk each, and its mask."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:32, :32]
    centres = rng.uniform(8, 24, (num, 2, 1, 1))
    mask = (rows - centres[:, 0]) ** 2 + (columns - centres[:, 1]) ** 2 <= 25
    images = mask + rng.normal(0, 0.5, mask.shape)
    return (
        torch.from_numpy(images.astype(np.float32))[:, None],
        torch.from_numpy(mask.astype(np.float32))[:, None],
    )


@pytest.mark.parametrize("network", ["attention_unet", "unet"])
@pytest.mark.parametrize("norm", ["batch", "instance"])
def test_a_few_steps_teach_disks(network: str, norm: str) -> None:
    settings = FoldSettings(network=network, norm=norm, channels=8, levels=3, dropout=0.0)
    model = build_network(settings, seed=0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    images, masks = disks(64, seed=0)
    for step in range(40):
        batch = slice(step * 16 % 64, step * 16 % 64 + 16)
        loss = segmentation_loss(model(images[batch]), masks[batch], bce_weight=1, dice_weight=1)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    unseen, truth = disks(16, seed=1)
    with torch.inference_mode():
        logits = model.eval()(unseen)[:, 0].numpy()
    rows = [count_case(one, mask[0].numpy() > 0.5) for one, mask in zip(logits, truth, strict=True)]
    found = summarize(build_table([str(number) for number in range(16)], rows))
    assert found["dice_positive"] > 0.8
    assert found["average_precision"] > 0.9
