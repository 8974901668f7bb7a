"""Batches that processes make ahead, in a worker of Ray, as a trial with a GPU has them."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import ray

from ptxcore.data.patches.loader import Loader
from ptxcore.data.patches.sampler import PatchSampler
from ptxcore.data.store.case_store import CaseStore
from ptxcore.settings import FoldSettings

SETTINGS = FoldSettings(image_size=64, patch_size=32, augmentation_strength=1.0, batch_size=4)


@pytest.fixture(scope="module", autouse=True)
def _ray() -> Iterator[None]:
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


def children(pid: int) -> set[int]:
    """All processes below one."""
    parents = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                stat = (folder / "stat").read_text()
            except OSError:  # it ended meanwhile
                continue
            parents[int(folder.name)] = int(stat.rpartition(")")[2].split()[1])
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {pid}


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def sampler(folder: str) -> PatchSampler:
    store = CaseStore.open(Path(folder))
    return PatchSampler(store, [case.case_id for case in store.cases], SETTINGS, seed=3)


def test_the_same_batches_and_no_process_left_behind(tmp_path: Path) -> None:
    from tiny_store import drawn_store  # here: Ray workers import this file without our path

    folder = str(tmp_path / "store")
    drawn_store(Path(folder), num_cases=10, num_positive=4)

    class Worker:
        def batches(self, folder: str) -> list[np.ndarray]:
            self.loader = Loader(sampler(folder), num_workers=2)
            return [batch.images for number in (1, 2) for batch in self.loader.epoch(number)]

        def pid(self) -> int:
            return os.getpid()

    worker = ray.remote(num_cpus=2)(Worker).remote()
    found = ray.get(worker.batches.remote(folder))
    expected = [batch.images for number in (1, 2) for batch in sampler(folder).epoch(number)]
    assert len(found) == len(expected) > 0
    assert all(np.array_equal(one, other) for one, other in zip(found, expected, strict=True))
    pid = ray.get(worker.pid.remote())
    makers = children(pid)
    assert len(makers) >= 3  # the server and its two
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 30
    while any(map(is_alive, makers)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not [one for one in makers if is_alive(one)]
