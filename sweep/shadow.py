"""A second model beside the one that predicts: where do the two disagree?"""

from __future__ import annotations

import csv
import dataclasses
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ptxcore.atomic_file import whole_file
from sweep.errors import UsageError
from sweep.mlflow.open_model import REGISTERED, open_model
from sweep.storage.home import Home

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Name of the table.
TABLE = "shadow.csv"
_ALIAS = re.compile(r"[A-Za-z][\w-]*")
_OF_NAME = re.compile(r"models:/([^@/]+)[@/].+")


@dataclass(frozen=True, kw_only=True)
class Disagreement:
    """Two models on one image.

    Attributes:
        file: What messages call the file: its name if the user typed it, else its number.
        mask_px: Pixels of the model's mask.
        shadow_px: Pixels of the shadow's.
        common_px: Pixels of both.
        dice: Dice of the two masks, in [0, 1]; 1 where both are empty.
        one_is_empty: Whether one of them found something and the other nothing.
        highest: Highest probability of the model, in [0, 1].
        shadow_highest: The shadow's.
        picture: Both outlines on the image, None if not asked for or nothing to see.
    """

    file: str
    mask_px: int
    shadow_px: int
    common_px: int
    dice: float
    one_is_empty: bool
    highest: float
    shadow_highest: float
    picture: Path | None = None


class Shadow:
    """Segments what another model has segmented, and remembers where the two disagree.

    Attributes:
        facts: What the shadow says of its origin, and its "rule".
    """

    def __init__(
        self, home: Home, shadow: str, uri: str, facts: Mapping[str, Any], pictures: Path | None
    ) -> None:
        """Open it.

        Args:
            home: Home with the address of the registry.
            shadow: An alias of the model's own name, such as "challenger", or an address as for
                `open_model`.
            uri: Address of the model.
            facts: What the model says of its origin.
            pictures: Folder for pictures of both outlines where they differ; None draws none.

        Raises:
            UsageError: There is no such model, or it is the model itself.
            CheckpointError: Its files are damaged or were exchanged.
            TrackingError: MLflow cannot be reached.
        """
        address = shadow_uri(shadow, uri)
        self._model, found = open_model(home, address)
        if address == uri or (REGISTERED in facts and facts[REGISTERED] == found.get(REGISTERED)):
            raise UsageError(
                f"--shadow: found {shadow}, which is {uri} itself, expected another model"
            )
        self.facts: dict[str, Any] = {
            "model": address,
            **found,
            "rule": self._model.rule.to_stored(),
        }
        self._pictures = pictures
        self._found: list[Disagreement] = []

    def compare(
        self,
        name: str,
        label: str,
        image: NDArray[Any],
        probability: NDArray[np.float32],
        mask: NDArray[np.bool_],
    ) -> Disagreement:
        """Segment one image too.

        Args:
            name: What a picture is named after.
            label: What messages call it.
            image: Shape (H, W).
            probability: What the model gave; same shape.
            mask: Likewise.
        """
        from ptxcore.export.pictures import write_outlines
        from ptxcore.inference import segment

        other_probability, other_mask, _ = segment(self._model, image)
        mask_px, shadow_px = int(mask.sum()), int(other_mask.sum())
        common_px = int((mask & other_mask).sum())
        both_px = mask_px + shadow_px
        picture = None
        if self._pictures is not None and 2 * common_px < both_px:
            picture = self._pictures / f"{name}.shadow.png"
            write_outlines(picture, image, mask, other_mask)
        one = Disagreement(
            file=label,
            mask_px=mask_px,
            shadow_px=shadow_px,
            common_px=common_px,
            dice=2 * common_px / both_px if both_px else 1.0,
            one_is_empty=bool(mask_px) != bool(shadow_px),
            highest=float(probability.max()),
            shadow_highest=float(other_probability.max()),
            picture=picture,
        )
        self._found.append(one)
        return one

    def write_table(self, path: Path) -> None:
        """A CSV with a row per image that was compared, the worst first.

        Args:
            path: Path of the file; one that is there is replaced.
        """
        fields = [field.name for field in dataclasses.fields(Disagreement)]
        with whole_file(path) as draft, draft.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, fields[:-1], extrasaction="ignore")  # no paths
            writer.writeheader()
            writer.writerows(dataclasses.asdict(one) for one in worst_first(self._found))


def shadow_uri(shadow: str, uri: str) -> str:
    """Address of a shadow: an alias is one of the model's own name.

    Args:
        shadow: What was given.
        uri: Address of the model.

    Raises:
        UsageError: An alias, where the model is none of the registry.
    """
    if not _ALIAS.fullmatch(shadow) or Path(shadow).exists():
        return shadow
    name = _OF_NAME.fullmatch(uri)
    if name is None:
        raise UsageError(
            f"--shadow: found the alias {shadow!r} beside {uri}, which no registry knows; expected "
            "models:/NAME@ALIAS, models:/NAME/VERSION, a folder or a file"
        )
    return f"models:/{name[1]}@{shadow}"


def worst_first(found: Iterable[Disagreement]) -> list[Disagreement]:
    """By Dice; where one mask is empty, the larger other one comes first."""
    return sorted(found, key=lambda one: (one.dice, -one.mask_px - one.shadow_px))


def in_words(found: Iterable[Disagreement]) -> str:
    """How far two models agree, in a sentence."""
    known = list(found)
    num_one, num_empty = (
        sum(one.one_is_empty for one in known),
        sum(not one.mask_px and not one.shadow_px for one in known),
    )
    both = [one.dice for one in known if one.mask_px and one.shadow_px]
    among = f", there Dice {np.mean(both):.3f} (lowest {min(both):.3f})" if both else ""
    return (
        f"of {len(known)} images one model alone found something in {num_one}, neither in "
        f"{num_empty}, both in {len(both)}{among}"
    )
