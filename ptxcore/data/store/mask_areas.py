"""Masks of areas that a pneumothorax does not have: inverted, grown, or of another image size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ptxcore.data.store.case_table import Case

#: Of the 2,379 images with a mask among the 10,675 annotations of SIIM-ACR's training set: 5th
#: percentile, median, 95th percentile and largest share of the image inside the mask.
_LOW, _MEDIAN, _HIGH, _LARGEST = 0.0013, 0.0081, 0.044, 0.154
_KNOWN = (
    f"in SIIM-ACR the median is {_MEDIAN:.1%}, the 95th percentile {_HIGH:.1%} and the largest of "
    f"2,379 {_LARGEST:.1%}"
)
#: No pneumothorax is larger.
_INVERTED, _IMPLAUSIBLE = 0.5, 0.2
#: The median of fewer may be anything.
_FEW = 20


def doubts_about_areas(cases: Sequence[Case]) -> Iterator[str]:
    """Sentences about masks that cover too much, or too little, of their images.

    Args:
        cases: Cases of a store; those without a mask do not count.
    """
    shares = np.array([case.mask_px / case.num_pixels for case in cases if case.is_positive])
    if not shares.size:
        return
    middle = float(np.median(shares))
    of = f"of {shares.size} masks"
    num_inverted = int(np.count_nonzero(shares > _INVERTED))
    num_large = int(np.count_nonzero(shares > _IMPLAUSIBLE)) - num_inverted
    if num_inverted:
        yield (
            f"{num_inverted} {of} cover more than half of their image, as inverted masks do (the "
            f"background marked instead of the pneumothorax); {_KNOWN}"
        )
    if num_large:
        yield (
            f"{num_large} {of} cover {_IMPLAUSIBLE:.0%} to {_INVERTED:.0%} of their image, more "
            f"than a pneumothorax does; {_KNOWN}"
        )
    if shares.size < _FEW:
        return
    if _HIGH < middle <= _IMPLAUSIBLE:
        yield (f"half {of} cover more than {middle:.1%} of their image; have they grown? {_KNOWN}")
    if middle < _LOW:
        yield (
            f"half {of} cover less than {middle:.2%} of their image; are they of another image "
            f"size? {_KNOWN}, the 5th percentile {_LOW:.2%}"
        )
