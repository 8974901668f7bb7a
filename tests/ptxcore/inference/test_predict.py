from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from monai.data.utils import compute_importance_map, dense_patch_slices
from monai.inferers import SlidingWindowInferer
from numpy.typing import NDArray
from torch import Tensor, nn

from ptxcore.data.intensity import normalise
from ptxcore.data.resample import resize_image
from ptxcore.errors import OutOfMemory, SettingsError
from ptxcore.inference import Passes, place, predict_grid, predict_logits, predict_prepared
from ptxcore.inference._micro_batches import SplitForward
from ptxcore.inference._windows import _weights, slide, window_of, window_starts
from ptxcore.models import build_network
from ptxcore.settings import FoldSettings
from ptxcore.types import Runtime

CPU = Runtime()


class Affine(nn.Module):
    """Logits are an affine function of the pixel; counts the windows it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.shapes: list[tuple[int, ...]] = []

    def forward(self, images: Tensor) -> Tensor:
        self.shapes.append(tuple(images.shape))
        return 3 * images - 1


class Blur(nn.Module):
    """Sees its surroundings, so that windows differ near their borders."""

    def forward(self, images: Tensor) -> Tensor:
        return nn.functional.avg_pool2d(images, 9, stride=1, padding=4)


def settings(**values: Any) -> FoldSettings:
    return FoldSettings(
        **{"channels": 4, "levels": 3, "image_size": 64, "patch_size": 32, **values}
    )


def ramp(height: int, width: int) -> NDArray[np.float32]:
    rows, columns = np.mgrid[:height, :width]
    return (2.0 * rows - 0.5 * columns).astype(np.float32)


def texture(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)


@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.5, 0.8])
@pytest.mark.parametrize("shape", [(64, 64), (64, 45), (33, 64), (20, 64)])
def test_windows_over_a_linear_function_are_exact(overlap: float, shape: tuple[int, int]) -> None:
    image = ramp(*shape)
    found = predict_prepared(Affine(), image, shape, settings(overlap=overlap), CPU)
    np.testing.assert_allclose(found, 3 * normalise(image) - 1, atol=1e-5)


@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.5])
def test_windows_are_those_of_monai(overlap: float) -> None:
    image = texture(64, 50)
    found = predict_prepared(Blur(), image, (64, 50), settings(overlap=overlap), CPU)
    reference = SlidingWindowInferer((32, 32), 3, overlap=overlap, mode="gaussian")
    batch = torch.from_numpy(normalise(image))[None, None]
    expected = reference(batch, Blur())
    assert isinstance(expected, Tensor)
    np.testing.assert_allclose(found, expected[0, 0].numpy(), atol=1e-5)


@pytest.mark.parametrize("overlap", [0.0, 0.3, 0.75])
@pytest.mark.parametrize("shape", [(64, 50), (20, 64), (97, 33)])
def test_places_and_weights_of_windows_are_exactly_those_of_monai(
    shape: tuple[int, int], overlap: float
) -> None:
    window = window_of(shape, 32)
    starts = window_starts(shape, 32, overlap)
    steps = [max(1, int(side * (1 - overlap))) for side in window]
    expected = dense_patch_slices(shape, window, steps)
    assert starts == tuple((rows.start, columns.start) for rows, columns in expected)
    weight, _ = _weights(shape, window, starts, torch.device("cpu"))
    assert torch.equal(weight, compute_importance_map(window, mode="gaussian", sigma_scale=0.125))


@pytest.mark.parametrize(
    ("patch", "overlap", "num_windows"),
    [(64, 0.25, 9), (64, 0.5, 9), (32, 0.25, 25), (32, 0.5, 49)],
)
def test_number_of_windows(patch: int, overlap: float, num_windows: int) -> None:
    """As many as a window of 512 or 256 px has on 1,024 px."""
    network = Affine()
    chosen = settings(image_size=128, patch_size=patch, overlap=overlap)
    predict_prepared(network, texture(128, 128), (128, 128), chosen, CPU)
    assert sum(shape[0] for shape in network.shapes) == num_windows
    assert {shape[2:] for shape in network.shapes} == {(patch, patch)}


@pytest.mark.parametrize(
    ("patch", "shape"), [(0, (64, 40)), (64, (64, 40)), (32, (20, 30)), (32, (32, 32))]
)
def test_one_pass_where_the_window_covers_the_image(patch: int, shape: tuple[int, int]) -> None:
    network = Affine()
    predict_prepared(network, texture(*shape), shape, settings(patch_size=patch), CPU)
    assert network.shapes == [(1, 1, *shape)]


def test_a_side_shorter_than_the_window_is_not_padded() -> None:
    network = Affine()
    predict_prepared(network, texture(64, 20), (64, 20), settings(), CPU)
    assert {shape[2:] for shape in network.shapes} == {(32, 20)}


def test_logits_reach_the_original_grid_bilinearly_with_pixels_as_areas() -> None:
    """A ramp stays a ramp at pixel centres; half a new pixel at each end repeats the edge."""
    image = np.broadcast_to(np.arange(64, dtype=np.float32), (64, 64))
    whole = settings(patch_size=0)
    small = predict_prepared(Affine(), image, (64, 64), whole, CPU)
    large = predict_prepared(Affine(), image, (256, 256), whole, CPU)
    centres = (np.arange(256) + 0.5) / 4 - 0.5
    expected = np.interp(centres, np.arange(64), small[0].astype(np.float64))
    np.testing.assert_allclose(large, np.broadcast_to(expected, (256, 256)), atol=1e-5)


@pytest.mark.parametrize("resampling", ["lanczos", "area", "windowed_sinc"])
def test_an_image_takes_the_way_of_the_store(resampling: str) -> None:
    image, chosen = texture(100, 80), settings(resampling=resampling)
    network = build_network(chosen, seed=0)
    small = resize_image(image, (64, 51), resampling)
    expected = predict_prepared(network, small, (100, 80), chosen, CPU)
    np.testing.assert_array_equal(predict_logits(network, image, chosen, CPU), expected)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.float32, np.float64])
def test_types_and_ranges_do_not_matter(dtype: type[np.generic]) -> None:
    image = texture(100, 80)
    network = build_network(settings(), seed=0)
    found = predict_logits(network, image.astype(dtype), settings(), CPU)
    assert found.dtype == np.float32
    # Eight bits are rounded after resampling, and Lanczos rings where there is no range to keep.
    np.testing.assert_allclose(found, predict_logits(network, image, settings(), CPU), atol=0.05)


def test_the_original_grid_is_kept_at_size_0() -> None:
    network = Affine()
    found = predict_logits(network, texture(50, 70), settings(image_size=0, patch_size=0), CPU)
    assert found.shape == (50, 70)
    assert network.shapes == [(1, 1, 50, 70)]


def test_with_tta_a_mirrored_image_gives_mirrored_logits() -> None:
    network, image = build_network(settings(), seed=0), texture(64, 64)
    plain = predict_logits(network, image[:, ::-1], settings(), CPU)
    assert not np.allclose(
        plain, predict_logits(network, image, settings(), CPU)[:, ::-1], atol=1e-4
    )
    chosen = settings(tta=True)
    mirrored = predict_logits(network, image[:, ::-1], chosen, CPU)
    expected = predict_logits(network, image, chosen, CPU)[:, ::-1]
    np.testing.assert_allclose(mirrored, expected, atol=1e-5)


@pytest.mark.parametrize("training", [True, False])
def test_prediction_is_deterministic_and_leaves_the_network_as_it_was(training: bool) -> None:
    network = build_network(settings(dropout=0.5), seed=0).train(training)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    image = texture(64, 64)
    first = predict_logits(network, image, settings(), CPU)
    np.testing.assert_array_equal(first, predict_logits(network, image, settings(), CPU))
    assert network.training is training
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_a_network_that_raises_is_left_in_its_mode() -> None:
    network = build_network(settings(), seed=0).train()
    with pytest.raises(SettingsError, match=r"image: found shape \(3, 64, 64\)"):
        predict_prepared(network, np.zeros((3, 64, 64)), (64, 64), settings(), CPU)
    network.output = nn.Conv2d(7, 1, 1)  # fits nothing
    with pytest.raises(RuntimeError, match="channels"):
        predict_prepared(network, texture(64, 64), (64, 64), settings(), CPU)
    assert network.training


def test_bfloat16_and_channels_last_give_nearly_the_same_logits() -> None:
    network, image = build_network(settings(), seed=0), texture(100, 80)
    expected = predict_logits(network, image, settings(), CPU)
    fast = Runtime(precision="bfloat16", channels_last=True)
    found = predict_logits(place(network, fast), image, settings(), fast)
    assert found.dtype == np.float32
    assert np.abs(found - expected).max() < 0.05


@pytest.mark.parametrize("shape", [(0, 5), (5,), (1, 5, 5)])
def test_what_is_no_image_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(SettingsError, match="image: found shape"):
        predict_logits(Affine(), np.zeros(shape), settings(), CPU)


@pytest.mark.parametrize("value", [np.nan, -np.inf, 1e300])
@pytest.mark.parametrize("size", [0, 64])
def test_pixels_that_are_no_finite_numbers_are_refused(value: float, size: int) -> None:
    image = np.zeros((64, 48))
    image[3:5, 7] = value
    message = "image: found 2 NaN or infinite pixels"
    with pytest.raises(SettingsError, match=message):
        predict_logits(Affine(), image, settings(image_size=size), CPU)
    with pytest.raises(SettingsError, match=message):
        predict_prepared(Affine(), image, image.shape, settings(), CPU)


@pytest.mark.parametrize("kind", ["complex64", "object", "U3", "datetime64[s]"])
def test_pixels_that_are_no_real_numbers_are_refused(kind: str) -> None:
    image = np.zeros((64, 64), dtype=kind)
    with pytest.raises(SettingsError, match=r"image: found type .*, expected real numbers"):
        predict_logits(Affine(), image, settings(), CPU)


@pytest.mark.parametrize("kind", ["bool", "int16", "float16", "float64"])
def test_pixels_of_any_real_type_are_taken(kind: str) -> None:
    image = (texture(64, 48) > 0.5).astype(kind)
    assert np.isfinite(predict_logits(Affine(), image, settings(), CPU)).all()


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_gpu_that_is_not_there_is_refused() -> None:
    with pytest.raises(SettingsError, match="device: found 'cuda'"):
        place(Affine(), Runtime(device="cuda"))


class Room:
    """An affine network on a device with memory for so many windows at once."""

    def __init__(self, windows: int) -> None:
        self.windows, self.seen = windows, []  # type: int, list[int]

    def __call__(self, windows: Tensor) -> Tensor:
        self.seen.append(len(windows))
        if len(windows) > self.windows:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return 3 * windows - 1


@pytest.mark.parametrize("overlap", [1.5, 1.0, -0.1])
@pytest.mark.parametrize("window_px", [0, 16])
def test_an_overlap_out_of_its_range_is_refused(overlap: float, window_px: int) -> None:
    with pytest.raises(SettingsError, match=rf"overlap: found {overlap}, expected .* \[0, 1\)"):
        slide(Affine(), torch.zeros(1, 1, 32, 32), window_px, overlap)


def test_windows_that_do_not_fit_are_halved_and_stay_so() -> None:
    windows, device = torch.randn(7, 1, 4, 4), Room(windows=2)
    split_forward = SplitForward(device)
    for _ in range(2):
        assert torch.equal(split_forward(windows), 3 * windows - 1)
    assert device.seen == [7, 4, 2, 2, 2, 1, 2, 2, 2, 1]


@pytest.mark.parametrize("patch", [32, 64])
def test_a_window_that_never_fits_says_so(patch: int) -> None:
    class Full(Affine):
        def forward(self, images: Tensor) -> Tensor:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried 9 bytes")

    message = f"a window of {patch} x {patch} px does not fit the memory of cpu"
    with pytest.raises(OutOfMemory, match=message):
        predict_logits(Full(), texture(64, 64), settings(patch_size=patch), CPU)


def test_other_errors_of_a_network_pass() -> None:
    def broken(windows: Tensor) -> Tensor:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        SplitForward(broken)(torch.zeros(2, 1, 4, 4))


@pytest.mark.parametrize("positions", [False, True])
@pytest.mark.parametrize("shape", [(64, 64), (64, 45)])
def test_a_network_of_patches_can_be_given_the_whole_image(
    shape: tuple[int, int], positions: bool
) -> None:
    image = texture(*shape)
    given = settings(position_channels=positions, norm="instance")
    network = build_network(given, seed=0).eval()
    whole = predict_logits(network, image, replace(given, whole_image=True), CPU)
    as_if = predict_logits(network, image, replace(given, patch_size=0), CPU)
    np.testing.assert_array_equal(whole, as_if)
    windows = predict_logits(network, image, given, CPU)
    assert np.abs(windows - whole).max() > 1e-3
    shapes = Affine()
    predict_logits(shapes, image, settings(whole_image=True), CPU)
    assert shapes.shapes == [(1, 1, *shape)]


@pytest.mark.parametrize("tta", [False, True])
def test_overlaps_with_the_same_windows_share_passes_and_logits(tta: bool) -> None:
    image = np.random.default_rng(0).normal(size=(64, 64))
    passes: Passes = {}
    found = {}
    for overlap in (0.25, 0.5, 0.75):  # of 48 px windows: two along a side, twice; then three
        given = settings(image_size=64, patch_size=48, overlap=overlap, tta=tta)
        shared = predict_grid(Blur(), image, given, CPU, passes)
        assert torch.equal(shared, predict_grid(Blur(), image, given, CPU))
        found[overlap] = shared
    assert len(passes) == 2 * (1 + tta)
    assert torch.equal(found[0.25], found[0.5])
