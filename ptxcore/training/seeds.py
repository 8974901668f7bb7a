"""One seed per purpose, all derived from the sweep's seed and the fold."""

from __future__ import annotations

import hashlib


def derive_seed(seed: int, fold: int, purpose: str) -> int:
    """A seed that has nothing in common with those of other folds and purposes.

    A hash, not `seed + fold`: seed 1 of fold 0 must not be seed 0 of fold 1.

    Args:
        seed: Seed of the sweep.
        fold: Zero-based.
        purpose: What the seed is for; another one gives another seed.

    Returns:
        A number from 0 to 2^63 - 1.
    """
    text = f"ptxsweep {seed} {fold} {purpose}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
