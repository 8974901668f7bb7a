"""What images a model was trained on, and which others are too far from them.

Images are brought to the network's grid and normalised one by one, so a larger one, or one with
more shades, reaches the network as those of training did. What cannot be made up for is detail and
shades that are not there, a shape that no chest has, and another view.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ptxcore.data.formats.subject import Subject, is_lateral, main_subject

#: An image may have so much less detail than the coarsest that was trained on, or be so much longer
#: than the longest by the ratio of its sides, as measured in docs/results/predict.md; where the
#: network has no grid of its own, it may also be so much larger.
_FAR = 2.0
#: Fewer bits than these are too few where more were trained on, likewise.
_FEWEST_BITS = 6


@dataclass(frozen=True, kw_only=True)
class ImageRange:
    """What the images that a model was trained on range over.

    Attributes:
        shortest_px: Longer side of the smallest.
        longest_px: Longer side of the largest.
        elongation: Largest ratio of the longer to the shorter side, at least 1.
        bits: Bits of the stored pixels: 8, or 16 for more than 8.
        has_lateral: Whether lateral or oblique views were among them.
        grid_px: Longer side of the grid that the network sees; 0 for that of the image.
    """

    shortest_px: int
    longest_px: int
    elongation: float
    bits: int
    has_lateral: bool
    grid_px: int = 0

    @classmethod
    def of(cls, shapes: Sequence[tuple[int, int]], views: Iterable[str], bits: int) -> ImageRange:
        """The range of some images; `grid_px` is the network's.

        Args:
            shapes: Height and width of each, at least one.
            views: View positions, in the words of `ptxcore.data.formats.subject.VIEWS`.
            bits: Bits of a stored pixel.
        """
        longer = [max(shape) for shape in shapes]
        return cls(
            shortest_px=min(longer),
            longest_px=max(longer),
            elongation=max(map(_elongation, shapes)),
            bits=bits,
            has_lateral=any(map(is_lateral, views)),
        )

    @classmethod
    def from_facts(cls, facts: Any) -> ImageRange | None:
        """As `to_facts` gave it; None where a model does not tell, as those of earlier versions."""
        try:
            return cls(**facts)
        except TypeError:
            return None

    def to_facts(self) -> dict[str, Any]:
        """Plain JSON values."""
        return dataclasses.asdict(self)

    @property
    def words(self) -> str:
        """The sizes and bits in words."""
        least, most = f"{self.shortest_px:,}", f"{self.longest_px:,}"
        sides = least if least == most else f"{least} to {most}"
        bits = str(self.bits) if self.bits <= 8 else "more than 8"
        return f"{sides} px on the longer side, {bits} bits"

    @property
    def least_px(self) -> int:
        """Least longer side that is not too far from those of training."""
        return math.ceil(self._seen(self.shortest_px) / _FAR)

    def problem(self, shape: tuple[int, int], bits: int) -> str | None:
        """Why an image is too far from those of training: what was found and what was expected.

        Args:
            shape: Its height and width in pixels.
            bits: Bits that are stored of a pixel.

        Returns:
            None where it is not.
        """
        longer = max(shape)
        found = f"found {shape[1]} x {shape[0]} px"
        if longer < self.least_px:
            return f"{found}, expected at least {self.least_px:,} on the longer side"
        if not self.grid_px and longer > self.longest_px * _FAR:
            return f"{found}, expected at most {self.longest_px * _FAR:,.0f} on the longer side"
        most = self.elongation * _FAR
        if _elongation(shape) > most:
            return f"{found}, expected a longer side of at most {most:.2g} times the shorter"
        if bits < min(self.bits, _FEWEST_BITS):
            return f"found {bits} bits stored, expected at least {min(self.bits, _FEWEST_BITS)}"
        return None

    def holds(self, shape: tuple[int, int], bits: int) -> bool:
        """Whether an image is like those of training in size and bits.

        Args:
            shape: Its height and width in pixels.
            bits: Bits that are stored of a pixel.
        """
        is_of_size = self.shortest_px <= max(shape) <= self.longest_px
        return is_of_size and (bits <= 8) == (self.bits <= 8)

    def _seen(self, longer_px: int) -> int:
        """The longer side as far as the network sees detail."""
        return min(longer_px, self.grid_px) if self.grid_px else longer_px


class Image(Protocol):
    """What is asked of an image."""

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""

    @property
    def bits(self) -> int:
        """Bits that are stored of a pixel."""

    @property
    def subject(self) -> Subject:
        """What it is of."""


def unlike_training(facts: Mapping[str, Any], image: Image) -> str | None:
    """Why an image is too far from those that a model was trained on; None where it is not.

    A model that does not tell, as those of earlier versions, is taken to have seen its like, but
    for lateral views.

    Args:
        facts: What the model says of its origin.
        image: Its header, or the whole of it.
    """
    known = ImageRange.from_facts(facts.get("images"))
    told = facts.get("pictures") == "lateral radiographs"
    has_lateral = told or (known is not None and known.has_lateral)
    if is_lateral(view := image.subject.view) and not has_lateral:
        return f"ViewPosition: found {view}, expected a frontal view (PA or AP)"
    return None if known is None else known.problem(image.shape, image.bits)


def other_kind(facts: Mapping[str, Any], contents: Mapping[str, Mapping[str, int]]) -> str | None:
    """Why images are of another kind than a model's; None where they are not, or nothing tells.

    Args:
        facts: What the model says of its origin.
        contents: See `ptxcore.data.formats.subject.count_subjects`.
    """
    its, found = facts.get("pictures", "unknown"), main_subject(contents)
    if found is None or its in ("unknown", found):
        return None
    return f"a model of {its}, found {found}"


def _elongation(shape: tuple[int, int]) -> float:
    return max(shape) / max(1, min(shape))
