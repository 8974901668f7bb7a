"""Write a registered model in a form that other programs run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sweep.errors import UsageError
from sweep.mlflow.decision import APPROVAL
from sweep.mlflow.open_model import ENGINE, ONNX, need_packages, open_model
from sweep.storage.home import Home

#: An ONNX graph in one file, or the folder of a MONAI bundle.
FORMATS = ("onnx", "bundle")


@dataclass(frozen=True, kw_only=True)
class Exported:
    """A model in another form.

    Attributes:
        path: The file or folder.
        num_networks: Networks in it.
        difference: Largest difference of its mean logits from the networks' on a trial image.
        num_bytes: Size of the file, or of all files.
        speed: Measurements of a graph, see `OnnxEnsemble`; it stands in the file too.
    """

    path: Path
    num_networks: int
    difference: float
    num_bytes: int
    speed: Mapping[str, Any] = field(default_factory=dict)


def export_model(home: Home, uri: str, path: Path, *, form: str = FORMATS[0]) -> Exported:
    """Write a model in another form, compared with the networks that it was made of.

    Args:
        home: Home with the address of the registry.
        uri: Address of the model, see `open_model`.
        path: Path of a file that ends in `.onnx`, one that is there is replaced; or of a folder
            that is not there yet.
        form: One of `FORMATS`.

    Raises:
        UsageError: There is no such model, it is a graph already, the packages are missing, or the
            path does not suit.
        SettingsError: Its networks have different settings.
        CheckpointError: Its files are damaged, or the result differs from the networks.
        TrackingError: MLflow cannot be reached.
    """
    if form == "onnx":
        if path.suffix != ONNX:
            raise UsageError(f"--out: found {path.name}, expected a name that ends in {ONNX}")
        need_packages("onnx", "onnxscript", "onnxruntime")
    elif path.exists():
        raise UsageError(f"--out: found {path} there already, expected a new folder for the bundle")
    from ptxcore.inference import Ensemble

    model, facts = open_model(home, uri)
    del facts[ENGINE]  # of now, not of the file
    if not isinstance(model, Ensemble):
        raise UsageError(f"{uri} is a graph already, expected a model with its networks")
    del facts[APPROVAL]  # which is a home's, not the model's
    speed: dict[str, Any] = {}
    if form == "onnx":
        from ptxcore.export.onnx_graph import OnnxEnsemble, export_onnx

        difference = export_onnx(model, path, facts=facts)
        speed = OnnxEnsemble.load(path).speed
    else:
        from ptxcore.export.monai_bundle import write_bundle
        from sweep.mlflow.model_package import write_wheel

        difference = write_bundle(model, path, facts=facts)
        write_wheel(path / "wheels")
    files = [path] if path.is_file() else [one for one in path.rglob("*") if one.is_file()]
    return Exported(
        path=path,
        num_networks=len(model.members),
        difference=difference,
        num_bytes=sum(one.stat().st_size for one in files),
        speed=speed,
    )
