"""Read a mask from NIfTI or NRRD, by SimpleITK.

Both say how their axes lie in space, and a radiograph does not: its rows and columns are those of
the file. So a mask is taken as it is stored where its axes are those of an image without a place,
as SimpleITK, ITK-SNAP and 3D Slicer write it; what turns or mirrors them is asked about, since
nothing tells a mirrored mask from one that was meant so.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ptxcore.data.formats.dicom import MAX_SIDE_PX
from ptxcore.data.formats.mask_values import Reading, mask_of_values
from ptxcore.errors import MaskError

_READERS = {".nii": "NiftiImageIO", ".nii.gz": "NiftiImageIO", ".nrrd": "NrrdImageIO"}
SUFFIXES = tuple(_READERS)
AXES = ("xy", "yx")


def read_volume_mask(path: Path, reading: Reading) -> NDArray[np.bool_]:
    """Read a mask of one slice.

    Args:
        path: Path of the file, which ends in one of `SUFFIXES`.
        reading: See `mask_of_values`; values up to 1 have 1 as their largest, else that is 255.

    Returns:
        Bool array of shape (H, W).

    Raises:
        MaskError: Not one slice of numbers, axes that turn or mirror the image, or what
            `mask_of_values` refuses; the message names the file.
    """
    import SimpleITK as sitk  # heavy, and few masks are of these kinds

    sitk.ProcessObject.SetGlobalWarningDisplay(False)  # ITK would write into our output
    suffix = next(word for word in _READERS if path.name.lower().endswith(word))
    reader = sitk.ImageFileReader()
    reader.SetImageIO(_READERS[suffix])
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
        size, direction = reader.GetSize(), reader.GetDirection()
        if len(size) not in (2, 3) or size[2:] not in ((), (1,)) or max(size[:2]) > MAX_SIDE_PX:
            found = " x ".join(map(str, size))
            raise MaskError(
                f"{path.name}: size: found {found}, expected one slice of at most {MAX_SIDE_PX} px "
                "a side"
            )
        if reader.GetNumberOfComponents() != 1:
            raise MaskError(f"{path.name}: found several values a pixel, expected one")
        values = sitk.GetArrayFromImage(reader.Execute()).reshape(size[1], size[0])
    except RuntimeError as error:  # with a path in its text
        kind = suffix.strip(".").partition(".")[0]
        raise MaskError(f"{path.name}: found damage, expected a mask in {kind}") from error
    if not np.isfinite(values).all() or values.min() < 0:
        raise MaskError(f"{path.name}: values: found some below 0, or no numbers, expected classes")
    values = _oriented(path, values, direction, reading.axes)
    is_share = values.dtype.kind == "f" and values.max() <= 1
    return mask_of_values(path.name, values, reading, 1.0 if is_share else 255.0)


def _oriented(
    path: Path, values: NDArray[np.generic], direction: tuple[float, ...], axes: str | None
) -> NDArray[np.generic]:
    """The slice with the rows of the image as rows."""
    if axes == "yx":
        return np.ascontiguousarray(values.T)
    sides = int(len(direction) ** 0.5)
    plane = np.array(direction).reshape(sides, sides)[:2, :2]
    if axes is None and not np.allclose(plane, np.eye(2), atol=1e-3):
        raise MaskError(
            f"{path.name}: direction: found axes that turn or mirror the picture, expected those "
            "of a plain one; give --mask-axes xy if the first axis of the file runs from left to "
            "right in the image, or --mask-axes yx if it runs down, as that of an array [row, "
            "column] which nibabel saved"
        )
    return values
