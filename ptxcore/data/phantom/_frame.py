"""Where a chest lies in its image: the only place that knows pixels and chest coordinates.

Chest coordinates: x to the right of the image and y down, the square field of view from 0 to 1,
the midline near x = 0.5; the patient's right lung is on the left of the image. All shapes are
formulas of (x, y), so a turned or shifted chest costs no resampling.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]
"""One value per pixel, shape (size, size)."""


@dataclass(frozen=True, kw_only=True)
class Frame:
    """A square grid of pixels over a chest.

    Attributes:
        size: Side in pixels.
        x: Chest coordinate of every pixel, shape (size, size).
        y: Likewise.
        to_pixels: Matrix of shape (2, 3) from chest coordinates to pixels.
    """

    size: int
    x: Field
    y: Field
    to_pixels: NDArray[np.float64]

    def pixels(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Chest coordinates as pixels; the warp of `make_frame` has no part in it.

        Args:
            points: Shape (..., 2): (x, y) in chest units.

        Returns:
            The same shape: (column, row) in pixels, whole numbers at their centres.
        """
        mapped: NDArray[np.float64] = points @ self.to_pixels[:, :2].T + self.to_pixels[:, 2]
        return mapped

    def strokes(self, lines: NDArray[np.float64], thickness: float, blur: float) -> Field:
        """Antialiased polylines of about `thickness` (chest units), values 0 to 1.

        Args:
            lines: Points of shape (N, P, 2) in chest coordinates.
            thickness: Thickness of the stroke; below a pixel it becomes fainter instead of thinner.
            blur: Standard deviation of the edge, in chest units.

        Returns:
            Float32 of shape (size, size).
        """
        canvas = np.zeros((self.size, self.size), dtype=np.uint8)
        wide = max(1, round(thickness * self.size))
        fixed = np.round(self.pixels(lines) * 16).astype(np.int32)
        cv2.polylines(canvas, list(fixed), False, 255, wide, cv2.LINE_AA, 4)
        fade = min(1.0, thickness * self.size / wide)
        return smooth(canvas.astype(np.float32) * np.float32(fade / 255), blur * self.size)


def make_frame(
    size: int, *, degrees: float, scale: float, shift: tuple[float, float], warp: Field
) -> Frame:
    """A grid over a chest that is turned, scaled about the centre, shifted and gently warped.

    Args:
        size: Side in pixels.
        degrees: Rotation.
        scale: Above 0; above 1 the chest fills more of the image.
        shift: Shift of the chest, in shares of the field of view.
        warp: Displacements of shape (2, n, n) in chest units, interpolated between nodes.
    """
    axis = (np.arange(size, dtype=np.float32) + np.float32(0.5)) / np.float32(size)
    column, row = np.meshgrid(axis - np.float32(0.5 + shift[0]), axis - np.float32(0.5 + shift[1]))
    cosine = np.float32(math.cos(math.radians(degrees)) / scale)
    sine = np.float32(math.sin(math.radians(degrees)) / scale)
    dx, dy = (cv2.resize(part, (size, size), interpolation=cv2.INTER_CUBIC) for part in warp)
    x = cosine * column + sine * row + np.float32(0.5) + dx
    y = cosine * row - sine * column + np.float32(0.5) + dy
    inverse = np.linalg.inv(np.array([[cosine, sine], [-sine, cosine]], dtype=np.float64)) * size
    centre = (np.array([0.5, 0.5]) + shift) * size - inverse @ np.array([0.5, 0.5]) - 0.5
    return Frame(size=size, x=x, y=y, to_pixels=np.column_stack([inverse, centre]))


def smooth(field: Field, sigma_px: float) -> Field:
    """Gaussian blur; nothing below a fifth of a pixel.

    Args:
        field: Shape (H, W), float32.
        sigma_px: Standard deviation in pixels, 0 or more.
    """
    if sigma_px < 0.2:
        return field
    return np.asarray(cv2.GaussianBlur(field, (0, 0), sigma_px), dtype=np.float32)


def step(distance: NDArray[Any], width: float) -> Field:
    """0 to 1 where a signed distance crosses zero (3 t^2 - 2 t^3).

    Args:
        distance: Any shape and unit.
        width: Over which it rises, in that unit, above 0.
    """
    t: Field = np.multiply(distance, np.float32(1 / width), dtype=np.float32)
    t += np.float32(0.5)
    np.clip(t, 0, 1, out=t)
    return np.asarray(t * t * (3 - 2 * t))


def bell(distance: NDArray[Any], width: float) -> Field:
    """Gaussian profile, 1 at distance 0.

    Args:
        distance: Any shape and unit.
        width: Standard deviation in that unit, above 0.
    """
    return np.asarray(np.exp(np.float32(-0.5) * np.square(distance / np.float32(width))))
