"""A smooth random deformation with a size given in pixels.

Our own field inside Albumentations' documented `BaseDistortion`, instead of its
`ElasticTransform`, because that one cannot be told how far to move: its displacement falls with
sigma, grows with the noise's maximum, and at the corners is 6 to 25 times that of the centre (its
blur repeats border noise). Measured at 336 px and sigma 20: 8.6 ms. A cubic B-spline on a coarse
grid of random control points (Rueckert et al. 1999, free-form deformation) has the same spread
everywhere, takes 0.2 ms, and folds nowhere while no control point moves by more than 0.48 of the
grid's spacing (Choi and Lee 2000).

Affine, elastic and grid part make one map, so pixels are interpolated once. The grid part moves
the lines of a grid along their axis and is linear between them, as the known grid distortion does;
ours is told in pixels as well, and the grid's phase is random, so that no pixel lies on a line each
time.
"""

from __future__ import annotations

import os
from functools import lru_cache
from typing import Any

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # importing it asks the network otherwise

import cv2
import numpy as np
from albumentations.augmentations.geometric.distortion import BaseDistortion
from numpy.typing import NDArray

from ptxcore.limits import MAX_LINE_MOVE

#: Largest move of a control point in units of the spacing without folding (Choi and Lee 2000).
MAX_CONTROL_MOVE = 0.48
#: Spread of a spline field in units of the spread of its control points: from 0.46 between
#: control points to 0.5 at them, along each axis.
SPLINE_GAIN = 0.48


class Warp(BaseDistortion):  # type: ignore[misc]
    """Rotate, scale, shift and bend about the centre; what comes from outside is mirrored.

    Args:
        rotation_deg: Largest rotation, either way.
        scale: Largest relative change of size, either way, in [0, 1).
        shift_px: Largest shift along each axis.
        elastic_px: Root mean square of the elastic displacement along each axis.
        spacing_px: Distance of its control points, above 0.
        grid_px: Largest move of a grid's lines along each axis; 0 draws nothing.
        cell_px: Distance of those lines, above 0.
        margin_px: Pixels to trim from every side of the result. They are source alone: nothing is
            computed for them, and what is bent in from them is image and not its mirror.
        p: Probability in [0, 1].
    """

    def __init__(
        self,
        *,
        rotation_deg: float,
        scale: float,
        shift_px: float,
        elastic_px: float,
        spacing_px: float,
        margin_px: int,
        p: float,
        grid_px: float = 0.0,
        cell_px: float = 64.0,
    ) -> None:
        super().__init__(
            interpolation=cv2.INTER_LINEAR,
            mask_interpolation=cv2.INTER_LINEAR,
            keypoint_remapping_method="mask",
            border_mode=cv2.BORDER_REFLECT_101,
            p=p,
        )
        self.rotation_deg = rotation_deg
        self.scale = scale
        self.shift_px = shift_px
        self.elastic_px = elastic_px
        self.spacing_px = spacing_px
        self.margin_px = margin_px
        self.grid_px = grid_px
        self.cell_px = cell_px

    def get_params_dependent_on_data(
        self, params: dict[str, Any], data: dict[str, Any]
    ) -> dict[str, Any]:
        """Draw a deformation: where each pixel of the result comes from.

        Args:
            params: Parameters, of which "shape" counts here: height and width in pixels, margins
                included.
            data: Not looked at.

        Returns:
            "map_y" and "map_x": rows and columns of the source in pixels, float32 of the shape of
            the result, which is smaller by twice the margin.
        """
        height, width = (side - 2 * self.margin_px for side in params["shape"][:2])
        rng: np.random.Generator = self.random_generator
        angle, size, dy, dx = rng.uniform(-1, 1, 4).tolist()
        field = elastic_field(
            (height, width), rms_px=self.elastic_px, spacing_px=self.spacing_px, rng=rng
        )
        field += affine_map(
            (height, width),
            rotation_deg=angle * self.rotation_deg,
            scale=1 + size * self.scale,
            shift_px=(dy * self.shift_px, dx * self.shift_px),
        )
        if self.grid_px > 0:
            field += grid_field(
                (height, width), largest_px=self.grid_px, cell_px=self.cell_px, rng=rng
            )
        field += np.float32(self.margin_px)
        return {"map_y": field[0], "map_x": field[1]}


