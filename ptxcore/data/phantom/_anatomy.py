"""One patient's chest: shape parameters, and what casts the large shadows.

`u` is the distance from the midline, so both sides are drawn at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ptxcore.data.phantom._frame import Field, Frame, bell, smooth, step


@dataclass(frozen=True, kw_only=True)
class Chest:
    """Shape of one patient's chest, in chest units (shares of the field of view)."""

    midline: float
    curve: float  # sideways bend of the spine
    apex_y: float
    apex_u: float
    half_width: float
    dome_y: tuple[float, float]  # top of the right and left hemidiaphragm
    dome_drop: float  # from there to the costophrenic angle
    heart_width: float
    heart_y: float
    rib_spacing: float
    rib_slope: float
    rib_phase: float
    rib_contrast: float
    habitus: float  # 0 slim to 1 stout
    breasts: float
    stomach_air: float


def sample_chest(rng: np.random.Generator) -> Chest:
    """A patient.

    Args:
        rng: Source of every parameter.
    """
    dome = rng.uniform(0.64, 0.74)
    return Chest(
        midline=0.5 + rng.normal(0, 0.008),
        curve=rng.normal(0, 0.012),
        apex_y=rng.uniform(0.10, 0.15),
        apex_u=rng.uniform(0.10, 0.13),
        half_width=rng.uniform(0.31, 0.36),
        dome_y=(dome, dome + rng.uniform(0.0, 0.035)),
        dome_drop=rng.uniform(0.07, 0.12),
        heart_width=rng.uniform(0.11, 0.16),
        heart_y=rng.uniform(0.55, 0.60),
        rib_spacing=rng.uniform(0.062, 0.074),
        rib_slope=rng.uniform(0.15, 0.45),
        rib_phase=rng.uniform(0, 1),
        rib_contrast=rng.uniform(0.07, 0.11),
        habitus=rng.uniform(0, 1),
        breasts=max(0.0, rng.uniform(-0.8, 1.0)),
        stomach_air=max(0.0, rng.uniform(-0.6, 1.0)),
    )


@dataclass(frozen=True, kw_only=True)
class Thorax:
    """The chest on a grid: arrays of shape (size, size), lengths in chest units.

    Attributes:
        u: Distance from the midline.
        is_left: The patient's left, on the right of the image.
        lateral: Distance inward from the outer chest wall along a row; negative outside.
        above: Distance upward from the diaphragm; negative below it.
        cavity: Pleural cavities, as a mask.
        lung: The same with a soft edge, 0 to 1.
    """

    u: Field
    is_left: NDArray[np.bool_]
    lateral: Field
    above: Field
    cavity: NDArray[np.bool_]
    lung: Field


def place(chest: Chest, frame: Frame, *, depth: float) -> Thorax:
    """Find the pleural cavities.

    Args:
        chest: The patient.
        frame: The grid.
        depth: Depth of breath, in chest units; negative raises the diaphragm, as on a bedside film.
    """
    y = frame.y
    offset = frame.x - np.float32(chest.midline) - np.float32(chest.curve) * np.sin(6 * y)
    u, is_left = np.abs(offset), offset > 0
    dome = np.where(is_left, np.float32(chest.dome_y[1]), np.float32(chest.dome_y[0])) + depth
    bottom = dome + chest.dome_drop
    down = np.clip((y - chest.apex_y) / (bottom - chest.apex_y), 0, 1)
    spread = (1 - (1 - down) ** 2.4) ** 0.62
    lateral = chest.apex_u + (chest.half_width - chest.apex_u) * spread - u
    top = np.clip(1 - down / 0.25, 0, 1)
    medial = u - chest.apex_u + (chest.apex_u - 0.045) * np.sqrt(1 - top * top)
    above = dome + chest.dome_drop * (np.abs(u - 0.13) / 0.2) ** 2.2 - y
    cavity = (lateral > 0) & (medial > 0) & (above > 0) & (y > chest.apex_y)
    return Thorax(
        u=u,
        is_left=is_left,
        lateral=lateral.astype(np.float32),
        above=above.astype(np.float32),
        cavity=cavity,
        lung=smooth(cavity.astype(np.float32), 0.004 * frame.size),
    )


def soft_tissue(chest: Chest, thorax: Thorax, frame: Frame, *, air: float) -> Field:
    """Density of body, lungs, heart, mediastinum and abdomen.

    Args:
        chest: The patient.
        thorax: Placed on the grid.
        frame: The grid.
        air: How dark the lungs are, about 0.2 (expired) to 0.4.

    Returns:
        Float32 of shape (size, size).
    """
    u, y = thorax.u, frame.y
    body = _outline(chest, frame, u)
    density = 0.04 + (0.42 + 0.08 * chest.habitus) * body
    density -= air * thorax.lung * (1 - 0.4 * step(y - 0.45, 0.6))
    below = (1 - step(thorax.above, 0.025)) * step(thorax.lateral + 0.02, 0.1) * step(y - 0.5, 0.1)
    density += (0.17 - 0.3 * np.square(np.minimum(u, 0.4))) * below
    sideways = np.where(thorax.is_left, u, -u)
    density += _mediastinum(chest, u, sideways, y) * body
    hilum = np.exp(-np.square((u - 0.085) / 0.028) - np.square((y - 0.43) / 0.07))
    density += 0.09 * hilum
    density -= 0.06 * bell(u, 0.013) * step(0.37 - y, 0.05)  # trachea
    breast = np.sqrt(np.square((u - 0.2) / 0.14) + np.square((y - 0.60) / 0.12))
    density += 0.08 * chest.breasts * step(1 - breast, 0.15)
    bubble = np.square((sideways - 0.17) / 0.06) + np.square((y - chest.dome_y[1] - 0.08) / 0.03)
    density -= 0.10 * chest.stomach_air * step(1 - np.sqrt(bubble), 0.4)
    return np.asarray(density, dtype=np.float32)


