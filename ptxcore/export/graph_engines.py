"""What runs a graph on a CPU, and which of it is the fastest here.

ONNX Runtime computes in float32. OpenVINO does so too, or in bfloat16 where the processor can.
"""

from __future__ import annotations

import dataclasses
import platform
import re
import sys
import time
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ptxcore.errors import SettingsError
from ptxcore.inference import Ensemble, place, sigmoid
from ptxcore.types import Runtime

#: Maps windows, float32 of shape (B, C, p, q), to what the graph gives: logits of each network,
#: (B, K, p, q), and of networks with case heads their case logits, (B, K).
Run = Callable[[NDArray[np.float32]], tuple[NDArray[np.float32], ...]]
#: Engines of graphs, with the package that each needs.
ENGINES = {
    "onnxruntime": "onnxruntime",
    "openvino": "openvino",
    "openvino-bfloat16": "openvino",
}
#: The networks themselves, in a precision.
PYTORCH = ("pytorch-float32", "pytorch-bfloat16")
#: Probabilities may lie so far from those of the networks in float32; or, of a model that was
#: scored in bfloat16, twice as far as its own do.
TOLERANCE = 1e-3
_ROUNDS = 3


def installed() -> tuple[str, ...]:
    """Engines that can be used here."""
    return tuple(name for name, package in ENGINES.items() if find_spec(package) is not None)


def start(engine: str, graph: Path, num_threads: int) -> Run:
    """Load a graph.

    Args:
        engine: One of `ENGINES`.
        graph: An ONNX file.
        num_threads: CPU threads, at least 1.

    Raises:
        SettingsError: There is no such engine, or its package is not installed.
    """
    if engine not in ENGINES:
        raise SettingsError(f"engine: found {engine!r}, expected one of {', '.join(ENGINES)}")
    if find_spec(ENGINES[engine]) is None:
        raise SettingsError(
            f"engine: found no package {ENGINES[engine]}, which {engine!r} needs; pip install "
            f"'ptxsweep[{'onnx' if engine == 'onnxruntime' else 'openvino'}]' brings it"
        )
    if engine == "onnxruntime":
        return _onnxruntime(graph, num_threads)
    return _openvino(graph, num_threads, "bf16" if engine == "openvino-bfloat16" else "f32")


def _onnxruntime(graph: Path, num_threads: int) -> Run:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = num_threads
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def run(windows: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
        return tuple(session.run(None, {name: windows}))

    return run


def _openvino(graph: Path, num_threads: int, precision: str) -> Run:
    # Imported, openvino 2026.4 reports itself to its maker and leaves a number for that in the
    # user's home, through a package that it can do without.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    compiled = openvino.Core().compile_model(
        str(graph),
        "CPU",
        {
            "INFERENCE_PRECISION_HINT": precision,
            "INFERENCE_NUM_THREADS": num_threads,
            "NUM_STREAMS": 1,
        },
    )

    def run(windows: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
        found = compiled(windows)  # its buffers are used again
        return tuple(np.array(found[k], np.float32) for k in range(len(compiled.outputs)))

    return run


def machine() -> str:
    """The processor and the threads that a measurement holds for, in words."""
    name = platform.processor() or platform.machine()
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:  # not Linux
        text = ""
    if (found := re.search(r"^model name\s*: (.+)$", text, re.M)) is not None:
        name = found[1].strip()
    flags = [flag for flag in ("avx512_bf16", "amx_bf16") if flag in text]
    return ", ".join([name, *flags, f"{torch.get_num_threads()} threads"])


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measured:
    """One engine on one picture.

    Attributes:
        seconds: Time of a prediction, the shortest of three made in turn with the others'.
        difference: Largest difference of a probability from the networks in float32.
    """

    seconds: float
    difference: float


def measure(
    ensemble: Ensemble,
    graphs: Mapping[str, Callable[[NDArray[Any]], NDArray[np.float32]]],
    image: NDArray[Any],
) -> dict[str, Measured]:
    """Predict one picture by every engine, in turn.

    Args:
        ensemble: The networks, on the CPU.
        graphs: For each engine of graphs what gives the mean logits of a picture.
        image: The picture, shape (H, W).

    Returns:
        By engine, those of `PYTORCH` first.
    """
    runs: dict[str, Callable[[NDArray[Any]], NDArray[np.float32]]] = {}
    for name in PYTORCH:
        runtime = Runtime(
            precision=name.removeprefix("pytorch-"),
            channels_last=True,
            folded_norms=ensemble.runtime.folded_norms,
        )
        networks = tuple((place(network, runtime), one) for network, one in ensemble.members)
        runs[name] = dataclasses.replace(ensemble, members=networks, runtime=runtime).logits
    runs |= graphs
    found = {name: sigmoid(run(image)) for name, run in runs.items()}  # which also warms up
    seconds = dict.fromkeys(runs, float("inf"))
    for _ in range(_ROUNDS):
        for name, run in runs.items():
            begin = time.perf_counter()
            run(image)
            seconds[name] = min(seconds[name], time.perf_counter() - begin)
    return {
        name: Measured(
            seconds=seconds[name],
            difference=float(np.abs(found[name] - found[PYTORCH[0]]).max()),
        )
        for name in runs
    }


def fastest(measured: Mapping[str, Measured], scored: Measured) -> str:
    """The fastest engine of those that give what the model was scored with.

    Args:
        measured: Measurements by engine.
        scored: The measurement of the networks in the precision that they were scored in.
    """
    # Another order of additions in the same precision gives as large a difference, not the same.
    allowed = max(TOLERANCE, 2 * scored.difference)
    return min(
        (name for name, one in measured.items() if one.difference <= allowed),
        key=lambda name: measured[name].seconds,
    )
