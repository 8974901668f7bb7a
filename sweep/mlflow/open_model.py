"""The networks of a registered model, from files compared with their digest in the registry."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version as version_of
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
    from sweep.mlflow.local import LocalVersion

#: How the name of a graph ends.
ONNX = ".onnx"
#: Key of the facts: name and version of a model that the registry knows.
REGISTERED = "registered"
#: Key of the facts: "name", "version" and "why" of what computes.
ENGINE = "engine"
#: What may be asked for: the best that is known, or one of them.
AUTO, PYTORCH = "auto", "pytorch"
_REGISTERED = re.compile(r"models:/(?P<name>[^@/]+)(?:@(?P<alias>[^@/]+)|/(?P<number>[0-9]+))")


def need_packages(*names: str) -> None:
    """Refuse to go on without packages that write and run graphs.

    Args:
        names: Names of the packages.

    Raises:
        UsageError: They are not installed.
    """
    missing = [name for name in names if find_spec(name) is None]
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


def open_model(
    home: Home, uri: str, engine: str = AUTO
) -> tuple[Ensemble | OnnxEnsemble, dict[str, Any]]:
    """The networks of a model, and what it says of its origin; nothing that comes with it is run.

    MLflow's own `load_model` runs the code in a model's folder and whatever loader that folder
    names. Here its files are compared with what the registry says of that version, and the
    weights alone are read, from the copy that was compared.

    Args:
        home: Home with the address of the registry.
        uri: `models:/NAME@ALIAS`, `models:/NAME/VERSION`, or the folder of a model on this
            machine, or a file of `export_model`, which have no digest to be compared with.
        engine: "auto", or one of `ptxcore.export.graph_engines.ENGINES`, for a file of
            `export_model`. Networks are computed by PyTorch, as their hold-out was scored;
            `sweep.mlflow.graph_cache` makes graphs of them.

    Raises:
        UsageError: There is no such model, its files are not those of the digest, or the engine
            does not compute it.
        CheckpointError: The files are damaged or were exchanged.
        TrackingError: MLflow cannot be reached.
    """
    is_graph = uri.endswith(ONNX) and Path(uri).is_file()
    if is_graph and engine == PYTORCH:
        raise UsageError(
            f"--engine: found {engine} for {uri}, expected onnxruntime, openvino or "
            "openvino-bfloat16 for a graph"
        )
    from ptxcore.inference.ensemble_folder import load_ensemble, load_facts
    from sweep.mlflow.decision import APPROVAL, approval_of
    from sweep.mlflow.model_package import ENSEMBLE_FOLDER

    def loaded(folder: Path) -> tuple[Ensemble, dict[str, Any]]:
        ensemble = load_ensemble(folder / ENSEMBLE_FOLDER)
        facts = load_facts(folder / ENSEMBLE_FOLDER)
        return ensemble, facts | {ENGINE: _pytorch(ensemble.runtime.precision)}

    def unregistered(
        model: Ensemble | OnnxEnsemble, facts: dict[str, Any]
    ) -> tuple[Ensemble | OnnxEnsemble, dict[str, Any]]:
        return model, facts | {APPROVAL: approval_of(home, None)}  # never what it says itself

    if Path(uri).is_dir():
        return unregistered(*loaded(Path(uri)))
    if is_graph:
        need_packages("onnx")
        from ptxcore.export.onnx_graph import OnnxEnsemble

        graph = OnnxEnsemble.load(Path(uri), engine=None if engine == AUTO else engine)
        return unregistered(graph, graph.facts | {ENGINE: _of_graph(graph, engine)})
    with registered_files(home, uri, "nothing was predicted") as (folder, version):
        model, facts = loaded(folder)
    registered = [str(version.name), str(version.version)]
    return model, facts | {REGISTERED: registered, APPROVAL: approval_of(home, version)}


@contextmanager
def registered_files(
    home: Home, uri: str, so: str
) -> Iterator[tuple[Path, ModelVersion | LocalVersion]]:
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

    from sweep.mlflow.local import local_version
    from sweep.mlflow.package_digest import fetch, fetch_local

    here = local_version(home.tracking_uri, home.artifacts, **named.groupdict())
    if here is not None:
        with tempfile.TemporaryDirectory(prefix="ptxsweep-") as copy:
            yield fetch_local(here, Path(copy)), here
        return

    from sweep.mlflow.registry import reaching
    from sweep.mlflow.view import connect

    with tempfile.TemporaryDirectory(prefix="ptxsweep-") as copy:
        with reaching(home.tracking_uri, so):
            client = connect(home.tracking_uri, home.artifacts)
            version = _version(client, uri, **named.groupdict())
            folder = fetch(client, version, Path(copy))
        yield folder, version


def _pytorch(precision: str) -> dict[str, str]:
    return {
        "name": f"{PYTORCH}-{precision}",
        "version": version_of("torch"),
        "why": "as the networks were scored",
    }


def _of_graph(graph: OnnxEnsemble, asked: str) -> dict[str, str]:
    from ptxcore.export.graph_engines import ENGINES, machine

    found = {"name": graph.engine, "version": version_of(ENGINES[graph.engine])}
    speed = graph.speed
    if asked != AUTO:
        return {**found, "why": "as asked for"}
    if speed.get("machine") != machine() or graph.engine != speed["fastest_graph"]:
        return {**found, "why": "not measured on this machine, which export-model does here"}
    seconds = {name: one["seconds"] for name, one in speed["measured"].items()}
    share = seconds[graph.engine] / seconds[speed["scored"]]
    why = f"the fastest of graphs here, {share:.2f} of the time of {speed['scored']}"
    if speed["fastest"].startswith(PYTORCH):
        why += f"; {speed['fastest']} is faster, so predict with the model itself"
    return {**found, "why": why}


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