def affine_map(
    shape: tuple[int, int], *, rotation_deg: float, scale: float, shift_px: tuple[float, float]
) -> NDArray[np.float32]:
    """Source coordinates of every pixel under a similarity about the centre.

    Args:
        shape: Height and width in pixels.
        rotation_deg: Rotation in degrees.
        scale: Above 0: source pixels per pixel, so 2 shrinks what is shown by half.
        shift_px: Shift of the source, (rows, columns).

    Returns:
        Float32 array of shape (2, H, W): rows, then columns.
    """
    height, width = shape
    rows = np.arange(height, dtype=np.float32)[:, None] - np.float32((height - 1) / 2)
    columns = np.arange(width, dtype=np.float32)[None, :] - np.float32((width - 1) / 2)
    cosine = np.float32(np.cos(np.deg2rad(rotation_deg)) * scale)
    sine = np.float32(np.sin(np.deg2rad(rotation_deg)) * scale)
    centre_y = np.float32((height - 1) / 2 + shift_px[0])
    centre_x = np.float32((width - 1) / 2 + shift_px[1])
    return np.stack(
        [
            cosine * rows + sine * columns + centre_y,
            cosine * columns - sine * rows + centre_x,
        ]
    )


def elastic_field(
    shape: tuple[int, int], *, rms_px: float, spacing_px: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """A smooth random displacement.

    Args:
        shape: Height and width in pixels.
        rms_px: Root mean square along each axis. Control points that would fold the field are held
            back: at 0.08 of the spacing 1% of the root mean square is lost, at 0.125 some 7%.
        spacing_px: Distance of the control points.
        rng: Source of the control points.

    Returns:
        Float32 array of shape (2, H, W): rows, then columns.
    """
    rows, columns = (_spline_basis(length, spacing_px) for length in shape)
    points = rng.standard_normal((2, rows.shape[1], columns.shape[1]), dtype=np.float32)
    points *= np.float32(rms_px / SPLINE_GAIN)
    limit = MAX_CONTROL_MOVE * spacing_px
    np.clip(points, -limit, limit, out=points)
    return (rows @ points @ columns.T).astype(np.float32, copy=False)


def grid_field(
    shape: tuple[int, int], *, largest_px: float, cell_px: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """The displacement by a grid with lines that move, linear between them.

    Args:
        shape: Height and width in pixels.
        largest_px: Lines move by up to this, either way, evenly distributed; no further than
            `MAX_LINE_MOVE` of a cell, so that no two cross.
        cell_px: Distance of the lines.
        rng: Source of the grid's phase and of the moves.

    Returns:
        Float32 array of shape (2, H, W): rows, then columns. The first depends on the row alone,
        the second on the column alone.
    """
    most = min(largest_px, MAX_LINE_MOVE * cell_px)
    rows, columns = (_line_moves(length, most, cell_px, rng) for length in shape)
    field = np.empty((2, *shape), dtype=np.float32)
    field[0], field[1] = rows[:, None], columns[None, :]
    return field


def _line_moves(
    length: int, most_px: float, cell_px: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Displacement of `length` pixels along one axis."""
    lines = (np.arange(int(length / cell_px) + 3) - rng.random()) * cell_px
    moves = rng.uniform(-most_px, most_px, lines.size)
    return np.interp(np.arange(length), lines, moves).astype(np.float32)


@lru_cache(maxsize=16)
def _spline_basis(length: int, spacing_px: float) -> NDArray[np.float32]:
    """Uniform cubic B-splines at `length` pixels: float32 of shape (length, control points)."""
    position = np.arange(length) / spacing_px
    first = np.floor(position).astype(np.int64)
    t = position - first
    weights = np.stack(
        [(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3]
    )
    basis = np.zeros((length, int(first[-1]) + 4), dtype=np.float32)
    for offset in range(4):
        basis[np.arange(length), first + offset] = weights[offset] / 6
    return basis
