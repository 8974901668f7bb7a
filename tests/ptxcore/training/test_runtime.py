"""Global state is given back, seeds are apart, and a runtime is measured."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from ptxcore.errors import SettingsError
from ptxcore.settings import FoldSettings
from ptxcore.training import measure_runtime
from ptxcore.training.seeds import derive_seed
from ptxcore.training.torch_state import isolated
from ptxcore.types import Runtime


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("device", "mps"),
        ("device", None),
        ("precision", "bf16"),
        ("channels_last", 1),
        ("num_threads", 0),
        ("num_threads", 1.0),
        ("num_threads", True),
    ],
)
def test_a_runtime_that_no_part_knows_is_refused(field: str, value: Any) -> None:
    with pytest.raises(SettingsError, match=f"{field}: found {value!r}, expected"):
        Runtime(**{field: value})


def test_isolation_gives_back_random_state_and_threads() -> None:
    threads, state = torch.get_num_threads(), torch.random.get_rng_state()
    with isolated(Runtime(num_threads=threads + 1), seed=5):
        assert torch.get_num_threads() == threads + 1
        first = torch.rand(3)
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.random.get_rng_state(), state)
    with isolated(Runtime(), seed=5):
        assert torch.equal(torch.rand(3), first)


def test_isolation_gives_back_after_an_error() -> None:
    def fail(threads: int) -> None:
        with isolated(Runtime(num_threads=threads), seed=5):
            torch.rand(3)
            raise RuntimeError("stop here")

    threads, state = torch.get_num_threads(), torch.random.get_rng_state()
    with pytest.raises(RuntimeError, match="stop here"):
        fail(threads + 1)
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.random.get_rng_state(), state)


def test_seeds_of_folds_and_purposes_are_apart() -> None:
    seeds = {
        derive_seed(seed, fold, purpose)
        for seed in range(10)
        for fold in range(10)
        for purpose in ("weights", "patches", "epoch 1")
    }
    assert len(seeds) == 300
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert derive_seed(0, 0, "weights") == 5_486_351_882_663_147_357


@pytest.mark.parametrize("more", [{}, {"context_factor": 2, "position_channels": True}])
@pytest.mark.parametrize(
    "device",
    [
        "cpu",
        pytest.param(
            "cuda",
            marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"),
        ),
    ],
)
def test_a_measured_runtime_can_be_used(device: str, more: dict[str, Any]) -> None:
    settings = FoldSettings(
        channels=2, levels=2, image_size=64, patch_size=32, batch_size=2, **more
    )
    state = torch.random.get_rng_state()
    runtime = measure_runtime(settings, device=device, num_threads=1)
    assert runtime.device == device
    assert runtime.precision in ("float32", "bfloat16")
    assert runtime.num_threads == 1
    assert torch.equal(torch.random.get_rng_state(), state)
