"""Segment DICOM files with a registered model, and write what it sees as PNG files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from sweep.errors import UsageError
from sweep.home import Home

if TYPE_CHECKING:
    from numpy.typing import NDArray

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
    """

    source: Path
    probability: Path
    mask: Path
    mask_px: int
    share: float
    highest: float


def predict_files(home: Home, uri: str, sources: Sequence[Path], out: Path) -> list[Prediction]:
    """Segment files one by one; memory does not grow with their number.

    Args:
        home: Whose tracking server knows the model.
        uri: As MLflow writes it, such as `models:/name@champion`.
        sources: DICOM files, or folders that are searched for `*.dcm`.
        out: Folder for the PNG files; made if absent, files of the same name are replaced.

    Raises:
        UsageError: No file, two files of one name, or no such model.
        DicomError: A file cannot be read; those before it were written.
    """
    files = find_files(sources)
    model = load_champion(home, uri)
    out.mkdir(parents=True, exist_ok=True)
    return [_predict(model, file, out) for file in files]


def find_files(sources: Sequence[Path]) -> list[Path]:
    """The files themselves, and those in folders by name, without AppleDouble twins.

    Raises:
        UsageError: There is none, or two would be written to one name.
    """
    files = [
        file
        for source in sources
        for file in (sorted(source.rglob("*.dcm")) if source.is_dir() else [source])
        if not file.name.startswith("._")
    ]
    if not files:
        raise UsageError("predict: found no *.dcm file, expected at least one")
    first: dict[str, Path] = {}
    for file in files:
        other = first.setdefault(file.stem, file)
        if other is not file:
            raise UsageError(
                f"predict: {other} and {file} would be written to one name; predict them apart"
            )
    return files


def load_champion(home: Home, uri: str) -> Any:
    """A model as MLflow's own client loads it.

    Raises:
        UsageError: There is no such model.
    """
    import mlflow
    from mlflow.exceptions import MlflowException

    name = home.tracking_uri.removeprefix("sqlite:///")
    if name != home.tracking_uri and not Path(name).is_file():
        raise UsageError(f"no model was registered in {home.folder} (found no {name}); give --home")
    mlflow.set_tracking_uri(home.tracking_uri)
    try:
        return mlflow.pyfunc.load_model(uri)
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
        known = ", ".join(one.name for one in mlflow.MlflowClient().search_registered_models())
        raise UsageError(f"model {uri}: {error.message}; registered: {known or 'none'}") from error


def _predict(model: Any, file: Path, out: Path) -> Prediction:
    import pandas as pd

    # Read here first, so that an error names the file that the user gave.
    from ptxcore.data.dicom import read_dicom

    image = read_dicom(file).pixels
    (row,) = model.predict(pd.DataFrame({"image": [image]}))
    probability = np.asarray(row["probability"], np.float32)
    mask = np.asarray(row["mask"], bool)
    paths = (out / f"{file.stem}.probability.png", out / f"{file.stem}.mask.png")
    _write(paths[0], np.round(probability * FULL_SCALE).astype(np.uint16))
    _write(paths[1], mask.astype(np.uint8) * 255)
    return Prediction(
        source=file,
        probability=paths[0],
        mask=paths[1],
        mask_px=int(mask.sum()),
        share=float(mask.mean()),
        highest=float(probability.max()),
    )


def _write(path: Path, pixels: NDArray[Any]) -> None:
    draft = path.with_name(f".{path.name}")
    Image.fromarray(pixels).save(draft, format="PNG")
    draft.replace(path)
