"""What ensembles cost beside each other: seconds an image, peak memory, bytes of weights."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray

from ptxcore.allocator import give_back
from ptxcore.inference._ensemble import Ensemble

_PROCESS = Path("/proc/self")
#: Written to `clear_refs` it sets the peak of resident memory to what is resident (proc(5)).
_RESET_PEAK = "5"
#: How often the largest image is predicted to find the peak of memory.
_NUM_PEAKS = 2


@dataclass(frozen=True, kw_only=True)
class EnsembleCosts:
    """What an ensemble takes.

    Attributes:
        num_networks: Its networks.
        size_bytes: Their weights.
        memory_bytes: Weights and the most that one image takes besides: of the GPU's memory where
            it runs on one, else resident memory; None where the system does not tell that.
        seconds: Wall time of each image.
    """

    num_networks: int
    size_bytes: int
    memory_bytes: int | None
    seconds: tuple[float, ...]


def measure_costs(
    ensembles: Sequence[Ensemble], images: Sequence[NDArray[Any]]
) -> list[EnsembleCosts]:
    """Predict the same images with every ensemble, in turns, so that a busy machine hits all alike.

    Args:
        ensembles: At least one.
        images: Arrays of shape (H, W), at least one; each ensemble predicts the first one once
            before, which is not timed.

    Returns:
        Costs in the order of the ensembles, their times in that of the images.

    Raises:
        SettingsError: An image is not a two-dimensional array with pixels.
        OutOfMemory: A single window does not fit in memory.
    """
    for ensemble in ensembles:
        ensemble.logits(images[0])
    seconds: list[list[float]] = [[] for _ in ensembles]
    for number, image in enumerate(images):
        pairs = list(zip(ensembles, seconds, strict=True))
        for ensemble, own in pairs if number % 2 == 0 else reversed(pairs):
            begun = time.perf_counter()
            ensemble.logits(image)
            own.append(time.perf_counter() - begun)
    largest = max(images, key=lambda image: image.size)
    return [
        EnsembleCosts(
            num_networks=len(ensemble.members),
            size_bytes=_size(ensemble),
            memory_bytes=_memory(ensemble, largest),
            seconds=tuple(own),
        )
        for ensemble, own in zip(ensembles, seconds, strict=True)
    ]


def _size(ensemble: Ensemble) -> int:
    return sum(
        tensor.nelement() * tensor.element_size()
        for network, _ in ensemble.members
        for tensor in (*network.parameters(), *network.buffers())
    )


def _memory(ensemble: Ensemble, image: NDArray[Any]) -> int | None:
    def run() -> None:
        ensemble.logits(image)

    peak = _gpu_peak if ensemble.runtime.device == "cuda" else _resident_peak
    found = [peak(run) for _ in range(_NUM_PEAKS)]
    known = [one for one in found if one is not None]
    return max(known) + _size(ensemble) if len(known) == len(found) else None


def _gpu_peak(run: Callable[[], None]) -> int:
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    run()
    return int(torch.cuda.max_memory_allocated() - before)


def _resident_peak(run: Callable[[], None]) -> int | None:
    try:
        give_back()  # freed memory that is kept would be used again and not be seen
        (_PROCESS / "clear_refs").write_text(_RESET_PEAK, encoding="ascii")
        before = _status("VmRSS")
    except OSError:  # no Linux, or a container that forbids it
        return None
    run()
    return max(0, _status("VmHWM") - before)


def _status(key: str) -> int:
    text = (_PROCESS / "status").read_text(encoding="ascii", errors="replace")
    found = re.search(rf"^{key}:\s+(\d+) kB", text, re.M)
    if found is None:
        raise OSError(f"{key}: found none")
    return int(found[1]) * 1024
