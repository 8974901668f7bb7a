"""Segment DICOM files with a registered model, and write what it sees as PNG files."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from ptxcore.data.formats.contrast import has_contrast
from ptxcore.data.formats.dicom import read_dicom
from ptxcore.data.formats.files import base_name
from ptxcore.data.importing.sources import HINT, speaking_of
from sweep.errors import UsageError
from sweep.mlflow.open_model import open_model
from sweep.storage.home import Home
from sweep.storage.inputs import Inputs, find_inputs
from sweep.util.atomic_file import whole_file

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ptxcore.inference import Ensemble

#: What a probability of 1 is in a 16-bit PNG.
FULL_SCALE = 65_535


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """One file.

    Attributes:
        source: The DICOM file.
        probability: 16-bit PNG, `FULL_SCALE` is a probability of 1.
        mask: 8-bit PNG, 0 or 255.
        mask_px: Pixels of the mask.
        share: Of the image inside the mask, in [0, 1].
        highest: Highest probability, in [0, 1].
        has_contrast: Whether the image shows anything; if not, an empty mask is no finding.
        attention: Picture of what the attention gates let through, None if nobody asked.
    """

    source: Path
    probability: Path
    mask: Path
    mask_px: int
    share: float
    highest: float
    has_contrast: bool
    attention: Path | None = None


def predict_files(
    home: Home,
    uri: str,
    inputs: Inputs | Sequence[Path],
    out: Path,
    *,
    attention: Path | None = None,
    on_model: Callable[[Mapping[str, Any]], None] = lambda facts: None,
) -> list[Prediction]:
    """Segment files one by one; memory does not grow with their number.

    Args:
        home: Whose tracking server knows the model.
        uri: See `open_model`.
        inputs: DICOM files and folders of them, or what `find_inputs` made of those.
        out: Folder for the PNG files; made if absent, files of the same name are replaced.
        attention: Folder for pictures of the attention gates, likewise; None draws none.
        on_model: Called with what the model says of its origin, before the first file is read.

    Raises:
        UsageError: No such model, or pictures of gates are asked of one that has none; no image.
        CheckpointError: The model's files are damaged or were exchanged.
        TrackingError: MLflow cannot be reached.
        DicomError: A file cannot be read; those before it were written.
    """
    chosen = inputs if isinstance(inputs, Inputs) else find_inputs(inputs)
    model, facts = open_model(home, uri)
    on_model(facts)
    if attention is not None and not any(network.num_gates for network, _ in model.members):
        raise UsageError(
            f"--attention: the networks of {uri} have no attention gates, expected "
            "network=attention_unet; leave the option out"
        )
    for folder in (out, attention or out):
        folder.mkdir(parents=True, exist_ok=True)
    found = []
    for file in chosen.files:
        one, image, mask = _predict(model, file, chosen.labels[file], out)
        if attention is not None:
            path = attention / f"{base_name(file)}.attention.png"
            _draw_attention(model, image, mask, path)
            one = dataclasses.replace(one, attention=path)
        found.append(one)
    return found


def _draw_attention(
    ensemble: Ensemble, image: NDArray[Any], mask: NDArray[np.bool_], path: Path
) -> None:
    from ptxcore.inference.attention_sheet import attention_sheet

    with whole_file(path) as draft:
        attention_sheet(image, mask, ensemble.attention(image)).save(draft, format="PNG")


def _predict(
    model: Ensemble, file: Path, label: str, out: Path
) -> tuple[Prediction, NDArray[Any], NDArray[np.bool_]]:
    """The prediction, with the image and the mask it is of."""
    from sweep.mlflow.model_package import segment

    with speaking_of(file, label, "" if label == file.name else HINT):
        image = read_dicom(file).pixels
    probability, mask = segment(model, image)
    name = base_name(file)
    paths = (out / f"{name}.probability.png", out / f"{name}.mask.png")
    _write(paths[0], np.round(probability * FULL_SCALE).astype(np.uint16))
    _write(paths[1], mask.astype(np.uint8) * 255)
    done = Prediction(
        source=file,
        probability=paths[0],
        mask=paths[1],
        mask_px=int(mask.sum()),
        share=float(mask.mean()),
        highest=float(probability.max()),
        has_contrast=has_contrast(image),
    )
    return done, image, mask


def _write(path: Path, pixels: NDArray[Any]) -> None:
    with whole_file(path) as draft:
        Image.fromarray(pixels).save(draft, format="PNG")
