"""Segment DICOM files with a registered model, and write what it sees as PNG files."""

from __future__ import annotations

import dataclasses
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
        attention: Picture of what the attention gates let through, None if nobody asked.
    """

    source: Path
    probability: Path
    mask: Path
    mask_px: int
    share: float
    highest: float
    attention: Path | None = None


def predict_files(
    home: Home, uri: str, sources: Sequence[Path], out: Path, *, attention: Path | None = None
) -> list[Prediction]:
    """Segment files one by one; memory does not grow with their number.

    Args:
        home: Whose tracking server knows the model.
        uri: As MLflow writes it, such as `models:/name@champion`.
        sources: DICOM files, or folders that are searched for `*.dcm`.
        out: Folder for the PNG files; made if absent, files of the same name are replaced.
        attention: Folder for pictures of the attention gates, likewise; None draws none.

    Raises:
        UsageError: No file, two files of one name, no such model, or pictures of gates are asked of
            one that has none.
        DicomError: A file cannot be read; those before it were written.
    """
    files = find_files(sources)
    model = load_champion(home, uri)
    ensemble = None if attention is None else gated_ensemble(model, uri)
    for folder in (out, attention or out):
        folder.mkdir(parents=True, exist_ok=True)
    found = []
    for file in files:
        one, image, mask = _predict(model, file, out)
        if attention is not None and ensemble is not None:
            path = attention / f"{file.stem}.attention.png"
            _draw_attention(ensemble, image, mask, path)
            one = dataclasses.replace(one, attention=path)
        found.append(one)
    return found


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


def gated_ensemble(model: Any, uri: str) -> Ensemble:
    """The networks inside a loaded model.

    Raises:
        UsageError: It holds none of ours, or none of them has attention gates.
    """
    from mlflow.exceptions import MlflowException

    try:
        ensemble = model.unwrap_python_model().ensemble
    except (MlflowException, AttributeError) as error:
        raise UsageError(f"--attention: {uri} is not a model that ptxsweep promoted") from error
    if not any(network.num_gates for network, _ in ensemble.members):
        raise UsageError(
            f"--attention: the networks of {uri} have no attention gates, expected "
            "network=attention_unet; leave the option out"
        )
    found: Ensemble = ensemble
    return found


def _draw_attention(
    ensemble: Ensemble, image: NDArray[Any], mask: NDArray[np.bool_], path: Path
) -> None:
    from ptxcore.inference.attention_sheet import attention_sheet

    draft = path.with_name(f".{path.name}")
    attention_sheet(image, mask, ensemble.attention(image)).save(draft, format="PNG")
    draft.replace(path)


def _predict(
    model: Any, file: Path, out: Path
) -> tuple[Prediction, NDArray[Any], NDArray[np.bool_]]:
    """The prediction, with the image and the mask it is of."""
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
    done = Prediction(
        source=file,
        probability=paths[0],
        mask=paths[1],
        mask_px=int(mask.sum()),
        share=float(mask.mean()),
        highest=float(probability.max()),
    )
    return done, image, mask


def _write(path: Path, pixels: NDArray[Any]) -> None:
    draft = path.with_name(f".{path.name}")
    Image.fromarray(pixels).save(draft, format="PNG")
    draft.replace(path)
