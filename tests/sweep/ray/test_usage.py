"""What a fold took: processor time and the peak of memory since the meter was made."""

from __future__ import annotations

import os

import numpy as np
import pytest

from ptxcore.allocator import give_back
from sweep.ray import usage
from sweep.ray.usage import Meter


def test_work_and_memory_since_the_start_are_counted() -> None:
    meter = Meter("cpu")
    before = meter.read()
    held = np.ones(16 * 2**20)  # 128 MiB that are touched
    for _ in range(20):
        held *= 1.0000001
    found = meter.read()
    assert set(found) == {"cpu_seconds", "peak_memory_bytes"}
    assert found["cpu_seconds"] > before["cpu_seconds"] >= 0
    assert found["peak_memory_bytes"] > before["peak_memory_bytes"] + 64 * 2**20


@pytest.mark.skipif(not os.access(usage._CLEAR, os.W_OK), reason="the peak cannot be begun anew")
def test_each_fold_has_its_own_peak() -> None:
    held = np.ones(16 * 2**20)
    peak = Meter("cpu").read()["peak_memory_bytes"]
    del held
    give_back()  # as a fold does at its end; what a process keeps to itself is still its own
    assert Meter("cpu").read()["peak_memory_bytes"] < peak - 64 * 2**20
