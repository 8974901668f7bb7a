"""Augmentation: nothing at 0, displacement in pixels, image and mask alike, explicit seeds."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from ptxcore.data.patches.augment import ELASTIC_RMS, Augmentation
from ptxcore.data.patches.warp import Warp, affine_map, elastic_field, grid_field
from ptxcore.errors import SettingsError
from ptxcore.limits import MAX_LINE_MOVE

PATCH, IMAGE = 64, 128


def disc(side: int, *, y: float, x: float, radius: float) -> NDArray[np.bool_]:
    rows, columns = np.mgrid[:side, :side]
    return (rows - y) ** 2 + (columns - x) ** 2 <= radius**2


def inputs(augmentation: Augmentation) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    side = PATCH + 2 * augmentation.margin_px
    inside = disc(side, y=0.4 * side, x=0.55 * side, radius=0.2 * side)
    return np.where(inside, 190, 60).astype(np.uint8), inside.astype(np.uint8) * np.uint8(255)


def test_strength_0_gives_the_very_arrays() -> None:
    augmentation = Augmentation(0.0, patch_px=PATCH, image_px=IMAGE)
    image, mask = inputs(augmentation)
    changed = augmentation(image, mask, seed=1)
    assert augmentation.margin_px == 0
    assert changed[0] is image
    assert changed[1] is mask


@pytest.mark.parametrize("strength", [-1.0, 2.0, float("nan")])
def test_a_strength_out_of_its_range_is_refused(strength: float) -> None:
    with pytest.raises(SettingsError, match=rf"strength: found {strength}, expected .* \[0, 1\]"):
        Augmentation(strength, patch_px=PATCH, image_px=IMAGE)


@pytest.mark.parametrize("strength", [0.1, 0.5, 1.0])
def test_the_mask_goes_where_the_image_goes(strength: float) -> None:
    augmentation = Augmentation(strength, patch_px=PATCH, image_px=IMAGE)
    image, mask = inputs(augmentation)
    for seed in range(40):
        pixels, share = augmentation(image, mask, seed=seed)
        assert pixels.shape == share.shape == (PATCH, PATCH)
        assert pixels.dtype == np.float32
        assert share.dtype == np.uint8
        level = (float(np.percentile(pixels, 5)) + float(np.percentile(pixels, 95))) / 2
        bright, inside = pixels > level, share >= 128
        assert (bright & inside).sum() > 0.93 * (bright | inside).sum()


def warp(*, margin_px: int) -> Warp:
    return Warp(
        rotation_deg=15,
        scale=0.15,
        shift_px=3,
        elastic_px=1.3,
        spacing_px=16,
        margin_px=margin_px,
        p=1.0,
    )


@pytest.mark.parametrize("margin_px", [0, 10])
def test_a_warp_alone_treats_both_exactly_alike(margin_px: int) -> None:
    mask = disc(PATCH, y=30, x=34, radius=15).astype(np.uint8) * np.uint8(255)
    bend, inside = warp(margin_px=margin_px), slice(margin_px, PATCH - margin_px)
    for seed in range(10):
        bend.set_random_seed(seed)
        changed = bend(image=mask.astype(np.float32) / 255, mask=mask)
        assert changed["mask"].shape == (PATCH - 2 * margin_px,) * 2
        assert np.abs(changed["image"] * 255 - changed["mask"]).max() < 8  # OpenCV's fixed point
        assert (changed["mask"] != mask[inside, inside]).any()


def test_a_trimmed_warp_stays_where_it_was() -> None:
    bend = Warp(
        rotation_deg=0, scale=0, shift_px=0, elastic_px=0, spacing_px=16, margin_px=10, p=1.0
    )
    bend.set_random_seed(0)
    image = np.random.default_rng(0).random((PATCH, PATCH), dtype=np.float32)
    changed = bend(image=image, mask=np.zeros((PATCH, PATCH), dtype=np.uint8))["image"]
    np.testing.assert_allclose(changed, image[10:-10, 10:-10], atol=1e-6)


@pytest.mark.parametrize("image_px", [128, 512])
@pytest.mark.parametrize("strength", [0.25, 1.0])
def test_elastic_displacement_is_a_share_of_the_image_everywhere(
    strength: float, image_px: int
) -> None:
    augmentation = Augmentation(strength, patch_px=PATCH, image_px=image_px)
    assert augmentation.elastic_px == pytest.approx(strength * ELASTIC_RMS * image_px)
    rng = np.random.default_rng(0)
    fields = np.array(
        [
            elastic_field(
                (96, 96), rms_px=augmentation.elastic_px, spacing_px=image_px / 8, rng=rng
            )[:, ::19, ::19]
            for _ in range(2000)
        ]
    )
    rms = np.sqrt((fields**2).mean(axis=0))
    assert rms == pytest.approx(augmentation.elastic_px, rel=0.12)  # corners and centre alike


def test_elastic_displacement_in_pixels() -> None:
    asked = Augmentation(0.5, patch_px=PATCH, image_px=512, elastic_px=6.0)
    assert asked.elastic_px == 3.0
    assert "elastic 3.0 px RMS" in asked.describe()
    assert Augmentation(1.0, patch_px=PATCH, image_px=512, elastic_px=0.0).elastic_px == 0
    most = Augmentation(1.0, patch_px=PATCH, image_px=512, elastic_px=1e6)
    assert most.elastic_px == 512 / 64  # images of their own size have no limit in the settings
    fields = [
        elastic_field((96, 96), rms_px=8.0, spacing_px=64, rng=np.random.default_rng(seed))
        for seed in range(500)
    ]
    assert np.sqrt(np.square(fields).mean()) == pytest.approx(8.0, rel=0.1)


def test_one_percent_of_the_image_is_what_it_was() -> None:
    plain, asked, none = (
        Augmentation(0.7, patch_px=PATCH, image_px=IMAGE, **options)
        for options in ({}, {"elastic_px": 0.01 * IMAGE}, {"elastic_px": 0.0})
    )
    assert plain.margin_px == asked.margin_px > none.margin_px
    image, mask = inputs(plain)
    for seed in range(5):
        for one, other in zip(
            plain(image, mask, seed=seed), asked(image, mask, seed=seed), strict=True
        ):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("size", [0.85, 1.15])
def test_the_largest_elastic_part_does_not_fold_what_is_turned_and_scaled(size: float) -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        dy, dx = elastic_field((IMAGE, IMAGE), rms_px=IMAGE / 64, spacing_px=IMAGE / 8, rng=rng)
        angle = rng.uniform(-15, 15)
        y, x = affine_map((IMAGE, IMAGE), rotation_deg=angle, scale=size, shift_px=(0, 0))
        (yy, yx), (xy, xx) = np.gradient(y + dy), np.gradient(x + dx)
        assert (yy * xx - yx * xy).min() > 0


def test_a_field_never_folds() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):  # far beyond what strength 1 asks for
        dy, dx = elastic_field((96, 96), rms_px=10.0, spacing_px=16.0, rng=rng)
        determinant = (1 + np.gradient(dy, axis=0)) * (1 + np.gradient(dx, axis=1)) - np.gradient(
            dy, axis=1
        ) * np.gradient(dx, axis=0)
        assert determinant.min() > 0


def test_affine_maps_by_hand() -> None:
    rows, columns = np.mgrid[:4, :6].astype(np.float32)
    still = affine_map((4, 6), rotation_deg=0, scale=1, shift_px=(0, 0))
    np.testing.assert_allclose(still, [rows, columns])
    shifted = affine_map((4, 6), rotation_deg=0, scale=1, shift_px=(2, -1))
    np.testing.assert_allclose(shifted, [rows + 2, columns - 1])
    doubled = affine_map((4, 6), rotation_deg=0, scale=2, shift_px=(0, 0))
    np.testing.assert_allclose(doubled, [2 * rows - 1.5, 2 * columns - 2.5])
    turned = affine_map((4, 4), rotation_deg=90, scale=1, shift_px=(0, 0))
    np.testing.assert_allclose(turned, [columns[:, :4], 3 - rows[:, :4]], atol=1e-6)


def test_the_margin_covers_what_a_warp_pulls_in() -> None:
    augmentation = Augmentation(1.0, patch_px=PATCH, image_px=IMAGE)
    side = PATCH + 2 * augmentation.margin_px
    rim = np.zeros((side, side), dtype=np.uint8)
    rim[:2], rim[-2:], rim[:, :2], rim[:, -2:] = 255, 255, 255, 255
    image = np.full((side, side), 100, dtype=np.uint8)
    seen = [augmentation(image, rim, seed=seed)[1].max() for seed in range(300)]
    assert sum(value > 0 for value in seen) <= 3


def test_a_seed_is_all_that_counts() -> None:
    one, other = (Augmentation(1.0, patch_px=PATCH, image_px=IMAGE) for _ in range(2))
    image, mask = inputs(one)
    forwards = [one(image, mask, seed=seed) for seed in (1, 2, 3)]
    backwards = [other(image, mask, seed=seed) for seed in (3, 2, 1)][::-1]
    for (a, b), (c, d) in zip(forwards, backwards, strict=True):
        np.testing.assert_array_equal(a, c)
        np.testing.assert_array_equal(b, d)
    assert (forwards[0][0] != forwards[1][0]).any()


def test_transforms_are_applied_independently() -> None:
    # Seeded the library's way, all draw the same numbers: mirrored patches would be the noisy ones.
    augmentation = Augmentation(1.0, patch_px=PATCH, image_px=IMAGE)
    side = PATCH + 2 * augmentation.margin_px
    ramp = np.tile(np.linspace(60, 190, side), (side, 1)).astype(np.uint8)
    seen = set()
    for seed in range(120):
        pixels, _ = augmentation(ramp, np.zeros_like(ramp), seed=seed)
        mirrored = pixels[:, 0].mean() > pixels[:, -1].mean()
        noisy = np.abs(np.diff(pixels, n=2, axis=0)).mean() > 1.0
        seen.add((bool(mirrored), bool(noisy)))
    assert len(seen) == 4


def test_more_strength_changes_more() -> None:
    changes = []
    for strength in (0.1, 0.3, 1.0):
        augmentation = Augmentation(strength, patch_px=PATCH, image_px=IMAGE)
        image, mask = inputs(augmentation)
        m = augmentation.margin_px
        before = image[m : m + PATCH, m : m + PATCH].astype(np.float32)
        changes.append(
            np.mean(
                [np.abs(augmentation(image, mask, seed=s)[0] - before).mean() for s in range(60)]
            )
        )
    assert changes[0] < changes[1] < changes[2]


def test_sixteen_bits_are_eight_bits_scaled() -> None:
    augmentation = Augmentation(1.0, patch_px=PATCH, image_px=IMAGE)
    image, mask = inputs(augmentation)
    few, _ = augmentation(image, mask, seed=5)
    many, _ = augmentation(image.astype(np.uint16) * np.uint16(257), mask, seed=5)
    np.testing.assert_allclose(many / 257, few, atol=1e-3)


def test_a_grid_moves_by_pixels_as_told() -> None:
    rng = np.random.default_rng(0)
    fields = [grid_field((96, 64), largest_px=5.0, cell_px=16.0, rng=rng) for _ in range(200)]
    moved = np.stack(fields)
    assert moved.shape == (200, 2, 96, 64)
    assert moved.dtype == np.float32
    assert 4.5 < np.abs(moved).max() <= 5.0
    # A pixel is at (1 - t) a + t b between moves a and b of variance d^2 / 3, t uniform too: the
    # mean of (1 - t)^2 + t^2 is 2 / 3.
    np.testing.assert_allclose(moved.var(), 5.0**2 / 3 * 2 / 3, rtol=0.1)


def test_a_grid_moves_rows_and_columns_apart_and_linearly_between_lines() -> None:
    dy, dx = grid_field((64, 48), largest_px=4.0, cell_px=16.0, rng=np.random.default_rng(1))
    np.testing.assert_array_equal(dy, np.repeat(dy[:, :1], 48, axis=1))
    np.testing.assert_array_equal(dx, np.repeat(dx[:1], 64, axis=0))
    bends = np.abs(np.diff(dy[:, 0], n=2)) > 1e-4
    assert bends.sum() <= 2 * 4  # a line between two pixels bends both of them


def test_lines_of_a_grid_never_cross() -> None:
    rng = np.random.default_rng(2)
    for _ in range(50):
        field = grid_field((96, 96), largest_px=1e3, cell_px=12.0, rng=rng)
        assert np.abs(field).max() <= MAX_LINE_MOVE * 12
        assert (1 + np.diff(field[0, :, 0])).min() > 0


def test_the_mask_follows_a_bent_grid_and_off_changes_nothing() -> None:
    bent = Augmentation(1.0, patch_px=PATCH, image_px=IMAGE, grid_distortion_px=7.0)
    assert bent.margin_px >= Augmentation(1.0, patch_px=PATCH, image_px=IMAGE).margin_px + 7
    image, mask = inputs(bent)
    for seed in range(20):
        pixels, share = bent(image, mask, seed=seed)
        level = (float(np.percentile(pixels, 5)) + float(np.percentile(pixels, 95))) / 2
        bright, inside = pixels > level, share >= 128
        assert (bright & inside).sum() > 0.93 * (bright | inside).sum()
    off, plain = (
        Augmentation(1.0, patch_px=PATCH, image_px=IMAGE, **options)
        for options in ({"grid_distortion_px": 0.0}, {})
    )
    image, mask = inputs(off)
    for seed in range(5):
        for one, other in zip(
            off(image, mask, seed=seed), plain(image, mask, seed=seed), strict=True
        ):
            np.testing.assert_array_equal(one, other)


def test_the_margin_is_no_wider_than_lines_really_move() -> None:
    """Images of their own size have no limit in the settings: 1e6 px once asked for terabytes."""
    plain = Augmentation(1.0, patch_px=PATCH, image_px=IMAGE)
    far = Augmentation(1.0, patch_px=PATCH, image_px=IMAGE, grid_distortion_px=1e6)
    assert far.grid_px == MAX_LINE_MOVE * IMAGE / 8
    assert far.margin_px <= plain.margin_px + far.grid_px + 1
    image, mask = inputs(far)
    assert far(image, mask, seed=0)[0].shape == (PATCH, PATCH)
    most = max(
        np.abs(grid_field((PATCH, PATCH), largest_px=1e6, cell_px=IMAGE / 8, rng=rng)).max()
        for rng in map(np.random.default_rng, range(200))
    )
    assert 0.9 * far.grid_px < most <= far.grid_px


def test_strength_scales_the_grid() -> None:
    half = Augmentation(0.5, patch_px=PATCH, image_px=IMAGE, grid_distortion_px=6.0)
    assert half.grid_px == 3.0
    assert "grid to 3.0 px" in half.describe()
    assert "nothing" in Augmentation(0.0, patch_px=PATCH, image_px=IMAGE).describe()
