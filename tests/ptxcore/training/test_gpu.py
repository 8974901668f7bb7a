"""On a GPU: the same numbers again, whether a step is captured or not, and after a resume."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pytest
import torch

from ptxcore.data.patches.sampler import Batch
from ptxcore.errors import OutOfMemory
from ptxcore.settings import FoldSettings
from ptxcore.training import cuda_graph, micro_batches, train_fold
from ptxcore.training.context import TrainingContext
from ptxcore.training.micro_batches import SplitStep
from ptxcore.training.step import compute_step, train_step
from ptxcore.training.torch_state import isolated
from ptxcore.types import EpochReport, Runtime

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")

PLAIN = Runtime(device="cuda", num_threads=2)
FAST = Runtime(device="cuda", precision="bfloat16", channels_last=True, num_threads=2)
SETTINGS = FoldSettings(image_size=0, patch_size=96, channels=8, levels=4, batch_size=4)
EVERYTHING = dataclasses.replace(
    SETTINGS,
    deep_supervision=True,
    case_head=True,
    hard_negative_share=0.5,
    focal_weight=0.5,
    tversky_weight=0.5,
)


class Bench(Protocol):
    plan: Any
    store: Any

    def train(self, settings: FoldSettings = ..., **options: Any) -> list[EpochReport]: ...


def batch(number: int, count: int = 4, side: int = 96) -> Batch:
    rng = np.random.default_rng(number)
    images = rng.normal(size=(count, 1, side, side)).astype(np.float32)
    targets = (rng.random((count, 1, side, side)) < 0.1).astype(np.float32)
    return Batch(images=images, targets=targets, cases=tuple(range(count)))


def stepped(
    settings: FoldSettings, runtime: Runtime, *, split_step: SplitStep | None, num_steps: int = 8
) -> dict[str, torch.Tensor]:
    """Weights, statistics and losses after a few steps."""
    context = TrainingContext.fresh(settings, runtime, seed=0)
    found = {}
    with isolated(runtime, seed=7):
        for number in range(num_steps):
            do = train_step if split_step is None else split_step
            rate = 1e-3 / (number + 1)
            step = do(context, batch(number), rate=rate)
            found[f"loss {number}"], found[f"each {number}"] = step.loss, step.of_samples
    return {name: value.cpu() for name, value in {**found, **context.network.state_dict()}.items()}


def assert_equal(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    different = [name for name in expected if not torch.equal(found[name], expected[name])]
    assert not different
    assert found.keys() == expected.keys()


@pytest.mark.parametrize("settings", [SETTINGS, EVERYTHING], ids=["default", "everything"])
@pytest.mark.parametrize("runtime", [PLAIN, FAST], ids=["float32", "bfloat16"])
def test_a_recorded_step_is_the_step(settings: FoldSettings, runtime: Runtime) -> None:
    split_step = SplitStep()
    found = stepped(settings, runtime, split_step=split_step)
    assert split_step.captured is not None
    assert_equal(found, stepped(settings, runtime, split_step=None))


def test_a_recorded_step_in_parts_is_the_step() -> None:
    split_step = SplitStep(2)
    found = stepped(SETTINGS, FAST, split_step=split_step)
    assert split_step.captured is not None
    assert found["loss 7"].isfinite()


@pytest.mark.parametrize("runtime", [PLAIN, FAST], ids=["float32", "bfloat16"])
def test_the_same_again(runtime: Runtime) -> None:
    assert_equal(
        stepped(EVERYTHING, runtime, split_step=SplitStep()),
        stepped(EVERYTHING, runtime, split_step=SplitStep()),
    )


def numbers(reports: list[EpochReport]) -> dict[str, Any]:
    result = reports[-1].result
    assert result is not None
    return {
        "metrics": dict(result.metrics),
        "curves": {name: curve for name, curve in result.curves.items() if name != "seconds"},
        "truth": result.cases.truth.tolist(),
        "background": result.cases.background.tolist(),
    }


@pytest.mark.parametrize("more", [{}, {"ema_decay": 0.9, "average_best": 2}])
def test_a_fold_that_was_stopped_goes_on_as_if_it_had_not_been(
    bench: Bench, small: FoldSettings, tmp_path: Path, more: dict[str, Any]
) -> None:
    settings = dataclasses.replace(small, hard_negative_share=0.5, steps_per_epoch=6, **more)
    expected = numbers(bench.train(settings, runtime=FAST))
    assert numbers(bench.train(settings, runtime=FAST)) == expected
    half = train_fold(
        settings, bench.store, bench.plan, 0, seed=0, runtime=FAST, directory=tmp_path / "fold"
    )
    next(half)
    next(half)
    half.close()
    found = bench.train(settings, runtime=FAST, directory=tmp_path / "fold")
    assert numbers(found) == expected


def test_a_gpu_learns_what_a_cpu_learns(bench: Bench, small: FoldSettings) -> None:
    settings = dataclasses.replace(small, dropout=0.0, max_epochs=3)
    on_cpu = bench.train(settings)[-1].result
    on_gpu = bench.train(settings, runtime=PLAIN)[-1].result
    assert on_cpu is not None
    assert on_gpu is not None
    assert on_gpu.curves["train_loss"] == pytest.approx(on_cpu.curves["train_loss"], rel=0.02)


def peak(settings: FoldSettings, count: int) -> int:
    """Bytes that a step of so many patches takes."""
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    context = TrainingContext.fresh(settings, FAST, seed=0)
    with isolated(FAST, seed=0):
        train_step(context, batch(0, count, 256), rate=1e-3)
    return torch.cuda.max_memory_reserved()


LARGE = dataclasses.replace(SETTINGS, patch_size=256, channels=32, levels=5)


@pytest.fixture
def limited() -> Iterator[Callable[[float], None]]:
    """Leaves this process so many bytes of the GPU."""
    total = torch.cuda.get_device_properties(0).total_memory

    def limit(num_bytes: float) -> None:
        torch.cuda.empty_cache()
        torch.cuda.set_per_process_memory_fraction(num_bytes / total)

    yield limit
    torch.cuda.set_per_process_memory_fraction(1.0)
    torch.cuda.empty_cache()


def test_a_batch_is_halved_until_it_fits(limited: Callable[[float], None]) -> None:
    limited((peak(LARGE, 8) + peak(LARGE, 16)) / 2)
    split_step = SplitStep()
    context = TrainingContext.fresh(LARGE, FAST, seed=0)
    with isolated(FAST, seed=0):
        for number in range(6):
            step = split_step(context, batch(number, 16, 256), rate=1e-3)
    assert split_step.num_parts == 2
    assert split_step.captured is not None
    assert step.loss.isfinite()


def test_memory_that_goes_before_the_recording_halves_the_batch(
    limited: Callable[[float], None],
) -> None:
    enough, less = peak(LARGE, 16), (peak(LARGE, 8) + peak(LARGE, 16)) / 2
    limited(1.2 * enough)
    split_step = SplitStep()
    context = TrainingContext.fresh(LARGE, FAST, seed=0)
    with isolated(FAST, seed=0):
        for number in range(8):
            if number == 3:
                assert split_step.num_parts == 1
                context.optimizer.zero_grad()
                limited(less)
            step = split_step(context, batch(number, 16, 256), rate=1e-3)
    assert split_step.num_parts == 2
    assert step.loss.isfinite()


def test_a_step_that_cannot_be_recorded_is_computed_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    captured = micro_batches.CapturedStep

    def broken_off(*given: Any, **options: Any) -> Any:
        monkeypatch.setattr(cuda_graph, "compute_step", reads_the_device)
        return captured(*given, **options)

    def reads_the_device(*given: Any, **options: Any) -> Any:
        step = compute_step(*given, **options)
        step.loss.item()  # no graph can wait
        return step

    monkeypatch.setattr(micro_batches, "CapturedStep", broken_off)
    split_step = SplitStep()
    with pytest.warns(RuntimeWarning, match="could not be captured as a CUDA graph"):
        found = stepped(SETTINGS, FAST, split_step=split_step)
    assert split_step.captured is None
    assert_equal(found, stepped(SETTINGS, FAST, split_step=None))


def test_what_never_fits_says_so(limited: Callable[[float], None]) -> None:
    limited(peak(LARGE, 1))
    context = TrainingContext.fresh(LARGE, FAST, seed=0)
    with isolated(FAST, seed=0), pytest.raises(OutOfMemory, match="lower batch_size"):
        SplitStep()(context, batch(0, 16, 256), rate=1e-3)
