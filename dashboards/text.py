"""How numbers, times and names are written in figures and in the report."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from sweep.analysis.metric_names import in_sentence as in_sentence
from sweep.analysis.metric_names import metric_name as metric_name
from sweep.analysis.statistics import PairedDifference


def score(value: float | None, digits: int = 3) -> str:
    """A score; a dash where there is none. Distances of 10 mm and more have one decimal."""
    if value is None or not math.isfinite(value):
        return "–"
    return f"{value:.{_digits(value, digits)}f}".replace("-", "−")


def signed(value: float | None, digits: int = 3) -> str:
    """A difference, with its sign; decimals as in `score`."""
    if value is None or not math.isfinite(value):
        return "–"
    return f"{value:+.{_digits(value, digits)}f}".replace("-", "−")


def span(found: PairedDifference) -> str:
    """The interval of a difference."""
    if found.says_nothing:
        return "says nothing"
    return f"{signed(found.low)} to {signed(found.high)}"


def _digits(value: float, digits: int) -> int:
    return digits if abs(value) < 10 else min(digits, 1)


def setting(value: Any) -> str:
    """A value of a configuration in at most four significant digits."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3g}" if value else "0"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(setting(part) for part in value)
    return str(value)


def duration(seconds: float | None) -> str:
    """A time span, in the two largest units that say something."""
    if seconds is None or not math.isfinite(seconds):
        return "–"
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    if whole < 86_400:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 86_400} d {whole % 86_400 // 3600} h"


def memory(size: float) -> str:
    """Bytes in MiB, or in GiB."""
    if not math.isfinite(size):
        return "–"
    return f"{size / 2**20:.0f} MiB" if size < 2**30 else f"{size / 2**30:.1f} GiB"


def listed(words: Sequence[str]) -> str:
    """Words as a sentence lists them."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
