from __future__ import annotations

from typing import Any

import pytest
import torch
from monai.networks.blocks.convolutions import Convolution
from torch import Tensor, nn

from ptxcore.models import PRIOR, build_network, widths
from ptxcore.models._blocks import AttentionGate, Style
from ptxcore.models._unet import pad_to_multiple
from ptxcore.settings import FoldSettings


def small(**values: Any) -> FoldSettings:
    return FoldSettings(**{"channels": 4, "levels": 3, **values})


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def kinds(network: nn.Module, *types: type[nn.Module]) -> int:
    return sum(isinstance(module, types) for module in network.modules())


@pytest.mark.parametrize("network", ["attention_unet", "unet"])
@pytest.mark.parametrize("norm", ["batch", "instance", "group"])
@pytest.mark.parametrize("size", [(1, 1), (5, 64), (33, 47), (64, 64)])
def test_any_input_size_keeps_its_grid(network: str, norm: str, size: tuple[int, int]) -> None:
    model = build_network(small(network=network, norm=norm), seed=0)
    for mode in (True, False):
        model.train(mode)
        logits = model(noise(2, 1, *size))
        assert logits.shape == (2, 1, *size)
        assert logits.isfinite().all()


@pytest.mark.parametrize("norm", ["batch", "instance", "group"])
def test_deepest_network_trains_on_one_smallest_patch(norm: str) -> None:
    model = build_network(small(levels=7, channels=1, norm=norm), seed=0)
    assert model(noise(1, 1, 32, 32)).shape == (1, 1, 32, 32)


def test_a_side_of_500_px_passes_five_levels() -> None:
    model = build_network(small(levels=5, channels=2), seed=0).eval()
    with torch.inference_mode():
        assert model(noise(1, 1, 500, 36)).shape == (1, 1, 500, 36)


def test_padding_reflects_and_repeats_only_where_reflection_cannot_reach() -> None:
    row = torch.tensor([[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]]).expand(6, 6)[None, None]
    padded, size = pad_to_multiple(row, 4)
    assert size == (6, 6)
    assert padded.shape == (1, 1, 8, 8)
    assert padded[0, 0, 7].tolist() == [1, 2, 3, 4, 5, 6, 5, 4]
    padded, _ = pad_to_multiple(row[..., :3], 4)
    assert padded[0, 0, 0].tolist() == [1, 2, 3, 3, 3, 3, 3, 3]
    whole = noise(1, 1, 8, 16)
    assert pad_to_multiple(whole, 4)[0] is whole


def test_padding_is_what_a_caller_would_have_done() -> None:
    model = build_network(small(), seed=0).eval()
    image = noise(1, 1, 30, 41)
    by_hand = nn.functional.pad(image, (0, 3, 0, 2), mode="reflect")
    torch.testing.assert_close(model(image), model(by_hand)[..., :30, :41])


def test_same_seed_same_weights_and_the_global_generator_is_left_alone() -> None:
    torch.manual_seed(11)
    expected = torch.rand(3)
    torch.manual_seed(11)
    first = build_network(small(), seed=5).state_dict()
    assert torch.equal(torch.rand(3), expected)
    torch.manual_seed(99)
    second = build_network(small(), seed=5).state_dict()
    other = build_network(small(), seed=6).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["head.0.conv.weight"], other["head.0.conv.weight"])


@pytest.mark.parametrize("network", ["attention_unet", "unet"])
def test_an_untrained_network_predicts_about_the_prior(network: str) -> None:
    for norm in ("batch", "instance"):
        model = build_network(FoldSettings(network=network, norm=norm), seed=3)
        for mode in (True, False):
            with torch.no_grad():
                share = model.train(mode)(noise(1, 1, 64, 64)).sigmoid().mean().item()
            assert PRIOR / 2 < share < PRIOR * 2


