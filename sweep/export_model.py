"""Write a registered model as one file that other programs run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sweep.errors import UsageError
from sweep.mlflow.open_model import ONNX, need_onnx, open_model
from sweep.storage.home import Home


@dataclass(frozen=True, kw_only=True)
class Exported:
    """A model as a file.

    Attributes:
        path: The file.
        num_networks: Networks in the graph.
        difference: Largest difference of mean logits between graph and networks on a trial image.
        num_bytes: Size of the file.
    """

    path: Path
    num_networks: int
    difference: float
    num_bytes: int


def export_model(home: Home, uri: str, path: Path) -> Exported:
    """Write a model as an ONNX graph, compared with the networks that it was made of.

    Args:
        home: Home with the address of the registry.
        uri: Address of the model, see `open_model`.
        path: Path of the file, which ends in `.onnx`; one that is there is replaced.

    Raises:
        UsageError: There is no such model, it is a graph already, or the packages are missing.
        SettingsError: Its networks have different settings.
        CheckpointError: Its files are damaged, or the graph differs from the networks.
        TrackingError: MLflow cannot be reached.
    """
    if path.suffix != ONNX:
        raise UsageError(f"--out: found {path.name}, expected a name that ends in {ONNX}")
    need_onnx()
    from ptxcore.export.onnx_graph import export_onnx
    from ptxcore.inference import Ensemble

    model, facts = open_model(home, uri)
    if not isinstance(model, Ensemble):
        raise UsageError(f"{uri} is a graph already, expected a model with its networks")
    difference = export_onnx(model, path, facts=facts)
    return Exported(
        path=path,
        num_networks=len(model.members),
        difference=difference,
        num_bytes=path.stat().st_size,
    )
