"""Training batches, cut straight from the memory map.

Cases are drawn, not pixels: `positive_fraction` of the samples of an epoch come from positive
cases, each drawn as often as the others before any comes again. Of the crops from a positive case,
`foreground_share` are centred on a pixel of its mask; the rest lie anywhere in the image, so that
the network also sees the healthy lung of the sick.

Every sample has a seed of its own, derived from (seed, epoch, position): an epoch can be repeated
after a crash, and samples do not depend on the process that made the ones before. On a CPU the
training process makes them itself: one patch takes about as long as a hundredth of its step. For a
GPU there is `ptxcore.data.patches.loader`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptxcore.data.intensity import moments, normalise
from ptxcore.data.parallel import in_order, num_processors
from ptxcore.data.patches.augment import Augmentation
from ptxcore.data.patches.case_sampling import HardNegatives, positive_fraction
from ptxcore.data.patches.context import positions, surroundings
from ptxcore.data.store.case_store import CaseStore
from ptxcore.settings import FoldSettings

#: A pixel of a soft mask counts as foreground from this share (of 255) on.
_FOREGROUND = 128


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Samples of one step.

    Attributes:
        images: Normalised by the moments of each whole image, float32 of shape (B, C, P, P) with
            the `num_channels` C of the settings: the image, then context, rows and columns.
        targets: Covered share of each pixel in [0, 1], float32 of shape (B, 1, P, P).
        cases: Store index of each sample's case; empty where it is not asked for.
    """

    images: NDArray[np.float32]
    targets: NDArray[np.float32]
    cases: tuple[int, ...] = ()


