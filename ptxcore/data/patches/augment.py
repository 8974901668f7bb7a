"""Random changes of a training patch, all scaled by one strength.

Every magnitude and every probability grows in proportion to the strength, so 0 changes nothing
and a search has one smooth knob. At strength 1:

    deformation   p 0.9  +-15 degrees, +-15% size, +-4% of the patch shift, and an elastic part of
                         `elastic_px` or 1% of the image's side (root mean square, in pixels of the
                         network's grid); with `grid_distortion_px`, the lines of a grid of 8 x 8
                         cells too
    mirror        p 0.5  left to right
    gamma         p 0.5  exponent 0.6 to 1.4
    brightness    p 0.5  +-0.2 of the range, contrast +-20%
    noise         p 0.3  Gaussian, standard deviation up to 3% of the range
    blur          p 0.2  Gaussian, sigma up to 1 px

Displacement is a share of the image, not of the patch: the same anatomy is bent as far whatever
the patch size. Seeds are explicit, and all transforms draw from one stream: seeding an
Albumentations pipeline gives every transform the *same* stream, so that they would all be applied
to one patch and none to the next.
"""

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptxcore.errors import SettingsError
from ptxcore.limits import CONTROL_POINTS, GRID_CELLS, MAX_ELASTIC_SHARE, MAX_LINE_MOVE

ROTATION_DEG = 15.0
SCALE = 0.15
SHIFT = 0.04
#: Share of the image's side where `elastic_px` says nothing: few control points reach the limit of
#: folding.
ELASTIC_RMS = 0.01


class Augmentation:
    """A pipeline for patches of one size.

    Attributes:
        margin_px: Pixels needed on every side of the patch, so that what a deformation pulls in
            is image and not a mirrored border. 0 at strength 0.
    """

    def __init__(
        self,
        strength: float,
        *,
        patch_px: int,
        image_px: int,
        elastic_px: float = -1.0,
        grid_distortion_px: float = 0.0,
    ) -> None:
        """Build the pipeline.

        Args:
            strength: Strength in [0, 1].
            patch_px: Side of the result.
            image_px: Longer side of the images on the network's grid.
            elastic_px: The setting, as in `FoldSettings`, at least -1; held back at 1/64 of
                `image_px`.
            grid_distortion_px: The setting, as in `FoldSettings`, at least 0. Lines that could
                cross are held back, so no margin is needed for more than 0.48 of a cell.

        Raises:
            SettingsError: The strength is out of its range.
        """
        if not 0 <= strength <= 1:
            raise SettingsError(f"strength: found {strength}, expected a value in [0, 1]")
        self.strength = strength
        self.patch_px = patch_px
        most = MAX_ELASTIC_SHARE * image_px / CONTROL_POINTS
        asked = ELASTIC_RMS * image_px if elastic_px < 0 else min(elastic_px, most)
        self.elastic_px = strength * asked
        self.grid_px = min(strength * grid_distortion_px, MAX_LINE_MOVE * image_px / GRID_CELLS)
        self.margin_px = math.ceil(
            strength * patch_px * (SHIFT + 0.5 * (SCALE + math.sin(math.radians(ROTATION_DEG))))
            + 3 * self.elastic_px
            + self.grid_px
        )
        # Albumentations takes two seconds to import.
        self._pipeline = self._compose(image_px) if strength > 0 else None

    def __call__(
        self, image: NDArray[Any], mask: NDArray[np.uint8], *, seed: int
    ) -> tuple[NDArray[Any], NDArray[np.uint8]]:
        """Change an image and its mask alike.

        Args:
            image: Shape (P + 2 m, P + 2 m) with `patch_px` P and `margin_px` m; uint8 or uint16.
            mask: Same shape, the covered share of each pixel times 255.
            seed: Same seed, same change.

        Returns:
            Patches of shape (P, P): the image in its own units as float32, the mask as uint8. At
            strength 0 the very arrays that came in.
        """
        changed_image, changed_mask, _, _ = self.together(image, mask, None, None, seed=seed)
        return changed_image, changed_mask

    def together(
        self,
        image: NDArray[Any],
        mask: NDArray[np.uint8],
        context: NDArray[np.float32] | None,
        places: NDArray[np.float32] | None,
        *,
        seed: int,
    ) -> tuple[
        NDArray[Any], NDArray[np.uint8], NDArray[np.float32] | None, NDArray[np.float32] | None
    ]:
        """Change an image, its mask and what belongs to it alike.

        The context turns, grows and is mirrored about the same centre and its grey values change
        with those of the image. A shift or a bend is as many pixels there, which are larger ones.

        Args:
            image: Image, as in a call.
            mask: Mask, as in a call.
            context: A wider view in the image's units, float32 of the image's shape, or None.
            places: Channels that move with the pixels but have no grey values, float32 of shape
                (P + 2 m, P + 2 m, C), or None.
            seed: Same seed, same change, whatever else is changed along.

        Returns:
            The four of them on (P, P); at strength 0 the very arrays that came in.
        """
        if self._pipeline is None:
            return image, mask, context, places
        rng = np.random.default_rng(seed)
        # Augmentation is no cryptography, and must repeat.
        python_rng = random.Random(int(rng.integers(2**63)))  # nosec B311
        self._pipeline.set_random_state(rng, python_rng)
        top = np.float32(np.iinfo(image.dtype).max)
        more = {} if context is None else {"context": context / top}
        if places is not None:
            more["places"] = places
        changed = self._pipeline(image=image.astype(np.float32) / top, mask=mask, **more)
        return (
            changed["image"] * top,
            changed["mask"],
            None if context is None else changed["context"] * top,
            changed.get("places"),
        )

    def describe(self) -> str:
        """The largest changes in a line, as captions say them."""
        if self.strength == 0:
            return "strength 0: nothing is changed"
        s = self.strength
        grid = f", grid to {self.grid_px:.1f} px" if self.grid_px else ""
        return (
            f"strength {s:g}: turn to {s * ROTATION_DEG:.1f} deg, size to {s * SCALE:.1%}, shift "
            f"to {s * SHIFT * self.patch_px:.1f} px, elastic {self.elastic_px:.1f} px RMS{grid}, "
            f"mirror {0.5 * s:.0%}"
        )

    def _compose(self, image_px: int) -> Any:
        from ptxcore.data.patches.warp import Warp  # isort: skip - first, as it keeps the import offline

        import albumentations as A

        s = self.strength
        return A.Compose(
            [
                Warp(
                    rotation_deg=s * ROTATION_DEG,
                    scale=s * SCALE,
                    shift_px=s * SHIFT * self.patch_px,
                    elastic_px=self.elastic_px,
                    spacing_px=image_px / CONTROL_POINTS,
                    margin_px=self.margin_px,
                    p=0.9 * s,
                    grid_px=self.grid_px,
                    cell_px=image_px / GRID_CELLS,
                ),
                # Of what was not warped: a warp has trimmed its margin already.
                A.CenterCrop(height=self.patch_px, width=self.patch_px, p=1.0),
                A.HorizontalFlip(p=0.5 * s),
                A.RandomGamma(gamma_limit=(100 - 40 * s, 100 + 40 * s), p=0.5 * s),
                A.RandomBrightnessContrast(
                    brightness_limit=0.2 * s, contrast_limit=0.2 * s, p=0.5 * s
                ),
                A.GaussNoise(std_range=(0.0, 0.03 * s), p=0.3 * s),
                A.GaussianBlur(blur_limit=0, sigma_limit=(0.1 * s, 1.0 * s), p=0.2 * s),
            ],
            additional_targets={"context": "image", "places": "mask"},
        )
