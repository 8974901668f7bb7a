"""The positive fraction over epochs, and negatives drawn by their last loss."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from tiny_store import drawn_store

from ptxcore.data.patches.case_sampling import HardNegatives, positive_fraction
from ptxcore.data.patches.sampler import PatchSampler
from ptxcore.data.store.case_store import CaseStore
from ptxcore.settings import FoldSettings

FALLING = FoldSettings(
    image_size=64,
    patch_size=0,
    augmentation_strength=0.0,
    batch_size=5,
    steps_per_epoch=4,
    max_epochs=5,
    positive_fraction=0.8,
    positive_fraction_end=0.4,
    positive_fraction_schedule="linear",
)


def changed(**values: object) -> FoldSettings:
    return FoldSettings.from_mapping({**FALLING.as_dict(), **values})


@pytest.fixture
def store(tmp_path: Path) -> CaseStore:
    return drawn_store(tmp_path / "store", num_cases=12, num_positive=4)


def sampler(store: CaseStore, settings: FoldSettings) -> PatchSampler:
    return PatchSampler(store, [case.case_id for case in store.cases], settings, seed=0)


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("constant", [0.8, 0.8, 0.8, 0.8, 0.8]),
        ("linear", [0.8, 0.7, 0.6, 0.5, 0.4]),
        ("cosine", [0.8, 0.6 + 0.2 * 0.5**0.5, 0.6, 0.6 - 0.2 * 0.5**0.5, 0.4]),
    ],
)
def test_the_fraction_of_each_epoch(schedule: str, expected: list[float]) -> None:
    settings = changed(positive_fraction_schedule=schedule)
    assert [positive_fraction(settings, epoch) for epoch in range(1, 6)] == pytest.approx(expected)


def test_one_epoch_has_the_first_fraction() -> None:
    assert positive_fraction(changed(max_epochs=1, warmup_epochs=0), 1) == 0.8


def test_an_epoch_draws_its_fraction(store: CaseStore) -> None:
    samples = sampler(store, FALLING)
    positive = [
        sum(store.cases[case].is_positive for case in samples.draw(epoch)) for epoch in range(1, 6)
    ]
    assert positive == [16, 14, 12, 10, 8]


def test_hard_negatives_come_in_proportion_to_their_last_loss() -> None:
    memory = HardNegatives([3, 5, 8])
    rng = np.random.default_rng(0)
    assert memory.draw(4, rng) == []
    memory.remember([3, 4, 5, 3], [9.0, 7.0, 3.0, 1.0])  # 4 is positive, 3 improved, 8 is new
    np.testing.assert_array_equal(memory.losses, [1.0, 3.0, np.nan])
    counts = Counter(memory.draw(70_000, rng))
    assert counts[3] == pytest.approx(10_000, rel=0.05)
    assert counts[5] == pytest.approx(30_000, rel=0.05)
    assert counts[8] == pytest.approx(30_000, rel=0.05)
    again = HardNegatives([3, 5, 8])
    again.restore(memory.losses)
    assert again.draw(9, np.random.default_rng(1)) == memory.draw(9, np.random.default_rng(1))


def test_losses_of_nothing_teach_nothing() -> None:
    memory = HardNegatives([3, 5])
    memory.remember([3, 5], [0.0, 0.0])
    assert memory.draw(4, np.random.default_rng(0)) == []


def test_a_share_of_the_negatives_is_drawn_by_loss(store: CaseStore) -> None:
    settings = changed(positive_fraction=0.2, hard_negative_share=0.5, steps_per_epoch=10)
    samples = sampler(store, changed(**{**settings.as_dict(), "hard_negative_share": 0.0}))
    with_memory = sampler(
        store, changed(**{**settings.as_dict(), "positive_fraction_schedule": "constant"})
    )
    assert samples.hard_negatives is None
    assert with_memory.hard_negatives is not None
    first = Counter(with_memory.draw(1))
    assert {first[case] for case in range(4, 12)} == {5}  # nothing is known: 40 over 8 negatives
    with_memory.hard_negatives.remember(range(4, 12), [0.0] * 7 + [2.0])
    counts = Counter(with_memory.draw(2))
    assert sum(counts[case] for case in range(4)) == 10
    assert counts[11] in (22, 23)  # 20 by loss, 2 or 3 in turn
    assert with_memory.draw(2) == with_memory.draw(2)


def test_batches_say_whose_samples_they_hold(store: CaseStore) -> None:
    samples = sampler(store, FALLING)
    batches = list(samples.epoch(2))
    assert [case for batch in batches for case in batch.cases] == samples.draw(2)