@pytest.mark.parametrize(
    ("norm", "used", "unused"),
    [
        ("batch", nn.BatchNorm2d, nn.InstanceNorm2d),
        ("instance", nn.InstanceNorm2d, nn.BatchNorm2d),
        ("group", nn.GroupNorm, nn.BatchNorm2d),
    ],
)
def test_one_norm_in_all_blocks(norm: str, used: type[nn.Module], unused: type[nn.Module]) -> None:
    model = build_network(small(norm=norm), seed=0)
    convolutions = kinds(model, nn.Conv2d, nn.ConvTranspose2d)
    assert kinds(model, used) == convolutions - 1  # all but the output
    assert kinds(model, unused) == 0


@pytest.mark.parametrize(("channels", "groups"), [(16, 8), (12, 4), (3, 1)])
def test_groups_divide_the_width(channels: int, groups: int) -> None:
    layer = Style(norm="group", dropout=0.0).norm_layer(channels)
    assert isinstance(layer, nn.GroupNorm)
    assert (layer.num_groups, layer.num_channels) == (groups, channels)


def test_dropout_reaches_gates_and_up_convolutions() -> None:
    model = build_network(small(dropout=0.4), seed=0)
    # All convolutions but the output and the one that makes each gate's map.
    num_gates = kinds(model, AttentionGate)
    convolutions = kinds(model, nn.Conv2d, nn.ConvTranspose2d)
    assert num_gates == 1
    assert kinds(model, nn.Dropout2d) == convolutions - 1 - num_gates
    assert {m.p for m in model.modules() if isinstance(m, nn.Dropout2d)} == {0.4}
    for part in (*model.up, *(gate for gate in model.gates if isinstance(gate, AttentionGate))):
        assert kinds(part, nn.Dropout2d) >= 1
    assert kinds(build_network(small(dropout=0.0), seed=0), nn.Dropout, nn.Dropout2d) == 0


def test_dropout_acts_in_training_alone() -> None:
    model = build_network(small(dropout=0.4, norm="instance"), seed=0)
    image = noise(1, 1, 32, 32)
    torch.manual_seed(0)
    assert not torch.equal(model(image), model(image))
    model.eval()
    assert torch.equal(model(image), model(image))


def test_unet_is_the_attention_unet_without_its_gates() -> None:
    gated = build_network(small(levels=5), seed=0).state_dict()
    plain = build_network(small(levels=5, network="unet"), seed=0).state_dict()
    assert set(plain) == {name for name in gated if not name.startswith("gates.")}
    assert any(name.startswith("gates.") for name in gated)


def test_widths_double_up_to_a_cap() -> None:
    assert widths(FoldSettings(channels=16, levels=5)) == (16, 32, 64, 128, 256)
    assert widths(FoldSettings(channels=64, levels=6)) == (64, 128, 256, 512, 512, 512)
    assert widths(FoldSettings(channels=600, levels=2)) == (600, 600)


@pytest.mark.parametrize("network", ["attention_unet", "unet"])
@pytest.mark.parametrize("norm", ["batch", "instance", "group"])
def test_every_weight_learns(network: str, norm: str) -> None:
    model = build_network(small(network=network, norm=norm, dropout=0.0), seed=0)
    model(noise(2, 1, 32, 32)).square().mean().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


@pytest.mark.parametrize(("levels", "num_gates"), [(2, 1), (3, 1), (5, 3)])
def test_attention_maps_lie_on_the_grid_of_the_image(levels: int, num_gates: int) -> None:
    model = build_network(small(levels=levels), seed=0).eval()
    image = noise(2, 1, 45, 50)
    before = model(image)
    maps = model.attention_maps(image)
    assert [tuple(one.shape) for one in maps] == [(2, 1, 45, 50)] * num_gates
    assert all(((one >= 0) & (one <= 1)).all() for one in maps)
    assert torch.equal(model(image), before)
    # The finest map varies from pixel to pixel; each coarser one is smoother.
    steps = [one.diff(dim=-1).abs().mean() / one.std() for one in maps]
    assert steps == sorted(steps, reverse=True)