class PatchSampler:
    """Batches of an epoch; the same seed, epoch and hard negatives give the same batches.

    Attributes:
        patch_px: Side of the patches.
        num_steps: Batches of an epoch.
        hard_negatives: Which negative cases are hard; None where cases are not drawn by it.
        augmentation: How patches are changed.
    """

    def __init__(
        self, store: CaseStore, case_ids: Sequence[str], settings: FoldSettings, *, seed: int
    ) -> None:
        """Look up the cases; no pixel is read yet.

        Args:
            store: Where the cases are.
            case_ids: The training cases, at least one.
            settings: Settings of the fold.
            seed: 0 to 2^63 - 1.
        """
        self._made_of = store, tuple(case_ids), settings, seed
        indices = [store.index(name) for name in case_ids]
        cases = [store.cases[index] for index in indices]
        self._grid = store.resampled(settings.image_size, settings.resampling)
        self._positive = [i for i, case in zip(indices, cases, strict=True) if case.is_positive]
        self._negative = [i for i, case in zip(indices, cases, strict=True) if not case.is_positive]
        has_hard_negatives = settings.hard_negative_share > 0 and bool(self._negative)
        self.hard_negatives = HardNegatives(self._negative) if has_hard_negatives else None
        self._settings = settings
        self._seed = seed
        image_px = settings.image_size or max(max(case.height, case.width) for case in cases)
        self.patch_px = image_px if settings.is_whole_image else settings.patch_size
        self.augmentation = Augmentation(
            settings.augmentation_strength,
            patch_px=self.patch_px,
            image_px=image_px,
            elastic_px=settings.elastic_px,
            grid_distortion_px=settings.grid_distortion_px,
        )
        self._moments: dict[int, tuple[np.float32, np.float32]] = {}  # two numbers a case
        self.num_steps = settings.steps_per_epoch or math.ceil(len(indices) / settings.batch_size)

    def __reduce__(self) -> tuple[Callable[..., PatchSampler], tuple[Any, ...]]:
        # Another process maps the pixels itself, and makes batches: it draws none.
        return _again, (*self._made_of, self._moments)

    def epoch(self, epoch: int) -> Iterator[Batch]:
        """The batches of an epoch, `num_steps` of them.

        Args:
            epoch: One-based.
        """
        for start, cases in self.plan(epoch):
            yield self.batch(epoch, start, cases)

    def plan(self, epoch: int) -> Iterator[tuple[int, tuple[int, ...]]]:
        """What each batch of an epoch is made of, see `batch`.

        Args:
            epoch: One-based.

        Yields:
            Number of the batch's first sample, and the store index of every sample's case.
        """
        size, order = self._settings.batch_size, self.draw(epoch)
        for start in range(0, len(order), size):
            yield start, tuple(order[start : start + size])

    def batch(self, epoch: int, start: int, cases: Sequence[int]) -> Batch:
        """A batch, whatever others were made before.

        Args:
            epoch: One-based.
            start: Number of its first sample in the epoch, from 0.
            cases: Store index of each sample's case.
        """
        samples = [
            self._sample(
                case, np.random.SeedSequence(self._seed, spawn_key=(epoch, start + offset))
            )
            for offset, case in enumerate(cases)
        ]
        return Batch(
            images=np.stack([image for image, _ in samples]),
            targets=np.stack([target for _, target in samples])[:, None],
            cases=tuple(cases),
        )

    def measure(self) -> None:
        """Look at every image once, for its mean and spread; else each is at its first patch."""
        cases = self._positive + self._negative
        found = in_order(lambda case: moments(self._grid.image(case)), cases, num_processors())
        self._moments = dict(zip(cases, found, strict=True))

    def draw(self, epoch: int) -> list[int]:
        """Store index of each sample of an epoch, in order.

        With hard negatives it depends on the losses of the epochs before.

        Args:
            epoch: One-based.
        """
        rng = np.random.default_rng(np.random.SeedSequence(self._seed, spawn_key=(epoch,)))
        number = self.num_steps * self._settings.batch_size
        num_positive = round(number * positive_fraction(self._settings, epoch))
        if not self._positive or not self._negative:
            num_positive = number if self._positive else 0
        chosen = _cycle(self._positive, num_positive, rng)
        if self.hard_negatives is not None:
            share = self._settings.hard_negative_share
            chosen += self.hard_negatives.draw(round((number - num_positive) * share), rng)
        chosen += _cycle(self._negative, number - len(chosen), rng)
        return [chosen[position] for position in rng.permutation(number)]

    def _sample(
        self, case: int, seed: np.random.SeedSequence
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        rng = np.random.default_rng(seed)
        corner = self.corner(case, rng)
        return self.patch(case, corner, seed=int(rng.integers(2**63)))

    def corner(self, case: int, rng: np.random.Generator) -> tuple[int, int]:
        """Draw where a patch of a case lies.

        Args:
            case: Store index.
            rng: Source of the place.

        Returns:
            First row and first column on the network's grid; negative where the image is smaller
            than the patch, which is then centred.
        """
        return self._corner(self._grid.soft_mask(case), rng)

    def patch(
        self, case: int, corner: tuple[int, int], *, seed: int
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """A patch as training sees it.

        Args:
            case: Store index.
            corner: Corner, as `corner` gives it.
            seed: Seed of the augmentation, 0 to 2^63 - 1.

        Returns:
            Channels, float32 of shape (C, P, P): the image, normalised by the moments of the
            whole image, then what `context_factor` and `position_channels` add. And the covered
            share of each pixel in [0, 1], float32 of shape (P, P).
        """
        image, mask = self._grid.image(case), self._grid.soft_mask(case)
        if case not in self._moments:
            self._moments[case] = moments(image)
        margin = self.augmentation.margin_px
        top, left = (edge - margin for edge in corner)
        side = self.patch_px + 2 * margin
        factor, has_places = self._settings.context_factor, self._settings.position_channels
        pixels, share, context, places = self.augmentation.together(
            cut(image, top, left, side),
            cut(mask, top, left, side),
            surroundings(image, top, left, side, factor) if factor else None,
            positions(top, left, side, image.shape) if has_places else None,
            seed=seed,
        )
        channels = [normalise(pixels, self._moments[case])]
        if context is not None:
            channels.append(normalise(context, self._moments[case]))
        if places is not None:
            channels += [places[..., 0], places[..., 1]]
        return np.stack(channels), share.astype(np.float32) / np.float32(255)

    def _corner(self, mask: NDArray[np.uint8], rng: np.random.Generator) -> tuple[int, int]:
        """Upper left corner of a patch; a side that is shorter than the patch is centred."""
        free = [side - self.patch_px for side in mask.shape]
        if max(free) > 0 and rng.random() < self._settings.foreground_share:
            inside = np.flatnonzero(mask >= _FOREGROUND)
            if inside.size:
                centre = np.unravel_index(inside[rng.integers(inside.size)], mask.shape)
                corner = (int(place) - self.patch_px // 2 for place in centre)
                top, left = (
                    min(max(0, start), room) if room > 0 else room // 2
                    for start, room in zip(corner, free, strict=True)
                )
                return top, left
        top, left = (int(rng.integers(room + 1)) if room > 0 else room // 2 for room in free)
        return top, left


def _again(
    store: CaseStore,
    case_ids: Sequence[str],
    settings: FoldSettings,
    seed: int,
    known: dict[int, tuple[np.float32, np.float32]],
) -> PatchSampler:
    sampler = PatchSampler(store, case_ids, settings, seed=seed)
    sampler._moments = dict(known)
    return sampler


def cut(pixels: NDArray[Any], top: int, left: int, side: int) -> NDArray[Any]:
    """A square of an image; what lies outside the image is mirrored.

    Args:
        pixels: Shape (H, W).
        top: First row, may be negative.
        left: First column, may be negative.
        side: Side of the square in pixels.

    Returns:
        Shape (side, side), a view where the square lies inside.
    """
    height, width = pixels.shape
    rows = slice(max(0, top), min(height, top + side))
    columns = slice(max(0, left), min(width, left + side))
    inside = pixels[rows, columns]
    if inside.shape == (side, side):
        return inside
    return np.pad(
        inside,
        (
            (rows.start - top, top + side - rows.stop),
            (columns.start - left, left + side - columns.stop),
        ),
        mode="reflect",
    )


def _cycle(cases: Sequence[int], number: int, rng: np.random.Generator) -> list[int]:
    """`number` cases in random order, none again before all others have come."""
    drawn: list[int] = []
    while len(drawn) < number:
        drawn += [cases[position] for position in rng.permutation(len(cases))]
    return drawn[:number]
