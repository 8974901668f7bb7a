"""The networks of a registered model, from files compared with their digest in the registry."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sweep.errors import UsageError
from sweep.storage.home import Home
from sweep.util.sqlite import missing_file

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

    from ptxcore.export.onnx_graph import OnnxEnsemble
    from ptxcore.inference import Ensemble

#: How the name of a graph ends.
ONNX = ".onnx"
#: Key of the facts: name and version of a model that the registry knows.
REGISTERED = "registered"
_REGISTERED = re.compile(r"models:/(?P<name>[^@/]+)(?:@(?P<alias>[^@/]+)|/(?P<number>[0-9]+))")


def need_onnx() -> None:
    """Refuse to go on without the packages that write and run graphs.

    Raises:
        UsageError: They are not installed.
    """
    missing = [name for name in ("onnx", "onnxscript", "onnxruntime") if find_spec(name) is None]
    if missing:
        raise UsageError(
            f"ONNX: found no package {', '.join(missing)}; pip install 'ptxsweep[onnx]' brings it"
        )


def load_champion(home: Home, uri: str) -> Ensemble:
    """The networks of a registered model, see `open_model`."""
    from ptxcore.inference import Ensemble

    model, _ = open_model(home, uri)
    assert isinstance(model, Ensemble), "the registry holds no graphs"
    return model


def open_model(home: Home, uri: str) -> tuple[Ensemble | OnnxEnsemble, dict[str, Any]]:
    """The networks of a model, and what it says of its origin; nothing that comes with it is run.

    MLflow's own `load_model` runs the code in a model's folder and whatever loader that folder
    names. Here its files are compared with what the registry says of that version, and the
    weights alone are read, from the copy that was compared.

    Args:
        home: Home with the address of the registry.
        uri: `models:/NAME@ALIAS`, `models:/NAME/VERSION`, or the folder of a model on this
            machine, or a file of `export_model`, which have no digest to be compared with.

    Raises:
        UsageError: There is no such model, or its files are not those of the digest.
        CheckpointError: The files are damaged or were exchanged.
        TrackingError: MLflow cannot be reached.
    """
    from sweep.mlflow.model_package import ENSEMBLE_FOLDER, load_ensemble, load_facts

    def loaded(folder: Path) -> tuple[Ensemble, dict[str, Any]]:
        ensemble = folder / ENSEMBLE_FOLDER
        return load_ensemble(ensemble), load_facts(ensemble)

    if Path(uri).is_dir():
        return loaded(Path(uri))
    if uri.endswith(ONNX) and Path(uri).is_file():
        need_onnx()
        from ptxcore.export.onnx_graph import OnnxEnsemble

        graph = OnnxEnsemble.load(Path(uri))
        return graph, graph.facts
    with registered_files(home, uri, "nothing was predicted") as (folder, version):
        model, facts = loaded(folder)
    return model, facts | {REGISTERED: [str(version.name), str(version.version)]}


@contextmanager
def registered_files(home: Home, uri: str, so: str) -> Iterator[tuple[Path, ModelVersion]]:
    """A copy of a registered model's files, compared with what the registry says of that version.

    Args:
        home: Home with the address of the registry.
        uri: `models:/NAME@ALIAS` or `models:/NAME/VERSION`.
        so: What it led to if MLflow cannot be reached, see `reaching`.

    Raises:
        UsageError: There is no such model, or its files are not those of the digest.
        CheckpointError: The files are damaged or were exchanged.
        TrackingError: MLflow cannot be reached.
    """
    named = _REGISTERED.fullmatch(uri)
    if named is None:
        raise UsageError(
            f"model {uri}: expected models:/NAME@ALIAS, models:/NAME/VERSION, the folder of a "
            "model or a file of `ptxsweep export-model`; the registry has digests of no other (to "
            "run a model's own code, trusting its store, call mlflow.pyfunc.load_model)"
        )
    if (file := missing_file(home.tracking_uri)) is not None:
        raise UsageError(f"no model was registered in {home.folder} (found no {file}); give --home")

    from sweep.mlflow.package_digest import fetch
    from sweep.mlflow.registry import reaching
    from sweep.mlflow.view import connect

    with tempfile.TemporaryDirectory(prefix="ptxsweep-") as copy:
        with reaching(home.tracking_uri, so):
            client = connect(home.tracking_uri, home.artifacts)
            version = _version(client, uri, **named.groupdict())
            folder = fetch(client, version, Path(copy))
        yield folder, version


def _version(
    client: MlflowClient, uri: str, *, name: str, alias: str | None, number: str | None
) -> ModelVersion:
    from mlflow.exceptions import MlflowException

    try:
        if alias is not None:
            return client.get_model_version_by_alias(name, alias)
        return client.get_model_version(name, str(number))
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
        known = ", ".join(
            registered_model.name for registered_model in client.search_registered_models()
        )
        raise UsageError(f"model {uri}: {error.message}; registered: {known or 'none'}") from error