def _outline(chest: Chest, frame: Frame, u: Field) -> Field:
    """Thickness of the body, 0 to 1: neck, shoulders, trunk and arms."""
    y = frame.y
    neck = step(0.10 + 0.02 * chest.habitus - u, 0.05)
    shoulder = -0.01 + 0.13 * step(u - 0.21, 0.40) + 0.12 * np.square(u)
    trunk = step(y - shoulder - 0.01, 0.07)
    flank = 0.44 + 0.04 * chest.habitus - 0.03 * step(y - 0.6, 0.4)
    trunk *= 0.72 * step(flank - u, 0.05) + 0.28 * step(flank - 0.06 - u, 0.16)
    arm = 0.6 * step(y - shoulder, 0.06) * step(u - flank - 0.004 - 0.10 * (y - 0.45), 0.02)
    joint = 0.6 * step(y - shoulder - 0.02, 0.09) * step(0.42 - y, 0.25)
    trunk = np.maximum(trunk, neck * step(0.4 - y, 0.3))
    return np.asarray(np.maximum(trunk, np.maximum(arm, joint)), dtype=np.float32)


def _mediastinum(chest: Chest, u: Field, sideways: Field, y: Field) -> Field:
    """Great vessels, and a heart that leans to the patient's left and lies on the diaphragm."""
    band = 0.13 * step(0.068 - u, 0.05)
    turned = sideways - 0.045 - 0.35 * (y - chest.heart_y)
    heart = np.square(turned / chest.heart_width) + np.square((y - chest.heart_y) / 0.16)
    reach = 1 - np.sqrt(heart)
    heart_shadow = 0.21 * step(reach, 0.10) * (0.75 + 0.25 * step(reach - 0.3, 0.8))
    right = np.square((sideways + 0.05) / 0.055) + np.square((y - chest.heart_y - 0.02) / 0.12)
    heart_shadow = np.maximum(heart_shadow, 0.17 * step(1 - np.sqrt(right), 0.12))
    knob = np.sqrt(np.square(sideways - 0.05) + np.square(y - 0.33))
    knuckle = 0.08 * step(0.032 - knob, 0.015)
    return np.asarray(np.maximum(band, heart_shadow) + knuckle, dtype=np.float32)


def bones(chest: Chest, thorax: Thorax, frame: Frame, *, clavicle_y: float) -> Field:
    """Density of spine, ribs, clavicles, shoulder blades and upper arms.

    Args:
        chest: The patient.
        thorax: Placed on the grid.
        frame: The grid.
        clavicle_y: Height of the clavicles' inner ends, in chest units.

    Returns:
        Float32 of shape (size, size), to be added.
    """
    u, y = thorax.u, frame.y
    inside = step(thorax.lateral + 0.012, 0.012) * step(y - chest.apex_y + 0.01, 0.03)
    inside *= step(thorax.above + 0.12, 0.15)
    arch = 0.9 * (u - 0.15) ** 2 - 0.12 * u
    back = _ribs(y - arch - 0.10, chest.rib_spacing, chest.rib_phase, 0.0115)
    front_arch = -(0.35 + chest.rib_slope) * (chest.half_width - u) + 1.1 * (u - 0.2) ** 2
    front = _ribs(y - front_arch, chest.rib_spacing * 1.15, chest.rib_phase + 0.37, 0.0135)
    front *= step(u - 0.11, 0.08)
    density = chest.rib_contrast * inside * (back + np.float32(0.55) * front)
    density += 0.05 * bell(thorax.lateral + 0.006, 0.008) * inside  # ribs seen edge-on
    vertebrae = 0.8 + 0.2 * np.cos(2 * np.pi * y / 0.058)
    density += 0.05 * step(0.034 - u, 0.014) * vertebrae
    clavicle = clavicle_y - 0.28 * (u - 0.03) + 0.45 * np.square(u - 0.17)
    shaft = step(0.013 - np.abs(y - clavicle), 0.006) * step(u - 0.03, 0.01) * step(0.36 - u, 0.02)
    density += 0.10 * shaft
    blade = step(u - (0.29 + 0.25 * (y - 0.25)), 0.01) * step(0.42 - y, 0.06) * step(y - 0.14, 0.05)
    density += 0.05 * blade * step(0.40 - u, 0.05)
    head = np.sqrt((u - 0.425) ** 2 + (y - 0.19) ** 2)
    density += 0.09 * step(0.042 - head, 0.015)
    shaft = step(0.017 - np.abs(u - 0.44 - 0.12 * (y - 0.2)), 0.01) * step(y - 0.2, 0.02)
    density += 0.10 * shaft
    return np.asarray(density, dtype=np.float32)


def _ribs(height: Field, spacing: float, phase: float, half_thickness: float) -> Field:
    """Bands of bone, one every `spacing`, denser at their rims (cortical bone)."""
    turns = height / np.float32(spacing) + np.float32(phase)
    across = (turns - np.round(turns)) * np.float32(spacing / half_thickness)
    squared = np.minimum(across * across, np.float32(4))
    return np.asarray((0.65 + 0.45 * squared) * np.exp(-(squared**2)), dtype=np.float32)
