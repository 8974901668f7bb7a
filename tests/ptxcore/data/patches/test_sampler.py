"""Patches: which cases, which crops, what lies outside, and the same again from the same seed."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from tiny_store import drawn_store, write_store

from ptxcore.data.intensity import normalise
from ptxcore.data.patches.sampler import Batch, PatchSampler, cut
from ptxcore.data.store.case_store import CaseStore
from ptxcore.settings import FoldSettings

WHOLE = FoldSettings(image_size=64, patch_size=0, augmentation_strength=0.0, batch_size=4)
CROPS = FoldSettings(image_size=64, patch_size=32, augmentation_strength=0.0, batch_size=4)


@pytest.fixture
def store(tmp_path: Path) -> CaseStore:
    return drawn_store(tmp_path / "store", num_cases=10, num_positive=4)


def sampler(store: CaseStore, settings: FoldSettings, *, seed: int = 0) -> PatchSampler:
    return PatchSampler(store, [case.case_id for case in store.cases], settings, seed=seed)


def with_changes(settings: FoldSettings, **changes: object) -> FoldSettings:
    return FoldSettings.from_mapping({**settings.as_dict(), **changes})


def same(one: list[Batch], other: list[Batch]) -> bool:
    return all(
        np.array_equal(a.images, b.images) and np.array_equal(a.targets, b.targets)
        for a, b in zip(one, other, strict=True)
    )


def test_whole_images_are_what_prediction_sees(store: CaseStore) -> None:
    samples = sampler(store, WHOLE)
    order = samples.draw(1)
    batches = list(samples.epoch(1))
    images = np.concatenate([batch.images for batch in batches])
    targets = np.concatenate([batch.targets for batch in batches])
    assert images.shape == targets.shape == (12, 1, 64, 64)
    assert images.dtype == targets.dtype == np.float32
    for place, case in enumerate(order):
        np.testing.assert_array_equal(images[place, 0], normalise(store.image(case)))
        np.testing.assert_array_equal(targets[place, 0], store.mask(case))


def test_crops_lie_inside_and_keep_image_and_mask_together(tmp_path: Path) -> None:
    ramp = np.arange(64 * 48, dtype=np.uint16).reshape(64, 48)
    mask = np.zeros((64, 48), dtype=np.bool_)
    mask[50:55, 5:9] = True
    store = write_store(tmp_path / "store", [ramp], [mask])
    settings = with_changes(CROPS, steps_per_epoch=20)
    corners = set()
    for batch in sampler(store, settings).epoch(1):
        for image, target in zip(batch.images[:, 0], batch.targets[:, 0], strict=True):
            value = round(float(image[0, 0]) * float(ramp.std()) + float(ramp.mean()))
            top, left = divmod(value, 48)
            np.testing.assert_array_equal(image, normalise(ramp)[top : top + 32, left : left + 32])
            np.testing.assert_array_equal(target, mask[top : top + 32, left : left + 32])
            corners.add((top, left))
    assert len(corners) > 20


@pytest.mark.parametrize(("fraction", "positive"), [(0.0, 0), (0.25, 3), (0.5, 6), (1.0, 12)])
def test_positive_fraction_is_kept_exactly(
    store: CaseStore, fraction: float, positive: int
) -> None:
    samples = sampler(store, with_changes(WHOLE, positive_fraction=fraction))
    for epoch in (1, 2, 3):
        order = samples.draw(epoch)
        assert len(order) == 12
        assert sum(store.cases[case].is_positive for case in order) == positive


def test_no_case_comes_again_before_all_have_come(store: CaseStore) -> None:
    order = sampler(store, with_changes(WHOLE, steps_per_epoch=6)).draw(1)
    counts = Counter(order)
    assert {counts[case] for case in range(4)} == {3}  # 12 positive samples of 4 cases
    assert {counts[case] for case in range(4, 10)} == {2}  # 12 negative samples of 6 cases


@pytest.mark.parametrize("num_positive", [0, 10])
def test_one_class_alone_is_sampled_whatever_the_fraction(
    tmp_path: Path, num_positive: int
) -> None:
    store = drawn_store(tmp_path / "store", num_cases=10, num_positive=num_positive)
    order = sampler(store, with_changes(WHOLE, positive_fraction=0.3)).draw(1)
    assert len(order) == 12


@pytest.mark.parametrize(
    ("values", "low", "high"),
    [
        ({}, 0.43, 0.58),
        ({"foreground_share": 0.2}, 0.15, 0.26),
        ({"foreground_share": 0.0}, 0.0, 0.02),
        ({"foreground_share": 1.0}, 1.0, 1.0),
    ],
)
def test_as_many_crops_of_positive_cases_are_centred_on_the_mask(
    tmp_path: Path, values: dict[str, float], low: float, high: float
) -> None:
    # A spot of 3 px in 512: a crop of 32 px anywhere almost never meets it.
    image = np.random.default_rng(0).integers(0, 255, (512, 512)).astype(np.uint8)
    mask = np.zeros((512, 512), dtype=np.bool_)
    mask[301:304, 101:104] = True
    store = write_store(tmp_path / "store", [image], [mask])
    settings = with_changes(CROPS, image_size=512, steps_per_epoch=100, **values)
    targets = np.concatenate([batch.targets for batch in sampler(store, settings).epoch(1)])
    met = targets.max(axis=(1, 2, 3)) > 0
    assert low <= met.mean() <= high
    # One in two hundred of the others meets it by chance.
    if low:
        assert (targets[met, 0, 15:18, 15:18] > 0).any(axis=(1, 2)).mean() > 0.97


def test_patches_are_bent_as_the_settings_say(store: CaseStore) -> None:
    settings = with_changes(CROPS, augmentation_strength=0.5, elastic_px=0.8)
    assert sampler(store, settings).augmentation.elastic_px == 0.4


def test_same_seed_and_epoch_same_batches_whatever_came_before(store: CaseStore) -> None:
    settings = with_changes(CROPS, augmentation_strength=1.0)
    used, fresh = sampler(store, settings), sampler(store, settings)
    for epoch in (1, 2):
        list(used.epoch(epoch))
    assert same(list(used.epoch(3)), list(fresh.epoch(3)))
    assert not same(list(fresh.epoch(3)), list(fresh.epoch(4)))
    assert not same(list(fresh.epoch(3)), list(sampler(store, settings, seed=1).epoch(3)))


def test_smaller_images_are_mirrored_to_the_size_of_the_largest(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    shapes = [(40, 64), (64, 64), (48, 32)]
    images = [rng.integers(0, 255, shape).astype(np.uint8) for shape in shapes]
    masks = [rng.random(shape) < 0.3 for shape in shapes]
    store = write_store(tmp_path / "store", images, masks)
    samples = sampler(store, with_changes(WHOLE, image_size=0, batch_size=3))
    (batch,) = samples.epoch(1)
    for place, case in enumerate(samples.draw(1)):
        height, width = shapes[case]
        top, left = (64 - height) // 2, (64 - width) // 2
        image, target = batch.images[place, 0], batch.targets[place, 0]
        inside = slice(top, top + height), slice(left, left + width)
        np.testing.assert_array_equal(image[inside], normalise(images[case]))
        np.testing.assert_array_equal(target[inside], masks[case])
        if top:
            np.testing.assert_array_equal(image[top - 1], image[top + 1])
            np.testing.assert_array_equal(target[top - 1], target[top + 1])


def test_cut_by_hand() -> None:
    grid = np.arange(12).reshape(3, 4)
    np.testing.assert_array_equal(cut(grid, 0, 1, 3), [[1, 2, 3], [5, 6, 7], [9, 10, 11]])
    assert np.shares_memory(cut(grid, 0, 1, 3), grid)
    np.testing.assert_array_equal(cut(grid, -1, -1, 3), [[5, 4, 5], [1, 0, 1], [5, 4, 5]])
    np.testing.assert_array_equal(cut(grid, 1, 2, 3), [[6, 7, 6], [10, 11, 10], [6, 7, 6]])
