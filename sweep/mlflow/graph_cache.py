"""The networks of a model as a graph for this machine: made once, kept in the home, and compared.

The networks are those of the digest in the registry; the graph is made of them here, so nothing
that comes with the model is run. Which engine is taken must not change what was scored: by itself
only one whose probabilities differ by at most `TOLERANCE` from the networks' own in float32.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping
from importlib.metadata import version as version_of
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sweep.errors import UsageError
from sweep.mlflow.open_model import AUTO, ENGINE, ONNX, PYTORCH, need_packages
from sweep.storage.home import Home
from sweep.util.redaction import redact

if TYPE_CHECKING:
    from ptxcore.export.onnx_graph import OnnxEnsemble
    from ptxcore.inference import Ensemble

#: A folder of the home.
FOLDER = "graphs"
#: Making a graph takes about as long as it saves on so many images (docs/results/predict.md); for
#: fewer it is made only where an engine is asked for by name.
WORTH_IMAGES = 20
_FLOAT32 = f"{PYTORCH}-float32"
_SCORED = "as the networks were scored"
#: What writes a graph.
_PACKAGES = ("onnx", "onnxscript", "onnxruntime")


def with_engine(
    home: Home,
    model: Ensemble | OnnxEnsemble,
    facts: Mapping[str, Any],
    engine: str,
    num_images: int,
    on_convert: Callable[[], None] = lambda: None,
) -> tuple[Ensemble | OnnxEnsemble, dict[str, Any]]:
    """The networks, or their graph where that is faster here.

    Args:
        home: Keeps the graph.
        model: What `open_model` gave; a graph is left as it is.
        facts: What the model says of its origin.
        engine: "auto", "pytorch", or one of `ptxcore.export.graph_engines.ENGINES`.
        num_images: How many will be segmented.
        on_convert: Called before a graph is made, which takes a while.

    Returns:
        What computes, and the facts with what it is and why under `ENGINE`.

    Raises:
        UsageError: An engine is asked for by name, and packages are missing.
        SettingsError: Likewise; or the networks have different settings.
        CheckpointError: Likewise, and the graph differs from the networks.
    """
    from ptxcore.inference import Ensemble

    if not isinstance(model, Ensemble) or engine == PYTORCH:
        return model, {**facts}
    networks = model
    if engine != AUTO:
        graph = _graph(home, networks, on_convert)[0]
        return _opened(graph, engine, _as_asked(graph, engine, networks), facts)
    why = _why_not(home, networks, num_images)
    if why is None:
        try:
            graph, speed = _graph(home, networks, on_convert)
        except Exception as error:  # the exporter raises what it likes; PyTorch is at hand
            reason = redact(f"{type(error).__name__}: {error}")[:200]
            why = f"no graph could be made ({reason})"
        else:
            name, why = fastest_of(speed)
            if name != _FLOAT32:
                return _opened(graph, name, why, facts)
    return networks, {**facts, ENGINE: {**facts[ENGINE], "why": f"{_SCORED}; {why}"}}


def _why_not(home: Home, networks: Ensemble, num_images: int) -> str | None:
    """Why no graph is asked for; None where one may be faster."""
    if networks.runtime.device != "cpu":
        return "graphs run on a CPU"
    if networks.runtime.precision != "float32":
        return "no other engine gives the same probabilities in that precision"
    if any(find_spec(name) is None for name in _PACKAGES):
        return "pip install 'ptxsweep[onnx,openvino]' may bring a faster engine"
    if num_images < WORTH_IMAGES and not _path(home, networks).is_file():
        return f"a faster engine is looked for from {WORTH_IMAGES} images on, or by --engine"
    return None


def _graph(
    home: Home, networks: Ensemble, on_convert: Callable[[], None]
) -> tuple[Path, Mapping[str, Any]]:
    """The graph's file, made if it is not there whole, and what was measured of it."""
    need_packages(*_PACKAGES)
    from ptxcore.export.onnx_graph import export_onnx, read_about

    path = _path(home, networks)
    digest = path.with_suffix(".sha256")
    if not (path.is_file() and digest.is_file() and digest.read_text() == _sha256(path)):
        on_convert()
        path.parent.mkdir(parents=True, exist_ok=True)
        export_onnx(networks, path, facts={})
        digest.write_text(_sha256(path), encoding="utf-8")
    return path, read_about(path)["speed"]


def _opened(
    path: Path, engine: str, why: str, facts: Mapping[str, Any]
) -> tuple[OnnxEnsemble, dict[str, Any]]:
    from ptxcore.export.graph_engines import ENGINES
    from ptxcore.export.onnx_graph import OnnxEnsemble

    graph = OnnxEnsemble.load(path, engine=engine)
    used = {"name": engine, "version": version_of(ENGINES[engine]), "why": why}
    return graph, {**facts, ENGINE: used}


def fastest_of(speed: Mapping[str, Any]) -> tuple[str, str]:
    """The fastest engine of those that give what the networks give in float32, and why.

    Args:
        speed: Measurements, see `OnnxEnsemble`.
    """
    from ptxcore.export.graph_engines import TOLERANCE

    measured = speed["measured"]
    able = {
        name: one["seconds"]
        for name, one in measured.items()
        if not name.endswith("bfloat16") and one["difference"] <= TOLERANCE
    }
    name = min(able, key=lambda engine: able[engine])
    if name == _FLOAT32:
        return name, "which is the fastest here"
    return name, (
        f"the fastest here, {able[name] / able[_FLOAT32]:.2f} of the time of {_FLOAT32}; "
        f"probabilities differ by at most {measured[name]['difference']:.1g} from the scored ones"
    )


def _as_asked(path: Path, engine: str, networks: Ensemble) -> str:
    """What to say of an engine that was asked for by name."""
    from ptxcore.export.graph_engines import TOLERANCE
    from ptxcore.export.onnx_graph import read_about

    measured = read_about(path)["speed"]["measured"]
    if engine not in measured:
        raise UsageError(
            f"--engine: found {engine}, which was not installed when the graph was made, expected "
            f"one of {', '.join(measured)}; pip install 'ptxsweep[openvino]' brings others"
        )
    # Both are measured from the networks in float32.
    scored = measured[f"{PYTORCH}-{networks.runtime.precision}"]["difference"]
    difference = measured[engine]["difference"] + scored
    if difference <= TOLERANCE:
        return "as asked for"
    return (
        f"as asked for; probabilities may differ by {difference:.1g} from those that were scored, "
        "and masks with them"
    )


def _path(home: Home, networks: Ensemble) -> Path:
    """Where the graph of these very networks is kept, for this machine and these versions."""
    from ptxcore.export.graph_engines import installed, machine

    digest = hashlib.sha256()
    versions = {name: version_of(name.partition("-")[0]) for name in ("torch", *installed())}
    about = [machine(), versions, networks.rule.to_stored(), networks.runtime.precision]
    digest.update(json.dumps(about, sort_keys=True).encode())
    for network, settings in networks.members:
        digest.update(json.dumps(dataclasses.asdict(settings), sort_keys=True).encode())
        for name, tensor in network.state_dict().items():
            digest.update(name.encode())
            digest.update(tensor.cpu().contiguous().numpy().tobytes())
    return home.folder / FOLDER / f"{digest.hexdigest()[:32]}{ONNX}"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
