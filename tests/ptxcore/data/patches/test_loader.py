"""Batches made by other processes are those that the sampler makes itself."""

from __future__ import annotations

import itertools
import multiprocessing
from collections.abc import Iterator

import numpy as np
import pytest
from tiny_store import drawn_store

from ptxcore.data.patches.loader import Loader
from ptxcore.data.patches.sampler import Batch, PatchSampler
from ptxcore.data.store.case_store import CaseStore
from ptxcore.settings import FoldSettings

SETTINGS = FoldSettings(
    image_size=64, patch_size=32, augmentation_strength=1.0, batch_size=4, context_factor=2
)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> CaseStore:
    return drawn_store(tmp_path_factory.mktemp("loading") / "store", num_cases=10, num_positive=4)


def sampler(store: CaseStore, settings: FoldSettings = SETTINGS) -> PatchSampler:
    return PatchSampler(store, [case.case_id for case in store.cases], settings, seed=3)


@pytest.fixture
def loader(store: CaseStore) -> Iterator[Loader]:
    one = Loader(sampler(store), num_workers=2)
    yield one
    one.close()


def assert_same(found: list[Batch], expected: list[Batch]) -> None:
    assert len(found) == len(expected) > 0
    for one, other in zip(found, expected, strict=True):
        assert one.cases == other.cases
        assert np.array_equal(one.images, other.images)
        assert np.array_equal(one.targets, other.targets)
        assert one.images.dtype == one.targets.dtype == np.float32


def test_epochs_in_any_order_are_those_of_the_sampler(store: CaseStore, loader: Loader) -> None:
    reference = sampler(store)
    for epoch in (1, 2, 5, 1):
        assert_same(list(loader.epoch(epoch)), list(reference.epoch(epoch)))


def test_an_epoch_that_was_left_does_not_shift_the_next(store: CaseStore, loader: Loader) -> None:
    next(loader.epoch(1))
    for epoch in (2, 2):
        assert_same(list(loader.epoch(epoch)), list(sampler(store).epoch(epoch)))


def test_losses_of_an_epoch_count_in_the_next(store: CaseStore) -> None:
    settings = FoldSettings.from_mapping({**SETTINGS.as_dict(), "hard_negative_share": 1.0})
    reference = sampler(store, settings)
    loader = Loader(sampler(store, settings), num_workers=1)
    try:
        for epoch in (1, 2, 3):
            found, expected = list(loader.epoch(epoch)), list(reference.epoch(epoch))
            assert_same(found, expected)
            for one, batches in ((loader, found), (reference, expected)):
                assert one.hard_negatives is not None
                cases = [case for batch in batches for case in batch.cases]
                one.hard_negatives.remember(cases, [float(case) ** 4 for case in cases])
    finally:
        loader.close()


# With a GPU it is a thread that misses the process first.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_killed_worker_is_an_error(store: CaseStore) -> None:
    loader = Loader(sampler(store), num_workers=2)
    next(loader.epoch(1))
    for process in multiprocessing.active_children():
        process.kill()
    with pytest.raises(RuntimeError, match="give a trial fewer CPUs"):
        list(itertools.chain.from_iterable(map(loader.epoch, range(2, 100))))
    loader.close()
    assert not multiprocessing.active_children()


def test_closing_ends_the_processes(store: CaseStore) -> None:
    loader = Loader(sampler(store), num_workers=2)
    list(loader.epoch(1))
    started = multiprocessing.active_children()
    assert len(started) == 2
    loader.close()
    for process in started:
        process.join(20)
        assert process.exitcode is not None
