"""What a champion does when MLflow asks it to predict."""

from __future__ import annotations

import dataclasses
import logging
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.pyfunc import PythonModel  # type: ignore[attr-defined]
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema
from mlflow.types.schema import AnyType
from numpy.typing import NDArray

from ptxcore.data.formats.contrast import has_contrast
from ptxcore.data.formats.dicom import read_dicom
from ptxcore.data.formats.image_range import unlike_training
from ptxcore.data.formats.rle import encode
from ptxcore.data.formats.subject import (
    count_subjects,
    doubts_about,
    refuse_foreign,
)
from ptxcore.errors import DataError, DicomError, SettingsError
from ptxcore.inference import Ensemble, segment
from ptxcore.inference.ensemble_folder import load_ensemble, load_facts
from sweep.analysis.detection import FACT, call_case, known_case_rule
from sweep.analysis.selection_bias import of_model, spoken
from sweep.mlflow.model_package._places import ARTIFACT

_log = logging.getLogger(__name__)
_ANY = AnyType()  # type: ignore[no-untyped-call]  # half annotated
#: What an answer holds of the mask: all pixels, or run lengths, a thousandth of the size.
ARRAYS, RLE = "arrays", "rle"
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
            ColSpec(_ANY, "probability", required=False),
            ColSpec(_ANY, "mask", required=False),
            ColSpec(DataType.string, "mask_rle", required=False),
            ColSpec(DataType.boolean, "case_positive"),
            ColSpec(DataType.long, "mask_px"),
            ColSpec(DataType.double, "highest"),
            ColSpec(DataType.boolean, "has_contrast"),
            ColSpec(DataType.string, "caution", required=False),
            ColSpec(_ANY, "case", required=False),
            ColSpec(_ANY, "case_detection", required=False),
        ]
    ),
    params=ParamSchema([ParamSpec("output", DataType.string, ARRAYS)]),
)


class RefusedRow(MlflowException, DicomError):
    """A row that cannot be segmented: a `DicomError`, which MLflow's server answers with 400."""


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
        self._facts = load_facts(folder)
        self._case_rule = known_case_rule(self._facts)
        self._caution = spoken(of_model(self._facts))
        if self._caution is not None:
            _log.warning("caution: %s", self._caution)

    def predict(
        self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> list[dict[str, Any]]:
        """Segment every row.

        Args:
            context: Context of MLflow, not used.
            model_input: A row per image.
            params: "output": "arrays" (the default) or "rle".

        Returns:
            Per row, with arrays: "probability", float32 of shape (H, W) in [0, 1], and "mask", bool
            of the same shape under the ensemble's rule; H and W are those of the image. With rle:
            "mask_rle", run lengths as SIIM-ACR has them. And "case_positive", whether the mask has
            any pixel; "mask_px", how many; "highest", the highest probability; "has_contrast",
            whether the image shows anything; "caution", what to know of the model or the image;
            "case", the probability that the image is ill and at which specificities it is called
            so, None of a model that does not know; "case_detection", how such calls did out of
            fold.

        Raises:
            RefusedRow: A row has no image, two, one that cannot be read, or a DICOM file of what is
                no projection radiograph, or too far from those that the model was trained on; or
                another output is asked for.
        """
        output = (params or {}).get("output", ARRAYS)
        if output not in (ARRAYS, RLE):
            raise _refused(f"output: found {output!r}, expected {ARRAYS} or {RLE}")
        found = []
        for number, row in _rows(model_input):
            try:
                pixels, doubts = _pixels(row, number, self._facts)
                found.append(self._segment(pixels, doubts, output))
            except DataError as error:
                raise _refused(str(error)) from error
            except SettingsError as error:
                raise _refused(f"row {number}: {error}") from error
        return found

    def _segment(self, pixels: NDArray[Any], doubts: list[str], output: str) -> dict[str, Any]:
        probability, mask, case_logit = segment(self._ensemble, pixels)
        answer = {"probability": probability, "mask": mask}
        if not (is_clear := has_contrast(pixels)):
            doubts = [*doubts, "no contrast in the picture, so nothing can be said of it"]
        cautions = [*doubts, *([self._caution] if self._caution else [])]
        rule = self._case_rule
        call = None if rule is None else call_case(rule, probability, case_logit)
        return {
            **(answer if output == ARRAYS else {"mask_rle": encode(mask)}),
            "case_positive": bool(mask.any()),
            "mask_px": int(mask.sum()),
            "highest": float(probability.max()),
            "has_contrast": is_clear,
            "caution": "; ".join(cautions) or None,
            "case": None if call is None else dataclasses.asdict(call),
            FACT: self._facts.get(FACT),
        }


def _rows(table: pd.DataFrame) -> list[tuple[int, dict[str, Any]]]:
    columns = [name for name in ("dicom", "image") if name in table.columns]
    if not columns:  # MLflow takes away what the signature does not name, and the rows with it
        raise _refused("rows: found none with 'dicom' or 'image', expected either in each")
    rows = zip(*(table[name] for name in columns), strict=True)
    return [(number, dict(zip(columns, row, strict=True))) for number, row in enumerate(rows)]


def _refused(message: str) -> RefusedRow:
    return RefusedRow(message, error_code=INVALID_PARAMETER_VALUE)


def _pixels(
    row: dict[str, Any], number: int, facts: Mapping[str, Any]
) -> tuple[NDArray[Any], list[str]]:
    """An image, and what is doubtful about it."""
    given = {name: value for name, value in row.items() if not _is_missing(value)}
    if len(given) != 1:
        raise DicomError(
            f"row {number}: found {sorted(given) or 'neither'}, expected either 'dicom' (bytes of "
            "a file) or 'image' (an array of shape (height, width))"
        )
    if "dicom" in given:
        return _decode(given["dicom"], number, facts)
    try:
        pixels = np.asarray(given["image"])
    except ValueError as error:
        raise DicomError(f"row {number}: image: found rows of several lengths") from error
    if pixels.ndim != 2 or not pixels.size or pixels.dtype.kind not in "uif":
        raise DicomError(
            f"row {number}: image: found {pixels.dtype} of shape {pixels.shape}, expected numbers "
            "of shape (height, width)"
        )
    return pixels, []


def _decode(content: Any, number: int, facts: Mapping[str, Any]) -> tuple[NDArray[Any], list[str]]:
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
    if (problem := unlike_training(facts, radiograph)) is not None:
        raise DicomError(f"row {number}: {problem}, as the model was trained on; {advice}")
    return radiograph.pixels, [*doubts_about(count_subjects([radiograph.subject]))]


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and np.isnan(value))
