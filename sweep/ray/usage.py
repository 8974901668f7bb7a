"""What training a fold takes of its host: processor time, and the peaks of its memory.

Of the try that finished the fold, by name:

    cpu_seconds          of the trial's process and of those it waited for, user and system
    peak_memory_bytes    most resident memory of the process
    gpu_memory_bytes     most of the GPU's memory that PyTorch had allocated; only where it is used
    seconds_per_image    median time of an image of the held fold, see `FoldResult`
"""

from __future__ import annotations

import contextlib
import re
import resource
import sys
from pathlib import Path

#: Written to `clear_refs` it sets the peak of resident memory to what is resident (proc(5)).
_RESET_PEAK = "5"
_CLEAR, _STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")


class Meter:
    """Measures from its making on; a process has one at a time, since peaks are begun anew."""

    def __init__(self, device: str) -> None:
        """Begin.

        Args:
            device: "cpu" or "cuda", where the fold is trained.
        """
        self._device = device
        self._begun = _cpu_seconds()
        with contextlib.suppress(OSError):  # elsewhere the peak is that of all folds so far
            _CLEAR.write_text(_RESET_PEAK)
        if device == "cuda":
            import torch

            if torch.cuda.is_available():
                torch.cuda.reset_peak_memory_stats()

    def read(self) -> dict[str, float]:
        """What was taken so far; names as above."""
        found = {"cpu_seconds": _cpu_seconds() - self._begun, "peak_memory_bytes": _peak()}
        if self._device == "cuda":
            import torch

            if torch.cuda.is_available():
                found["gpu_memory_bytes"] = float(torch.cuda.max_memory_allocated())
        return found


def _peak() -> float:
    """Bytes; Linux tells the one that was begun anew (VmHWM), `getrusage` that of all time."""
    with contextlib.suppress(OSError):
        if found := re.search(r"^VmHWM:\s+(\d+) kB", _STATUS.read_text(), re.MULTILINE):
            return float(found[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(peak * (1 if sys.platform == "darwin" else 1024))


def _cpu_seconds() -> float:
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in used)
