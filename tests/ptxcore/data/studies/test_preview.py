"""The preview sheet: the very patches of training, and nobody's name."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from tiny_store import drawn_store

from ptxcore.data.patches.sampler import PatchSampler
from ptxcore.data.store.case_store import CaseStore
from ptxcore.data.studies.preview import OUTLINE_RGB, draw_sheet, outlined, preview
from ptxcore.settings import FoldSettings

SETTINGS = FoldSettings(image_size=64, patch_size=32, augmentation_strength=0.3, batch_size=2)


@pytest.fixture
def store(tmp_path: Path) -> CaseStore:
    return drawn_store(tmp_path / "store", num_cases=8, num_positive=3)


def test_a_row_is_the_plain_patch_then_every_draw_at_every_strength(store: CaseStore) -> None:
    found = preview(store, SETTINGS, seed=3, num_cases=4, num_draws=2)
    assert [tile.strength for tile in found.rows[0]] == [0, 0.3, 0.3, 0.5, 0.5, 1, 1]
    assert [row[0].is_positive for row in found.rows] == [True, True, False, False]
    assert all(tile.image.shape == (32, 32) for row in found.rows for tile in row)
    plain, *changed = found.rows[0]
    assert all(row[0].target.any() == row[0].is_positive for row in found.rows)
    assert all((tile.image != plain.image).any() for tile in changed[-2:])


def test_the_patches_are_those_of_the_sampler(store: CaseStore) -> None:
    """The whole of an image at strength 0 is what every epoch of training gives."""
    whole = dataclasses.replace(SETTINGS, patch_size=0, augmentation_strength=0.0)
    sampler = PatchSampler(store, [case.case_id for case in store.cases], whole, seed=0)
    seen = {image.tobytes() for batch in sampler.epoch(1) for image in batch.images}
    found = preview(store, whole, seed=0, num_cases=8)
    assert {row[0].image.tobytes() for row in found.rows} >= seen  # an epoch draws cases by kind


def test_a_seed_is_all_that_counts(store: CaseStore) -> None:
    one, again, other = (draw_sheet(preview(store, SETTINGS, seed=seed)) for seed in (1, 1, 2))
    assert one.tobytes() == again.tobytes()
    assert one.tobytes() != other.tobytes()


def test_more_cases_than_there_are_shows_all(store: CaseStore) -> None:
    found = preview(store, SETTINGS, seed=0, num_cases=50, num_draws=1)
    assert len(found.rows) == 8


def test_no_identifier_on_the_sheet(store: CaseStore) -> None:
    found = preview(store, SETTINGS, seed=0, num_cases=8)
    text = " ".join(found.captions)
    assert "orange: outline of the true mask" in found.captions[-1]
    assert not any(case.case_id in text or case.group in text for case in store.cases)
    assert "augmentation_strength 0.3" in text
    assert draw_sheet(found).info == {}


def test_the_outline_is_the_rim_of_the_mask() -> None:
    target = np.zeros((8, 8), np.float32)
    target[2:6, 2:6] = 1.0
    picture = outlined(np.zeros((8, 8), np.float32), target, low=0.0, high=1.0, side_px=8)
    rim = target > 0
    rim[3:5, 3:5] = False
    np.testing.assert_array_equal((picture == OUTLINE_RGB).all(axis=2), rim)
    assert (picture[~rim] == 0).all()
