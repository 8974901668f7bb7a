"""From the values of a mask file to a mask: two values, classes that were named, or a threshold.

A mask that was blurred, resampled or saved as JPEG holds values between, and several classes have
one each. Taking all that is not 0 makes a mask of 200 px one of 324 to 1,096, so nothing is taken
that was not meant.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptxcore.errors import MaskError

#: As a class: every one, united.
ALL = "all"
_MAX_SHOWN = 5


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How files are read as masks, as far as the user said it.

    Attributes:
        threshold: Share of the largest possible value, in (0, 1), from which on soft masks count;
            None refuses them.
        classes: Values, or names where a format has them, that are united; `ALL` of them where it
            is one; none takes masks of one class alone.
        axes: "xy" where the first axis of a volume runs along x, from left to right, "yx" where it
            runs down; None asks the volume's direction.
    """

    threshold: float | None = None
    classes: tuple[str, ...] = ()
    axes: str | None = None


def mask_of_values(
    name: str, values: NDArray[Any], reading: Reading, largest: float
) -> NDArray[np.bool_]:
    """The mask that values mean.

    Args:
        name: What errors call the file.
        values: Shape (H, W), not negative.
        reading: What is known of them; of two values, 0 and any other, every pixel that is not 0.
        largest: Largest value that the file could hold.

    Returns:
        Bool array of the same shape.

    Raises:
        MaskError: Other values than 0 and one more without a threshold or a class, none that
            reaches the threshold, a value that is no class, or a class that is no number.
    """
    if reading.classes:
        return _of_classes(name, values, reading.classes)
    highest = values.max()
    if not ((values != 0) & (values != highest)).any():
        return np.asarray(values != 0)
    if reading.threshold is None:
        raise MaskError(
            f"{name}: values: found {_shown(values)}, expected 0 and one other; of several classes "
            "name yours (--mask-class 1, all unites them), and soft edges need --mask-threshold 0.5"
        )
    level = reading.threshold * largest
    if highest < level:
        raise MaskError(
            f"{name}: values: found {_shown(values)}, none of which reaches {reading.threshold:g} "
            f"of {largest:g}; expected a soft mask, are they classes?"
        )
    return np.asarray(values >= level)


def _of_classes(name: str, values: NDArray[Any], classes: tuple[str, ...]) -> NDArray[np.bool_]:
    if ALL in classes:
        return np.asarray(values != 0)
    try:
        wanted = [int(word) for word in classes]
    except ValueError:
        raise MaskError(
            f"{name}: --mask-class: found a name, expected numbers, or `all`: this file has values "
            f"alone ({_shown(values)})"
        ) from None
    if not np.array_equal(values, np.round(values)):
        raise MaskError(f"{name}: values: found fractions, expected classes as whole numbers")
    return np.isin(values, wanted)


def _shown(values: NDArray[Any]) -> str:
    found = np.unique(values).tolist()
    if len(found) > _MAX_SHOWN:
        return f"{len(found)} values from {found[0]:g} to {found[-1]:g}"
    if len(found) == 1:
        return f"{found[0]:g} alone"
    return f"{', '.join(f'{value:g}' for value in found[:-1])} and {found[-1]:g}"
