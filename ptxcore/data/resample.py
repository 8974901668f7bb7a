"""Bring an image or a mask to another grid.

Seven filters, because what a grid loses depends on them. Of a wave at 1.3 times the new Nyquist
frequency, which a 4x decimation should remove, and of one at 0.75 times, which it should keep:

    nearest                1.00   1.00
    area                   0.46   0.80
    bicubic                0.18   0.77
    bilinear               0.18   0.61
    bspline, windowed_sinc 0.12   0.50
    lanczos                0.07   0.88

Pillow's filters widen with the factor. Interpolators, such as SciPy's splines and ITK's windowed
sinc, do not: alone they let all of that wave through, so a Gaussian goes before them. SimpleITK is
here for the Hamming windowed sinc alone, which neither Pillow (its HAMMING is another filter, of
one lobe) nor SciPy has.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ptxcore.errors import SettingsError
from ptxcore.limits import RESAMPLINGS

METHODS = RESAMPLINGS
_PILLOW = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


def target_shape(height: int, width: int, size: int) -> tuple[int, int]:
    """Shape (h, w) with a longer side of `size` px; 0 keeps the shape."""
    if size == 0:
        return height, width
    scale = size / max(height, width)
    return max(1, round(height * scale)), max(1, round(width * scale))


def resize(
    image: NDArray[np.generic], shape: tuple[int, int], method: str = "lanczos"
) -> NDArray[np.float32]:
    """Resample an image. Pixels are areas, and those of both grids cover the same image.

    Args:
        image: Shape (H, W), any real type; a mask counts as 0 and 1.
        shape: New height and width in pixels, at least 1.
        method: One of `METHODS`. "bspline" (cubic) and "windowed_sinc" (Hamming) are preceded by
            a Gaussian of sigma = factor / 2 source pixels along an axis that becomes coarser.

    Returns:
        Float32 array of the new shape in the values of the source. All but nearest, bilinear and
        area ring beyond its range; clip where the range matters.

    Raises:
        SettingsError: No such method, or no pixel in the new shape.
    """
    if method not in METHODS:
        raise SettingsError(f"method: found {method!r}, expected one of {METHODS}")
    _check_shape(shape)
    source = np.asarray(image, dtype=np.float32)
    if source.shape == shape:
        return source.copy()
    if method == "area":
        rows = _area(source, shape[0])
        return np.ascontiguousarray(_area(rows.T, shape[1]).T, dtype=np.float32)
    if method == "bspline":
        return _bspline(_low_pass(source, shape), shape)
    if method == "windowed_sinc":
        return _windowed_sinc(_low_pass(source, shape), shape)
    resized = Image.fromarray(source).resize((shape[1], shape[0]), _PILLOW[method])
    return np.asarray(resized, dtype=np.float32)


def threshold_mask(
    mask: NDArray[np.generic], shape: tuple[int, int], method: str
) -> NDArray[np.bool_]:
    """A mask on another grid as a mask: resampled as a float, then cut at 0.5.

    Args:
        mask: Shape (H, W), bool, or shares in [0, 1].
        shape: New height and width in pixels, at least 1.
        method: One of `METHODS`.

    Returns:
        Bool array of the new shape.

    Raises:
        SettingsError: No such method, or no pixel in the new shape.
    """
    return resize(mask, shape, method) >= 0.5


def _check_shape(shape: tuple[int, int]) -> None:
    if min(shape) < 1:
        raise SettingsError(f"shape: found {shape}, expected at least 1 px along each axis")


def _factors(source: NDArray[np.float32], shape: tuple[int, int]) -> tuple[float, float]:
    """Source pixels per new pixel, down and across."""
    return source.shape[0] / shape[0], source.shape[1] / shape[1]


def _low_pass(source: NDArray[np.float32], shape: tuple[int, int]) -> NDArray[np.float32]:
    """A Gaussian against aliasing: it halves a wave at 0.75 of the new Nyquist frequency."""
    from scipy import ndimage  # 0.1 s that only two methods need

    sigmas = [factor / 2 if factor > 1 else 0.0 for factor in _factors(source, shape)]
    smooth: NDArray[np.float32] = ndimage.gaussian_filter(source, sigmas, mode="reflect")
    return smooth


def _bspline(source: NDArray[np.float32], shape: tuple[int, int]) -> NDArray[np.float32]:
    """Cubic spline through the pixels, read at the centres of the new ones."""
    from scipy import ndimage

    factors = np.array(_factors(source, shape))
    # "reflect" is the only border for which SciPy's spline coefficients are exact.
    result: NDArray[np.float32] = ndimage.affine_transform(
        source, factors, (factors - 1) / 2, output_shape=shape, order=3, mode="reflect"
    )
    return result


def _windowed_sinc(source: NDArray[np.float32], shape: tuple[int, int]) -> NDArray[np.float32]:
    """ITK's Hamming windowed sinc, made to keep a constant.

    Its weights add up to as much as 1.007 between pixels. They are a product of two rows, so that
    an image one pixel wide gives the sums along each axis.
    """
    height, width = source.shape
    rows = _itk_sinc(np.ones((height, 1), np.float32), (shape[0], 1))
    columns = _itk_sinc(np.ones((1, width), np.float32), (1, shape[1]))
    result: NDArray[np.float32] = _itk_sinc(source, shape) / (rows * columns)
    return result


def _itk_sinc(source: NDArray[np.float32], shape: tuple[int, int]) -> NDArray[np.float32]:
    import SimpleITK as sitk

    down, across = _factors(source, shape)
    resampler = sitk.ResampleImageFilter()
    resampler.SetNumberOfThreads(1)  # callers with many images have threads of their own
    resampler.SetInterpolator(sitk.sitkHammingWindowedSinc)
    resampler.SetSize((shape[1], shape[0]))
    resampler.SetOutputSpacing((across, down))
    resampler.SetOutputOrigin(((across - 1) / 2, (down - 1) / 2))
    image = sitk.GetImageFromArray(np.ascontiguousarray(source))
    result: NDArray[np.float32] = sitk.GetArrayFromImage(resampler.Execute(image))
    return result


def _area(values: NDArray[Any], length: int) -> NDArray[np.float64]:
    """Mean over each of `length` equal intervals of the rows, pixels cut by an edge in part.

    Not Pillow's BOX, which counts such a pixel wholly in one interval or not at all; where no
    edge cuts a pixel both are the same.
    """
    num_rows = values.shape[0]
    total = np.zeros((num_rows + 1, values.shape[1]))
    np.cumsum(values, axis=0, dtype=np.float64, out=total[1:])
    edges = np.linspace(0, num_rows, length + 1)
    whole = np.minimum(edges.astype(np.int64), num_rows - 1)
    part = (edges - whole)[:, None]
    until = total[whole] * (1 - part) + total[whole + 1] * part
    means: NDArray[np.float64] = np.diff(until, axis=0) * (length / num_rows)
    return means


def resize_image(
    pixels: NDArray[Any], shape: tuple[int, int], method: str = "lanczos"
) -> NDArray[Any]:
    """An image on another grid, in its own type; ringing is clipped to its range.

    Whatever a network is given, in training, scoring or prediction, goes through here.

    Args:
        pixels: Shape (H, W), uint8 or uint16.
        shape: New height and width in pixels, at least 1.
        method: One of `METHODS`.

    Raises:
        SettingsError: No such method, no pixel in the new shape, or pixels of another type.
    """
    if pixels.dtype not in (np.uint8, np.uint16):
        raise SettingsError(f"pixels: found type {pixels.dtype}, expected uint8 or uint16")
    _check_shape(shape)
    if pixels.shape == shape:
        return np.array(pixels)
    if pixels.dtype == np.uint8 and method in _PILLOW:
        # Pillow rounds and clips eight bits itself, in less time.
        image = Image.fromarray(np.ascontiguousarray(pixels))
        return np.array(image.resize((shape[1], shape[0]), _PILLOW[method]))
    top = np.iinfo(pixels.dtype).max
    return np.clip(np.round(resize(pixels, shape, method)), 0, top).astype(pixels.dtype)


def resize_mask(mask: NDArray[np.bool_], shape: tuple[int, int]) -> NDArray[np.uint8]:
    """A mask on another grid, as the share of each pixel that it covers times 255.

    Area averaging where the grid is coarser, because it keeps the mask's size and does not ring;
    bilinear where it is finer. Whatever filter the image went through, the truth stays this one.

    Args:
        mask: Shape (H, W).
        shape: New height and width in pixels, at least 1.

    Raises:
        SettingsError: No pixel in the new shape.
    """
    _check_shape(shape)
    if mask.shape == shape:
        return mask.astype(np.uint8) * np.uint8(255)
    if not mask.any():
        return np.zeros(shape, dtype=np.uint8)
    method = "area" if shape[0] <= mask.shape[0] and shape[1] <= mask.shape[1] else "bilinear"
    return np.clip(np.round(resize(mask, shape, method) * 255), 0, 255).astype(np.uint8)
