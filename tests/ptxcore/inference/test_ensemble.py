from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from ptxcore.errors import CheckpointError, SettingsError
from ptxcore.inference import Ensemble, predict_logits
from ptxcore.metrics import apply_rule, build_table, count_case
from ptxcore.models import build_network, save_weights
from ptxcore.settings import FoldSettings
from ptxcore.types import Rule, Runtime

SMALL = FoldSettings(channels=4, levels=3, image_size=64, patch_size=32)
OTHER = FoldSettings(
    channels=2, levels=4, network="unet", norm="instance", image_size=48, patch_size=0
)


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    for number, settings in enumerate((SMALL, OTHER, SMALL)):
        network = build_network(settings, seed=number)
        # An untrained network is nearly constant: spread its logits around 0.
        network.output.weight.data.mul_(8)
        network.output.bias.data.zero_()
        save_weights(tmp_path / f"fold-{number}", network, settings)
    return sorted(tmp_path.iterdir())


@pytest.fixture
def image() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (70, 90), dtype=np.uint8)


def test_logits_are_the_mean_over_networks_with_settings_of_their_own(
    folders: list[Path], image: NDArray[np.uint8]
) -> None:
    ensemble = Ensemble.load(folders)
    assert [settings for _, settings in ensemble.members] == [SMALL, OTHER, SMALL]
    each = [
        np.clip(predict_logits(network, image, settings, Runtime()).astype(np.float64), -8, 8)
        for network, settings in ensemble.members
    ]
    found = ensemble.logits(image)
    assert found.dtype == ensemble.probability(image).dtype == np.float32
    np.testing.assert_allclose(found, np.mean(each, axis=0), atol=1e-5)
    np.testing.assert_allclose(ensemble.probability(image), 1 / (1 + np.exp(-found)), atol=1e-6)


class Counted:
    """An image that counts how often its pixels are asked for."""

    def __init__(self, pixels: NDArray[np.uint8]) -> None:
        self.pixels, self.shape, self.num_reads = pixels, pixels.shape, 0

    def __array__(self, dtype: object = None, copy: bool | None = None) -> NDArray[np.uint8]:
        self.num_reads += 1
        return self.pixels


def test_an_image_is_brought_to_each_grid_once(
    folders: list[Path], image: NDArray[np.uint8]
) -> None:
    """Reading it is where that begins; the first and the third network have a grid in common."""
    first, other, third = Ensemble.load(folders).members
    reads = []
    for members in ((first,), (first, third), (first, other), (first, other, third)):
        counted = Counted(image)
        found = Ensemble(members=members).logits(counted)  # type: ignore[arg-type]
        np.testing.assert_array_equal(found, Ensemble(members=members).logits(image))
        reads.append(counted.num_reads)
    once = reads[0]
    assert once > 0
    assert reads == [once, once, 2 * once, 2 * once]


def test_no_network_outvotes_the_others(folders: list[Path], image: NDArray[np.uint8]) -> None:
    (sure, settings), *_ = Ensemble.load(folders[:1]).members
    sure.output.bias.data.fill_(1e4)  # 1 everywhere, beyond all doubt
    others = Ensemble.load(folders[1:]).members
    logits = Ensemble(members=((sure, settings), *others)).logits(image)
    rest = Ensemble(members=others).logits(image)
    np.testing.assert_allclose(logits, (8 + 2 * rest) / 3, atol=1e-5)


def test_one_network_alone_gives_the_logits_it_was_scored_with(
    folders: list[Path], image: NDArray[np.uint8]
) -> None:
    ensemble = Ensemble.load(folders[:1])
    network, settings = ensemble.members[0]
    expected = predict_logits(network, image, settings, Runtime())
    np.testing.assert_array_equal(ensemble.logits(image), expected)
    np.testing.assert_allclose(ensemble.probability(image), 1 / (1 + np.exp(-expected)), atol=1e-6)


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("rule", [Rule(), Rule(top=0.52, min_area=0.01, bottom=0.47)])
def test_the_mask_is_the_one_that_is_scored(
    folders: list[Path], image: NDArray[np.uint8], count: int, rule: Rule
) -> None:
    ensemble = Ensemble.load(folders[:count], rule=rule)
    mask = ensemble.mask(image)
    assert mask.dtype == np.bool_
    assert mask.shape == image.shape
    assert 0 < mask.sum() < mask.size
    truth = np.zeros(image.shape, dtype=np.bool_)
    truth[10:30, 20:50] = True
    counts = apply_rule(build_table(["a"], [count_case(ensemble.logits(image), truth)]), rule)
    assert counts.true_positive[0] == (mask & truth).sum()
    assert counts.false_positive[0] == (mask & ~truth).sum()


def test_order_of_networks_does_not_matter(folders: list[Path], image: NDArray[np.uint8]) -> None:
    forward = Ensemble.load(folders).probability(image)
    backward = Ensemble.load(folders[::-1]).probability(image)
    np.testing.assert_allclose(forward, backward, atol=1e-7)


def test_a_runtime_is_applied_to_every_network(
    folders: list[Path], image: NDArray[np.uint8]
) -> None:
    fast = Runtime(precision="bfloat16", channels_last=True)
    expected = Ensemble.load(folders).probability(image)
    np.testing.assert_allclose(
        Ensemble.load(folders, runtime=fast).probability(image), expected, atol=0.03
    )


def test_none_of_nothing() -> None:
    with pytest.raises(SettingsError, match="members: found none"):
        Ensemble.load([])


def test_a_rule_is_checked_before_any_image(folders: list[Path]) -> None:
    with pytest.raises(SettingsError, match=r"bottom: found 0\.7, expected at most top"):
        Ensemble.load(folders, rule=Rule(top=0.5, bottom=0.7))


def test_a_damaged_member_is_refused(folders: list[Path]) -> None:
    weights = folders[1] / "model.safetensors"
    weights.write_bytes(weights.read_bytes() + b"x")
    with pytest.raises(CheckpointError, match=r"fold-1/model\.safetensors: found SHA-256"):
        Ensemble.load(folders)