def test_a_plain_unet_has_no_attention_maps() -> None:
    assert build_network(small(network="unet"), seed=0).attention_maps(noise(1, 1, 16, 16)) == ()


def test_a_gate_opens_and_closes_its_skip() -> None:
    gate = AttentionGate(Style(norm="batch", dropout=0.0), 4).eval()
    below, skip = noise(1, 4, 8, 8, seed=1), noise(1, 4, 8, 8, seed=2)
    norm = gate.coefficients[1]
    assert isinstance(norm, nn.BatchNorm2d)
    for bias, expected in ((50.0, skip), (-50.0, torch.zeros_like(skip)), (0.0, skip / 2)):
        nn.init.zeros_(norm.weight)
        nn.init.constant_(norm.bias, bias)
        torch.testing.assert_close(gate(below, skip), expected)


def test_bfloat16_and_channels_last_give_nearly_the_same_logits() -> None:
    model = build_network(small(), seed=0).eval()
    image = noise(1, 1, 64, 64)
    expected = model(image)
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = model(image.contiguous(memory_format=torch.channels_last)).float()
    assert (found - expected).abs().max() < 0.05


@pytest.mark.parametrize("levels", [3, 5])
def test_deep_supervision_adds_an_output_per_coarser_level(levels: int) -> None:
    plain = build_network(small(levels=levels), seed=0).eval()
    deep = build_network(small(levels=levels, deep_supervision=True), seed=0).eval()
    image = noise(2, 1, 45, 50)
    outputs = deep.all_logits(image)
    assert [tuple(one.shape) for one in outputs] == [(2, 1, 45, 50)] * (levels - 1)
    assert torch.equal(outputs[0], deep(image))
    assert torch.equal(deep(image), plain(image))  # the same weights, but for the outputs
    assert len(plain.all_logits(image)) == 1
    # The coarser a level, the smoother what it says.
    steps = [one.diff(dim=-1).abs().mean() / one.std() for one in outputs]
    assert steps == sorted(steps, reverse=True)


def test_every_output_of_deep_supervision_learns() -> None:
    model = build_network(small(levels=4, deep_supervision=True, dropout=0.0), seed=0)
    loss = torch.stack([one.square().mean() for one in model.all_logits(noise(2, 1, 32, 32))]).sum()
    loss.backward()
    assert len(model.auxiliary) == 2
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


@pytest.mark.parametrize("dropout", [0.0, 0.2])
@pytest.mark.parametrize("norm", ["batch", "instance", "group"])
def test_a_unit_is_that_of_monai(norm: str, dropout: float) -> None:
    """Weights on disk have its names, and older builds were made of it."""
    options = {"batch": {}, "instance": {"affine": True}, "group": {"num_groups": 2}}
    common: dict[str, Any] = {
        "norm": (norm, options[norm]),
        "act": ("relu", {"inplace": True}),
        "dropout": dropout or None,
        "dropout_dim": 2,
        "bias": False,
    }
    style = Style(norm=norm, dropout=dropout)
    up = {"kernel_size": 2, "strides": 2, "is_transposed": True, "padding": 0, "output_padding": 0}
    pairs = [
        (lambda: style.convolution(3, 6, stride=2), {"strides": 2}),
        (lambda: style.up_convolution(3, 6), up),
        (lambda: style.projection(3, 6), {"kernel_size": 1, "adn_ordering": "ND"}),
    ]
    images = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    for make, other in pairs:
        made = []
        for build in (make, lambda other=other: Convolution(2, 3, 6, **common, **other)):
            with torch.random.fork_rng():
                torch.manual_seed(1)
                unit = build()
                made.append((unit.state_dict(), unit(images)))
        (ours, logits), (theirs, expected) = made
        assert list(ours) == list(theirs)
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)
        assert torch.equal(logits, expected)
