"""Compose one image: sample what is in it, add up densities, expose it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ptxcore.data.phantom._anatomy import bones, place, sample_chest, soft_tissue
from ptxcore.data.phantom._cohort import Order
from ptxcore.data.phantom._frame import Field, Frame, make_frame, smooth
from ptxcore.data.phantom._lung import markings
from ptxcore.data.phantom._mimics import draw_mimics, sample_mimics
from ptxcore.data.phantom._pleura import open_pleura, sample_pneumothorax


@dataclass(frozen=True, kw_only=True)
class Exposure:
    """How densities become grey values.

    Attributes:
        level: Density at the middle of the logistic curve.
        gain: How steep the curve is, per density.
        noise: Standard deviation of the grain, as a density.
        unsharpness: Standard deviation of the blur, as a share of the image's side.
        collimation: Shares of the image's side that are shut at its edges.
    """

    level: float
    gain: float
    noise: float
    unsharpness: float
    collimation: tuple[float, float, float, float]  # top, bottom, left, right


def draw(order: Order, size: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Draw an image and its mask.

    Args:
        order: What to draw; it holds the seeds, so the same order gives the same image.
        size: Side in pixels.

    Returns:
        Pixels, uint8 of shape (size, size), bright where the body is dense; and the mask of the
        pneumothorax, bool of the same shape.
    """
    chest = sample_chest(np.random.default_rng(order.patient_seed))
    # One stream each, so that adding air changes nothing else.
    chance, for_mimics, for_air, for_markings, for_exposure = np.random.default_rng(
        order.image_seed
    ).spawn(5)
    at_bedside = order.view == "AP"
    frame = _sample_frame(chance, size)
    thorax = place(chest, frame, depth=chance.normal(-0.03 if at_bedside else 0.01, 0.012))
    density = soft_tissue(
        chest, thorax, frame, air=chance.uniform(0.26, 0.36) - 0.05 * at_bedside
    ) + bones(chest, thorax, frame, clavicle_y=chance.uniform(0.19, 0.23) - 0.03 * at_bedside)
    mimics = sample_mimics(for_mimics, at_bedside=at_bedside, has_air=order.share > 0)
    added, factor = draw_mimics(mimics, chest, thorax, frame, for_mimics)
    density += added
    mask = np.zeros((size, size), dtype=np.bool_)
    if order.share > 0:
        found = sample_pneumothorax(
            for_air, order.share, on_left=order.on_left, is_upright=not at_bedside
        )
        pleura = open_pleura(thorax, frame, found)
        density += pleura.density
        factor = factor * pleura.markings
        mask = pleura.mask
    strength = chance.uniform(0.7, 1.2) + 0.15 * at_bedside
    density += factor * markings(chest, thorax, frame, for_markings, strength=strength)
    exposure = _sample_exposure(for_exposure, at_bedside=at_bedside)
    return _expose(density, exposure, for_exposure), mask


def _sample_frame(rng: np.random.Generator, size: int) -> Frame:
    return make_frame(
        size,
        degrees=rng.normal(0, 2),
        scale=rng.uniform(0.94, 1.08),
        shift=(rng.normal(0, 0.012), rng.normal(0, 0.015)),
        warp=rng.normal(0, 0.005, (2, 5, 5)).astype(np.float32),
    )


def _sample_exposure(rng: np.random.Generator, *, at_bedside: bool) -> Exposure:
    shut = rng.uniform(size=4) < (0.25 if at_bedside else 0.1)
    return Exposure(
        level=rng.normal(0.44, 0.035),
        gain=rng.uniform(3.6, 5.2),
        noise=rng.uniform(0.006, 0.014) * (1.4 if at_bedside else 1.0),
        unsharpness=rng.uniform(0.0004, 0.0016) + 0.0008 * at_bedside,
        collimation=tuple(np.where(shut, rng.uniform(0.01, 0.06, size=4), 0.0).tolist()),
    )


def _expose(density: Field, how: Exposure, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Blur, quantum noise, and a detector's S-shaped curve."""
    size = density.shape[0]
    grain = smooth(rng.standard_normal(density.shape, dtype=np.float32), 0.0018 * size)
    blurred = smooth(density, how.unsharpness * size)
    noisy = blurred + np.float32(how.noise / max(grain.std(), 1e-6)) * grain
    grey = 1 / (1 + np.exp(np.float32(-how.gain) * (noisy - np.float32(how.level))))
    low, high = (1 / (1 + np.exp(-how.gain * (end - how.level))) for end in (0.04, 0.95))
    grey = np.clip((grey - low) / (high - low), 0, 1)
    top, bottom, left, right = (round(share * size) for share in how.collimation)
    grey[:top], grey[size - bottom :] = 0.01, 0.01
    grey[:, :left], grey[:, size - right :] = 0.01, 0.01
    return np.asarray(np.round(grey * 255), dtype=np.uint8)
