"""Attention maps of whole images: as the network has them, on its grid, and as a picture."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from ptxcore.data.intensity import normalise
from ptxcore.errors import OutOfMemory, SettingsError
from ptxcore.inference import Ensemble, predict_attention
from ptxcore.inference.attention_sheet import MASK_RGB, attention_sheet
from ptxcore.models import build_network
from ptxcore.settings import FoldSettings
from ptxcore.types import Runtime

WHOLE = FoldSettings(channels=4, levels=4, image_size=0, patch_size=0)
RUNTIME = Runtime()


@pytest.fixture
def image() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (48, 40), dtype=np.uint8)


def test_a_whole_image_gives_what_the_network_gives(image: NDArray[np.uint8]) -> None:
    network = build_network(WHOLE, seed=0)
    maps = predict_attention(network, image, WHOLE, RUNTIME)
    assert network.training
    batch = torch.from_numpy(normalise(image))[None, None]
    expected = [one[0, 0].numpy() for one in network.eval().attention_maps(batch)]
    assert maps.shape == (2, 48, 40) == (network.num_gates, 48, 40)
    np.testing.assert_allclose(maps, expected, atol=1e-6)


def test_windows_and_another_grid_end_on_the_grid_of_the_image(image: NDArray[np.uint8]) -> None:
    settings = replace(WHOLE, image_size=96, patch_size=32)
    maps = predict_attention(build_network(settings, seed=0), image, settings, RUNTIME)
    assert maps.shape == (2, 48, 40)
    assert maps.dtype == np.float32
    assert maps.min() >= 0
    assert maps.max() <= 1


def test_a_gate_that_is_constant_is_constant_through_windows(image: NDArray[np.uint8]) -> None:
    settings = replace(WHOLE, patch_size=32, overlap=0.5)
    network = build_network(settings, seed=0)
    for gate in list(network.gates)[:2]:
        norm = gate.coefficients[1]
        torch.nn.init.zeros_(norm.weight)
        torch.nn.init.constant_(norm.bias, np.log(3))  # a sigmoid of 3/4
    np.testing.assert_allclose(predict_attention(network, image, settings, RUNTIME), 0.75, 1e-5)


@pytest.mark.parametrize("patch_size", [0, 32])
def test_maps_that_do_not_fit_say_so(image: NDArray[np.uint8], patch_size: int) -> None:
    """A hook stands in for a memory that is too small for any pass."""
    network = build_network(replace(WHOLE, patch_size=patch_size), seed=0)

    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    network.head.register_forward_pre_hook(full)
    size = "32 x 32" if patch_size else "40 x 48"
    with pytest.raises(OutOfMemory, match=f"a window of {size} px does not fit the memory of cpu"):
        predict_attention(network, image, replace(WHOLE, patch_size=patch_size), RUNTIME)
    assert network.training


def test_an_ensemble_takes_the_mean_of_those_who_have_a_gate(image: NDArray[np.uint8]) -> None:
    few, plain = replace(WHOLE, levels=3), replace(WHOLE, network="unet")
    members = tuple((build_network(one, seed=n), one) for n, one in enumerate((WHOLE, few, plain)))
    maps = Ensemble(members=members).attention(image)
    deep, shallow, none = (predict_attention(net, image, one, RUNTIME) for net, one in members)
    assert (len(deep), len(shallow), len(none)) == (2, 1, 0)
    np.testing.assert_allclose(maps, [(deep[0] + shallow[0]) / 2, deep[1]], atol=1e-6)
    assert Ensemble(members=members[2:]).attention(image).shape == (0, 48, 40)


def test_the_sheet_has_a_panel_for_each_map(image: NDArray[np.uint8]) -> None:
    mask = np.zeros((48, 40), np.bool_)
    mask[10:20, 10:20] = True
    ramp = np.tile(np.linspace(0, 1, 40, dtype=np.float32), (48, 1))
    sheet = attention_sheet(image, mask, np.stack([ramp, 1 - ramp]), panel_px=96)
    assert sheet.size == (3 * 80 + 2 * 6, 96 + 18)
    assert sheet.info == {}
    pixels = np.asarray(sheet)
    assert (pixels[:96, :80] == MASK_RGB).all(axis=2).any()
    first, second = pixels[:96, 86:166], pixels[:96, 172:252]
    assert first[50, 2, 2] > first[50, 2, 0]  # viridis: low is blue, high is yellow
    assert first[50, -3, 0] > first[50, -3, 2]
    np.testing.assert_array_equal(first[50, 2], second[50, -3])


def test_a_sheet_of_other_shapes_is_refused(image: NDArray[np.uint8]) -> None:
    mask = np.zeros((48, 40), np.bool_)
    for maps in (np.zeros((0, 48, 40), np.float32), np.zeros((1, 40, 48), np.float32)):
        with pytest.raises(SettingsError, match=r"attention: found maps of shape .* expected \(G,"):
            attention_sheet(image, mask, maps)
