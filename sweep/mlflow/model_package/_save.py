"""From fold weights to a folder that MLflow can load."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import mlflow.pyfunc
from mlflow.models import Model

from ptxcore.data.formats.image_range import ImageRange
from ptxcore.inference.ensemble_folder import write_ensemble
from ptxcore.types import Rule, Runtime
from sweep.mlflow.model_package._example import SIDE_PX, input_example
from sweep.mlflow.model_package._model import SIGNATURE
from sweep.mlflow.model_package._places import ARTIFACT
from sweep.mlflow.model_package._wheel import write_wheel
from sweep.util.provenance import pins

#: A folder in the model's. MLflow installs requirements from there, and so do people.
WHEELS = "wheels"
CODE = Path(__file__).with_name("champion.py")
#: What prediction needs beside this package, in the versions that scored the hold-out. Given
#: outright, because MLflow's own search for requirements starts a process, loads the model and asks
#: the network.
REQUIREMENTS = (
    *("torch", "numpy", "pandas", "pydicom", "pillow", "mlflow"),
    *("scipy", "simpleitk", "highdicom", "pyjpegls", "safetensors"),
)


def save_model(
    folder: Path,
    weights: Sequence[Path],
    *,
    rule: Rule,
    runtime: Runtime,
    inference: Mapping[str, Any] | None = None,
    facts: Mapping[str, Any] | None = None,
    model: Model | None = None,
) -> None:
    """Write a pyfunc model, then load it back and predict its input example.

    Args:
        folder: Must not exist.
        weights: Folders that `save_weights` wrote, one per fold.
        rule: How the mean logit, as a probability, becomes a mask.
        runtime: Where and how the networks were scored.
        inference: Settings for inference in place of those that the weights were saved with.
        facts: Plain JSON values about where it comes from; they become the model's metadata.
        model: Carries the ids that a tracking store gave the model.

    Raises:
        CheckpointError: Weights are missing or damaged.
    """
    known = ImageRange.from_facts((facts or {}).get("images"))
    side_px = SIDE_PX if known is None else max(SIDE_PX, known.least_px)
    example = input_example(side_px)
    with tempfile.TemporaryDirectory(prefix="ptxsweep-") as temporary:
        ensemble, code = Path(temporary) / ARTIFACT, Path(temporary) / CODE.name
        shutil.copy(CODE, code)  # the model keeps the path, which need not tell where we live
        write_ensemble(
            ensemble, weights, rule=rule, runtime=runtime, inference=inference, facts=facts
        )
        wheel = write_wheel(Path(temporary) / WHEELS)
        mlflow.pyfunc.save_model(
            str(folder),
            python_model=str(code),
            artifacts={ARTIFACT: str(ensemble)},
            signature=SIGNATURE,
            input_example=example,
            pip_requirements=[f"{WHEELS}/{wheel.name}", *pins(*REQUIREMENTS)],
            metadata=dict(facts or {}),
            mlflow_model=model,
        )
        (folder / WHEELS).mkdir()
        shutil.copy(wheel, folder / WHEELS)
    (prediction,) = mlflow.pyfunc.load_model(str(folder)).predict(example)
    assert prediction["probability"].shape == prediction["mask"].shape == (side_px, side_px)
