"""What is mistaken for a pneumothorax, and what is there anyway: folds, bullae, tubes, leads."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ptxcore.data.phantom._anatomy import Chest, Thorax
from ptxcore.data.phantom._frame import Field, Frame, bell, step
from ptxcore.data.phantom._pleura import wall_distance

Changes = tuple[Field, Field]
"""Density to add, and a factor on vessels and texture."""

_T = np.linspace(0, 1, 24)[:, None]


@dataclass(frozen=True, kw_only=True)
class Mimics:
    """Which of them an image shows."""

    skin_fold: bool
    companion_line: bool
    dark_apex: bool
    bulla: bool
    chest_tube: bool
    central_line: bool
    breathing_tube: bool
    num_leads: int


def sample_mimics(rng: np.random.Generator, *, at_bedside: bool, has_air: bool) -> Mimics:
    """Draw which are there.

    Args:
        rng: Source of chance.
        at_bedside: AP films of lying patients show more folds, tubes and leads.
        has_air: A pneumothorax is often drained, so a tube is evidence but no proof.
    """
    many = 2.0 if at_bedside else 1.0
    chance = rng.uniform(size=7)
    return Mimics(
        skin_fold=bool(chance[0] < 0.14 * many),
        companion_line=bool(chance[1] < 0.25),
        dark_apex=bool(chance[2] < 0.20),
        bulla=bool(chance[3] < 0.08),
        chest_tube=bool(chance[4] < (0.30 if has_air else 0.06)),
        central_line=bool(chance[5] < 0.15 * many),
        breathing_tube=bool(chance[6] < 0.08 * many * (many - 0.5)),
        num_leads=int(rng.integers(0, 4)) if at_bedside else 0,
    )


def draw_mimics(
    chosen: Mimics, chest: Chest, thorax: Thorax, frame: Frame, rng: np.random.Generator
) -> Changes:
    """Draw them.

    Args:
        chosen: Which are there.
        chest: Chest of the patient.
        thorax: Thorax of the patient, on the frame's grid.
        frame: The grid.
        rng: Source of chance: places, widths and contrasts.

    Returns:
        Arrays of shape (size, size): what is added to the density, and what markings are
        multiplied with.
    """
    density = np.zeros_like(frame.x)
    markings = np.ones_like(frame.x)
    side = float(rng.choice([-1.0, 1.0]))
    this_side = thorax.is_left == (side > 0)
    if chosen.skin_fold:
        density += _skin_fold(chest, frame, rng, side)
    if chosen.companion_line:
        depth = wall_distance(thorax, frame.size, to_base=False)
        at, reach = rng.uniform(0.012, 0.022), rng.uniform(0.04, 0.1)
        near_top = bell(frame.y - np.float32(chest.apex_y + 0.02), reach)
        line = bell(depth - np.float32(at), 0.0032) * near_top * this_side
        density += rng.uniform(0.03, 0.08) * line * thorax.lung
    if chosen.dark_apex:
        height = rng.uniform(0.05, 0.13)
        apex = step(np.float32(chest.apex_y + height) - frame.y, 0.08) * thorax.lung
        density -= rng.uniform(0.02, 0.06) * apex
        markings *= 1 - rng.uniform(0.5, 0.95) * apex
    if chosen.bulla:
        change, factor = _bulla(chest, thorax, frame, rng, side)
        density, markings = density + change, markings * factor
    return (density + _devices(chosen, chest, frame, rng, side)).astype(np.float32), markings


def _skin_fold(chest: Chest, frame: Frame, rng: np.random.Generator, side: float) -> Field:
    """An edge rather than a line: density rises slowly to it and drops, across rib and wall."""
    lean = rng.normal(0.15, 0.15)
    at = chest.midline + side * rng.uniform(0.18, 0.3)
    bend = rng.normal(0, 0.3)
    height = frame.y - np.float32(0.4)
    distance = side * (frame.x - at) + lean * height + bend * height**2
    ramp = np.where(distance < 0, np.exp(np.minimum(distance, 0) / np.float32(0.03)), 0)
    ends = step(frame.y - rng.uniform(0.12, 0.3), 0.1) * step(rng.uniform(0.6, 0.9) - frame.y, 0.1)
    return np.asarray(rng.uniform(0.04, 0.09) * ramp * ends, dtype=np.float32)


def _bulla(
    chest: Chest, thorax: Thorax, frame: Frame, rng: np.random.Generator, side: float
) -> Changes:
    """A round pocket with a thin wall that is hollow towards the ribs."""
    centre_x = chest.midline + side * rng.uniform(0.15, 0.24)
    centre_y = chest.apex_y + rng.uniform(0.06, 0.2)
    radius = rng.uniform(0.025, 0.055)
    away = np.sqrt(np.square(frame.x - centre_x) + np.square((frame.y - centre_y) * 0.85))
    inside = step(np.float32(radius) - away, 0.008) * thorax.lung
    wall = bell(away - np.float32(radius), 0.0028) * thorax.lung
    density = rng.uniform(0.02, 0.06) * wall - rng.uniform(0.03, 0.06) * inside
    return np.asarray(density, dtype=np.float32), 1 - np.float32(0.9) * inside


def _devices(
    chosen: Mimics, chest: Chest, frame: Frame, rng: np.random.Generator, side: float
) -> Field:
    density = np.zeros_like(frame.x)
    middle = chest.midline
    if chosen.chest_tube:
        outside = (middle + side * 0.42, rng.uniform(0.5, 0.65))
        tip = (middle + side * rng.uniform(0.12, 0.2), rng.uniform(0.18, 0.35))
        bend = (middle + side * 0.30, rng.uniform(0.25, 0.45))
        path = _path(outside, bend, tip)
        density += 0.10 * frame.strokes(path, 0.016, 0.0012)
        density -= 0.06 * frame.strokes(path, 0.009, 0.0012)
        density += 0.12 * frame.strokes(path + np.array([0.005, 0.0]), 0.0025, 0.0008)
    if chosen.central_line:
        neck = (middle - side * rng.uniform(0.05, 0.12), 0.0)
        tip = (middle - 0.045, rng.uniform(0.38, 0.48))
        path = _path(neck, (middle - side * 0.1, 0.2), tip)
        density += 0.09 * frame.strokes(path, 0.004, 0.001)
    if chosen.breathing_tube:
        path = _path((middle, 0.0), (middle + 0.01, 0.15), (middle, rng.uniform(0.27, 0.33)))
        density += 0.07 * frame.strokes(path, 0.015, 0.001)
        density -= 0.05 * frame.strokes(path, 0.009, 0.001)
    for _ in range(chosen.num_leads):
        pad = (middle + rng.uniform(-0.33, 0.33), rng.uniform(0.2, 0.65))
        exit_at = (middle + rng.choice([-1, 1]) * 0.5, rng.uniform(0.0, 0.9))
        bend = (rng.uniform(0.2, 0.8), rng.uniform(0.1, 0.8))
        density += 0.09 * frame.strokes(_path(pad, bend, exit_at), 0.0035, 0.0008)
        away = np.sqrt(np.square(frame.x - pad[0]) + np.square(frame.y - pad[1]))
        density += 0.10 * step(np.float32(0.011) - away, 0.003)
    return density


def _path(
    start: tuple[float, float], bend: tuple[float, float], end: tuple[float, float]
) -> NDArray[np.float64]:
    """One quadratic Bezier curve, shape (1, P, 2)."""
    a, b, c = np.array(start), np.array(bend), np.array(end)
    return (a * (1 - _T) ** 2 + b * (2 * _T * (1 - _T)) + c * _T**2)[None]
