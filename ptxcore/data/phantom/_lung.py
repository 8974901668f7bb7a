"""What makes lung look like lung: vessels that branch from the hila, and fine texture."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ptxcore.data.phantom._anatomy import Chest, Thorax
from ptxcore.data.phantom._frame import Field, Frame, smooth

_NUM_STEMS = 10
_NUM_BRANCHES = 5
_T = np.linspace(0, 1, 7)[:, None]


def markings(
    chest: Chest, thorax: Thorax, frame: Frame, rng: np.random.Generator, *, strength: float
) -> Field:
    """Density of vessels and interstitium, zero outside the lungs.

    Args:
        chest: The patient.
        thorax: Placed on the grid.
        frame: The grid.
        rng: Draws the branches.
        strength: About 0.6 (hardly visible) to 1.4 (congested).
    """
    stems, branches, twigs = _tree(rng, chest.midline)
    drawn = 0.055 * frame.strokes(stems, 0.0055, 0.0022)
    drawn += 0.042 * frame.strokes(branches, 0.0036, 0.0014)
    drawn += 0.034 * frame.strokes(twigs, 0.0022, 0.001)
    # Vessels taper: fainter away from the hilum.
    drawn *= 1.15 - 0.9 * np.minimum(np.hypot(thorax.u - 0.07, frame.y - 0.43) / 0.4, 1)
    drawn += _texture(frame.size, rng)
    return np.asarray(strength * drawn * thorax.lung, dtype=np.float32)


def _tree(
    rng: np.random.Generator, midline: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Stems, branches and twigs of both lungs: lines of shape (N, P, 2).

    Angle 0 points up, pi/2 away from the midline.
    """
    outward = np.repeat([-1.0, 1.0], _NUM_STEMS)
    angle = np.tile(np.linspace(-0.35, 2.95, _NUM_STEMS), 2) + rng.normal(0, 0.08, 2 * _NUM_STEMS)
    hila = np.column_stack([midline + 0.06 * outward, np.full(2 * _NUM_STEMS, 0.43)])
    stems = _vessels(rng, hila, outward, angle, (0.16, 0.30))
    outward, angle = np.repeat(outward, _NUM_BRANCHES), np.repeat(angle, _NUM_BRANCHES)
    count = len(outward)
    fork = np.repeat(stems, _NUM_BRANCHES, axis=0)[np.arange(count), rng.integers(1, 6, count)]
    angle = angle + rng.choice([-1, 1], count) * rng.uniform(0.3, 0.8, count)
    branches = _vessels(rng, fork, outward, angle, (0.07, 0.16))
    angle = angle + rng.normal(0, 0.6, count)
    return stems, branches, _vessels(rng, branches[:, 3], outward, angle, (0.04, 0.10))


def _vessels(
    rng: np.random.Generator,
    start: NDArray[np.float64],
    outward: NDArray[np.float64],
    angle: NDArray[np.float64],
    length: tuple[float, float],
) -> NDArray[np.float64]:
    """Bent lines (quadratic Bezier curves) from `start` of shape (N, 2)."""
    along = rng.uniform(*length, (len(start), 1)) * np.column_stack(
        [outward * np.sin(angle), -np.cos(angle)]
    )
    across = along[:, ::-1] * [1, -1]
    middle = start + 0.5 * along + rng.normal(0, 0.12, (len(start), 1)) * across
    end = start + along + rng.normal(0, 0.1, (len(start), 1)) * across
    first, second, third = (points[:, None, :] for points in (start, middle, end))
    return first * (1 - _T) ** 2 + second * (2 * _T * (1 - _T)) + third * _T**2


def _texture(size: int, rng: np.random.Generator) -> Field:
    noise = rng.standard_normal((size, size), dtype=np.float32)
    fine = smooth(noise, 0.004 * size) * np.float32(0.03 * 0.004 * size * 2)
    coarse = smooth(noise, 0.02 * size) * np.float32(0.012 * 0.02 * size * 3.5)
    return np.asarray(fine + coarse, dtype=np.float32)
