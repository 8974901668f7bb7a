"""What a champion does when MLflow asks it to predict."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from mlflow.models import ModelSignature
from mlflow.pyfunc import PythonModel  # type: ignore[attr-defined]
from mlflow.types import ColSpec, DataType, Schema
from mlflow.types.schema import AnyType
from numpy.typing import NDArray

from ptxcore.data.formats.contrast import has_contrast
from ptxcore.data.formats.dicom import read_dicom
from ptxcore.data.formats.subject import refuse_foreign
from ptxcore.errors import DicomError
from ptxcore.inference import Ensemble
from ptxcore.metrics import logits_to_mask, probability_to_logits
from sweep.analysis.selection_bias import of_model, spoken
from sweep.mlflow.model_package._ensemble import load_ensemble, load_facts

if TYPE_CHECKING:
    from ptxcore.export.onnx_graph import OnnxEnsemble

_log = logging.getLogger(__name__)
#: Name of the artifact that holds the ensemble, and where MLflow puts it in the model's folder.
ARTIFACT = "ensemble"
ENSEMBLE_FOLDER = f"artifacts/{ARTIFACT}"
_ANY = AnyType()  # type: ignore[no-untyped-call]  # half annotated
#: A row has one of the two inputs. Arrays have no type of their own in MLflow that would keep
#: them arrays, hence "any".
SIGNATURE = ModelSignature(
    inputs=Schema(
        [
            ColSpec(DataType.binary, "dicom", required=False),
            ColSpec(_ANY, "image", required=False),
        ]
    ),
    outputs=Schema(
        [
            ColSpec(_ANY, "probability"),
            ColSpec(_ANY, "mask"),
            ColSpec(DataType.boolean, "case_positive"),
        ]
    ),
)


class EnsembleModel(PythonModel):
    """Segments pneumothorax. Not for clinical use.

    A row of the input has either `dicom` (the bytes of a DICOM file) or `image` (an array of
    shape (H, W), dense = bright, any real type and range).
    """

    def load_context(self, context: Any) -> None:
        """Load the ensemble; MLflow calls it once.

        Raises:
            CheckpointError: A file of the ensemble is missing, damaged or was exchanged.
        """
        folder = Path(context.artifacts[ARTIFACT])
        self._ensemble: Ensemble = load_ensemble(folder)
        if (warned := spoken(of_model(load_facts(folder)))) is not None:
            _log.warning("caution: %s", warned)

    def predict(
        self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> list[dict[str, Any]]:
        """Segment every row.

        Args:
            context: Context of MLflow, not used.
            model_input: A row per image.
            params: None are known.

        Returns:
            Per row: "probability", float32 of shape (H, W) in [0, 1]; "mask", bool of the same
            shape under the ensemble's rule; "case_positive", whether the mask has any pixel. H
            and W are those of the image.

        Raises:
            DicomError: A row has no image, two, one that cannot be read, or a DICOM file of what is
            no projection radiograph.
        """
        return [self._segment(_pixels(row, number), number) for number, row in _rows(model_input)]

    def _segment(self, pixels: NDArray[Any], number: int) -> dict[str, Any]:
        if not has_contrast(pixels):
            _log.warning("row %d: no contrast in the picture, so nothing can be said of it", number)
        probability, mask = segment(self._ensemble, pixels)
        return {"probability": probability, "mask": mask, "case_positive": bool(mask.any())}


def segment(
    ensemble: Ensemble | OnnxEnsemble, pixels: NDArray[Any]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Probability in [0, 1] and mask under the ensemble's rule, both of shape (H, W)."""
    probability = ensemble.probability(pixels)
    if len(ensemble.members) == 1:
        return probability, ensemble.mask(pixels)
    # What `mask` does, without predicting twice.
    return probability, logits_to_mask(probability_to_logits(probability), ensemble.rule)


def _rows(table: pd.DataFrame) -> list[tuple[int, dict[str, Any]]]:
    columns = [name for name in ("dicom", "image") if name in table.columns]
    rows = zip(*(table[name] for name in columns), strict=True)
    return [(number, dict(zip(columns, row, strict=True))) for number, row in enumerate(rows)]


def _pixels(row: dict[str, Any], number: int) -> NDArray[Any]:
    given = {name: value for name, value in row.items() if not _is_missing(value)}
    if len(given) != 1:
        raise DicomError(
            f"row {number}: found {sorted(given) or 'neither'}, expected either 'dicom' (bytes of "
            "a file) or 'image' (an array of shape (height, width))"
        )
    if "dicom" in given:
        return _decode(given["dicom"], number)
    try:
        pixels = np.asarray(given["image"])
    except ValueError as error:
        raise DicomError(f"row {number}: image: found rows of several lengths") from error
    if pixels.ndim != 2 or not pixels.size or pixels.dtype.kind not in "uif":
        raise DicomError(
            f"row {number}: image: found {pixels.dtype} of shape {pixels.shape}, expected numbers "
            "of shape (height, width)"
        )
    return pixels


def _decode(content: Any, number: int) -> NDArray[Any]:
    if not isinstance(content, (bytes, bytearray, memoryview)):
        raise DicomError(
            f"row {number}: dicom: found {type(content).__name__}, expected the bytes of a file"
        )
    with tempfile.TemporaryDirectory(prefix="ptxsweep-") as folder:
        path = Path(folder) / f"row-{number}.dcm"  # the name that an error shows
        path.write_bytes(content)
        radiograph = read_dicom(path)
    advice = "pass its pixels as 'image' if it is meant"
    refuse_foreign(f"row {number}", radiograph.subject, advice)
    return radiograph.pixels


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and np.isnan(value))
