"""Settings and versions in words."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping


def listed(values: Mapping[str, object], names: Iterable[str]) -> str:
    """Names with their values, those that are there."""
    return ", ".join(f"{name} {_short(values[name])}" for name in names if name in values)


def _short(value: object) -> str:
    if isinstance(value, float) and math.isfinite(value):
        return f"{value:.3g}"
    return str(value).lower() if isinstance(value, bool) else str(value)


def versions(known: Mapping[str, str] | None) -> str:
    """A sentence on what changes pixels, with a space before it; empty if nothing is known."""
    if not known:
        return ""
    return f" Versions of what changes pixels: {listed(known, known)}."
