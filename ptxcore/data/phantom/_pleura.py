"""Pneumothorax: air between chest wall and lung.

Each pixel gets its distance to the chest wall, divided by a profile along the wall (1 in the
middle of the collection, 0 far away). The mask is the `k` smallest of these, so that it has the
wanted area exactly and tapers into a crescent; the lung's edge is the contour of the largest.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ptxcore.data.phantom._anatomy import Thorax
from ptxcore.data.phantom._frame import Field, Frame, bell, smooth

#: Place along the wall, in radians from straight up, and how often it is met there: most air
#: gathers at the apex of an upright patient, little at the base.
_PLACES = ((0.45, 0.50), (0.95, 0.28), (1.45, 0.14), (2.35, 0.08))
#: A lung collapses to the hilum and no further.
_MAX_SHARE_OF_CAVITY = 0.6


@dataclass(frozen=True, kw_only=True)
class Pneumothorax:
    """One collection of air.

    Attributes:
        on_left: In the patient's left cavity.
        share: Wanted area as a share of the image.
        angle: Angle of its middle, radians from straight up about the hilum.
        reach: Extent along the wall, radians.
        darkness: How much darker than aerated lung it is, in density.
        line: How much brighter the pleural line is, in density.
    """

    on_left: bool
    share: float
    angle: float
    reach: float
    darkness: float
    line: float


def sample_pneumothorax(
    rng: np.random.Generator, share: float, *, on_left: bool, is_upright: bool
) -> Pneumothorax:
    """Choose place, extent and visibility for a given size.

    Args:
        rng: Source of chance.
        share: Share of the image that the air covers, in (0, 1).
        on_left: Whether it is the patient's left side.
        is_upright: Air of a patient who stands gathers at the apex.
    """
    places, weights = np.array(_PLACES).T
    if not is_upright:  # air of a lying patient also gathers at the base
        weights = weights * np.array([0.7, 1.0, 1.2, 3.0])
    angle = rng.choice(places, p=weights / weights.sum()) + rng.normal(0, 0.12)
    reach = 0.6 * (share / 0.008) ** 0.3 * math.exp(rng.normal(0, 0.2))
    return Pneumothorax(
        on_left=on_left,
        share=share,
        angle=float(angle),
        reach=float(np.clip(reach, 0.2, 1.5)),
        darkness=float(rng.uniform(0.09, 0.17)),
        line=float(rng.uniform(0.07, 0.14)),
    )


@dataclass(frozen=True, kw_only=True)
class Pleura:
    """What a pneumothorax changes, per pixel.

    Attributes:
        mask: Its air.
        density: To be added.
        markings: Factor on vessels and texture, 0 inside the air.
    """

    mask: NDArray[np.bool_]
    density: Field
    markings: Field


def open_pleura(thorax: Thorax, frame: Frame, found: Pneumothorax) -> Pleura:
    """Separate the lung from the chest wall.

    Args:
        thorax: Thorax of the patient.
        frame: The grid that it is drawn on.
        found: What to open.

    Returns:
        Arrays of shape (size, size). The air has the share that was asked for, but never more than
        `_MAX_SHARE_OF_CAVITY` of its side.
    """
    side = thorax.cavity & (thorax.is_left == found.on_left)
    inward = np.arctan2(thorax.u - np.float32(0.10), np.float32(0.42) - frame.y)
    wrapped = np.remainder(inward - np.float32(found.angle) + np.pi, 2 * np.pi) - np.pi
    profile = np.exp(-(np.square(np.abs(wrapped) / np.float32(found.reach)) ** 1.25))
    depth = wall_distance(thorax, frame.size, to_base=found.angle > 1.9)
    scaled = np.where(side, depth / np.maximum(profile, np.float32(1e-3)), np.float32(1e6))
    num_cavity = int(np.count_nonzero(side))
    wanted = max(4, round(found.share * frame.size**2))
    k = min(wanted, int(_MAX_SHARE_OF_CAVITY * num_cavity))
    edge = np.float32(np.partition(scaled[side], k - 1)[k - 1])
    mask = scaled <= edge
    soft = smooth(mask.astype(np.float32), 0.0025 * frame.size)
    beyond = np.where(side, (scaled - edge) * profile, np.float32(1))
    line = bell(beyond, 0.0028) * np.sqrt(np.clip(profile, 0, 1)) * thorax.lung
    density = found.line * line - found.darkness * soft * (0.35 + 0.65 * thorax.lung)
    collapsed = 0.025 * min(1.0, found.share / 0.03)
    density += collapsed * (side & ~mask)
    return Pleura(mask=mask, density=density.astype(np.float32), markings=1 - soft)


def wall_distance(thorax: Thorax, size: int, *, to_base: bool) -> Field:
    """Distance to the chest wall.

    Args:
        thorax: Thorax of the patient.
        size: Side of the image in pixels.
        to_base: To ribs and diaphragm, instead of ribs and apex.

    Returns:
        Float32 of shape (size, size), in sides of the image; 0 outside the wall.
    """
    wall = thorax.lateral > 0
    if to_base:
        inside = wall & (thorax.above > 0)
        inside[: size // 4] = wall[: size // 4]
    else:
        inside = wall & (thorax.cavity.cumsum(axis=0) > 0)
        # Between the lungs the wall goes on, or the midline would count as one.
        top = int(np.argmax(thorax.cavity.any(axis=1)))
        inside |= (thorax.u < 0.1) & (np.arange(size)[:, None] >= top)
    distance = cv2.distanceTransform(inside.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
    return np.asarray(distance, dtype=np.float32) / np.float32(size)
