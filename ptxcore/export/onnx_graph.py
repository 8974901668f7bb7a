"""A champion's networks as one ONNX graph, and the graph as an ensemble again.

The graph maps windows to the logits of every network, side by side, because each is limited before
the mean is taken, and that after windows were blended. The rest stands in the graph's metadata:
size, windows, overlap, rule. torch.onnx (2.13) settles at export whether sides are padded, so the
graph takes sides that divide by `multiple` alone, and what runs it pads.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import logging
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ptxcore.atomic_file import whole_file
from ptxcore.errors import CheckpointError, SettingsError
from ptxcore.export.graph_engines import Run, fastest, installed, machine, measure, start
from ptxcore.export.trial_image import trial_image
from ptxcore.inference import (
    Ensemble,
    ImageLogits,
    grid_logits,
    mean_case_logit,
    mean_logits,
    on_grid,
    prepared_for,
    sigmoid,
)
from ptxcore.metrics import logits_to_mask
from ptxcore.models import pad_to_multiple, widths
from ptxcore.settings import FoldSettings
from ptxcore.types import Rule, Runtime

INPUT, OUTPUT, CASE_OUTPUT = "windows", "logits", "case_logits"
#: Key of the graph's metadata: JSON of what `load` needs.
KEY = "ptxsweep"
FORMAT = 1
#: Mean logits of graph and networks may differ by so much; probabilities then by at most 0.001,
#: since the logistic function is nowhere steeper than a quarter.
TOLERANCE = 4e-3
#: Side of the largest window that engines are measured on.
_WINDOW_PX = 512


class _SideBySide(nn.Module):
    """Several networks on the same windows: (B, C, p, q) to (B, K, p, q), and with case heads to
    their case logits too, (B, K).
    """

    def __init__(self, networks: list[nn.Module], *, has_case_head: bool) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)
        self._has_case_head = has_case_head

    def forward(self, windows: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        if not self._has_case_head:
            return torch.cat([network(windows) for network in self.networks], dim=1)
        pairs = [network.with_case(windows) for network in self.networks]  # type: ignore[operator]
        return torch.cat([mask for mask, _ in pairs], 1), torch.cat([case for _, case in pairs], 1)


def export_onnx(ensemble: Ensemble, path: Path, *, facts: Mapping[str, Any]) -> float:
    """Write an ensemble as one file, and compare it with the ensemble.

    Args:
        ensemble: Networks with equal settings, on the CPU.
        path: Path of the file; one that is there is replaced.
        facts: What the model says of its origin; plain JSON values.

    Returns:
        The largest difference of mean logits on a trial image, both in float32.

    Raises:
        SettingsError: The networks' settings differ.
        CheckpointError: The graph differs from the networks by more than `TOLERANCE`; no file is
            written.
    """
    networks, settings = [network for network, _ in ensemble.members], ensemble.members[0][1]
    if any(other != settings for _, other in ensemble.members):
        raise SettingsError("members: found networks of several settings, expected one for all")
    multiple = 2 ** (len(widths(settings)) - 1)
    about = {
        "format": FORMAT,
        "settings": dataclasses.asdict(settings),
        "rule": ensemble.rule.to_stored(),
        "multiple": multiple,
        "num_networks": len(networks),
        "facts": dict(facts),
    }
    stacked = _SideBySide(networks, has_case_head=settings.case_head).eval()
    side = 2 * max(2 * multiple, 16)
    example = torch.zeros(2, settings.num_channels, side, side + multiple)
    dynamic = {axis: torch.export.Dim.DYNAMIC for axis in (0, 2, 3)}
    with whole_file(path) as draft:
        with _silent():
            program = torch.onnx.export(
                stacked,
                (example,),
                dynamo=True,
                input_names=[INPUT],
                output_names=[OUTPUT, CASE_OUTPUT] if settings.case_head else [OUTPUT],
                dynamic_shapes=({**dynamic},),
                external_data=False,
                verbose=False,
            )
        assert program is not None, "the exporter of dynamo gives a program"
        program.model.metadata_props[KEY] = json.dumps(about, sort_keys=True)
        program.save(str(draft), external_data=False)
        difference = _difference(ensemble, OnnxEnsemble.load(draft, engine="onnxruntime"))
        if not difference <= TOLERANCE:
            raise CheckpointError(
                f"{path.name}: found logits that differ by {difference:.2g} from those of the "
                f"networks, expected at most {TOLERANCE}; nothing was written"
            )
        about["speed"] = _speed(ensemble, draft, about)
        program.model.metadata_props[KEY] = json.dumps(about, sort_keys=True)
        program.save(str(draft), external_data=False)
    return difference


def _speed(ensemble: Ensemble, path: Path, about: Mapping[str, Any]) -> dict[str, Any]:
    """Which engine is the fastest here, of those that give what the networks give.

    On a window or two: an image of many would take minutes and tell the same.
    """
    settings = ensemble.members[0][1]
    side = min(settings.patch_size or settings.image_size or _WINDOW_PX, _WINDOW_PX)
    one = FoldSettings(  # those of training have ranges that depend on the size
        case_head=settings.case_head,
        position_channels=settings.position_channels,
        context_factor=settings.context_factor,
        image_size=side + bool(settings.context_factor),  # context is around a window
        patch_size=side if settings.context_factor else 0,
        resampling=settings.resampling,
    )
    about = {**about, "settings": dataclasses.asdict(one)}
    graphs = {
        name: OnnxEnsemble(start(name, path, torch.get_num_threads()), about, name).logits
        for name in installed()
    }
    members = tuple((network, one) for network, _ in ensemble.members)
    measured = measure(dataclasses.replace(ensemble, members=members), graphs, trial_image())
    scored = f"pytorch-{ensemble.runtime.precision}"
    return {
        "machine": machine(),
        "scored": scored,
        "fastest": fastest(measured, measured[scored]),
        "fastest_graph": fastest(
            {name: one for name, one in measured.items() if name in graphs}, measured[scored]
        ),
        "measured": {name: dataclasses.asdict(one) for name, one in measured.items()},
    }


def read_about(path: Path) -> dict[str, Any]:
    """What stands in a graph's metadata.

    Args:
        path: Path of a file that `export_onnx` wrote.

    Raises:
        CheckpointError: It is damaged, another program's graph, or of a newer format.
    """
    import onnx

    try:
        props = onnx.load(str(path), load_external_data=False).metadata_props
        about: dict[str, Any] = json.loads({prop.key: prop.value for prop in props}[KEY])
    except Exception as error:  # of many kinds
        raise _no_graph(path, error) from error
    if about.get("format") != FORMAT:
        raise CheckpointError(
            f"{path.name}: format: found {about.get('format')}, expected {FORMAT}"
        )
    return about


def _no_graph(path: Path, error: Exception) -> CheckpointError:
    return CheckpointError(
        f"{path.name}: found no graph that ptxsweep wrote ({type(error).__name__}), "
        "expected a file of `ptxsweep export-model`"
    )


class OnnxEnsemble:
    """A graph of `export_onnx`, run by ONNX Runtime on the CPU.

    Attributes:
        rule: How the mean logit, as a probability, becomes a mask.
        facts: What the model says of its origin.
        members: None: the networks are in the graph.
        engine: One of `ptxcore.export.graph_engines.ENGINES`.
        speed: What was measured on export, empty in files of earlier versions: "machine", by
            engine "measured" (seconds and difference), "fastest" and "fastest_graph".
    """

    members: tuple[tuple[nn.Module, FoldSettings], ...] = ()

    def __init__(self, run: Run, about: Mapping[str, Any], engine: str) -> None:
        """Use `load`.

        Args:
            run: Runs the graph.
            about: The graph's metadata.
            engine: What runs it.
        """
        self.engine = engine
        self.speed: dict[str, Any] = about.get("speed", {})
        self.rule = Rule(**about["rule"])
        self.facts: dict[str, Any] = about["facts"]
        self._settings = FoldSettings(**about["settings"])
        self._num_networks = int(about["num_networks"])
        self._network = _Graph(run, int(about["multiple"]))

    @classmethod
    def load(cls, path: Path, *, engine: str | None = None) -> OnnxEnsemble:
        """Open a file that `export_onnx` wrote, with as many CPU threads as PyTorch has.

        Args:
            path: Path of the file.
            engine: One of `ENGINES`; None for the one that was the fastest on export, if that
                was on this machine and it is installed, else the first that is installed.

        Raises:
            SettingsError: The engine is not installed.
            CheckpointError: It is damaged, or another program's graph.
        """
        about = read_about(path)
        try:
            chosen = engine or _engine_of(about.get("speed", {}))
            run = start(chosen, path, torch.get_num_threads())
        except SettingsError:
            raise
        except Exception as error:  # of many kinds, none of which ONNX Runtime exports
            raise _no_graph(path, error) from error
        return cls(run, about, chosen)

    def logits(self, image: NDArray[np.generic]) -> NDArray[np.float32]:
        """As `Ensemble.logits`.

        Args:
            image: Shape (H, W), bright = dense, any real type and range.
        """
        return self.predict(image).mask

    def predict(self, image: NDArray[np.generic]) -> ImageLogits:
        """As `Ensemble.predict`.

        Args:
            image: Shape (H, W), bright = dense, any real type and range.
        """
        prepared = prepared_for(image, self._settings)
        mask, cases = grid_logits(self._network, prepared, self._settings, Runtime())
        height, width = np.shape(image)
        return ImageLogits(
            mean_logits(
                [on_grid(mask[:, k : k + 1], (height, width)) for k in range(self._num_networks)]
            ),
            None if cases is None else mean_case_logit(cases.tolist()),
        )

    def probability(self, image: NDArray[np.generic]) -> NDArray[np.float32]:
        """As `Ensemble.probability`.

        Args:
            image: Shape (H, W), bright = dense, any real type and range.
        """
        return sigmoid(self.logits(image))

    def mask(self, image: NDArray[np.generic]) -> NDArray[np.bool_]:
        """As `Ensemble.mask`.

        Args:
            image: Shape (H, W), bright = dense, any real type and range.
        """
        logits, case = self.predict(image)
        return logits_to_mask(logits, self.rule, case)


class _Graph(nn.Module):
    """The graph in a network's place: pads, runs, crops."""

    def __init__(self, run: Run, multiple: int) -> None:
        super().__init__()
        self._run, self._multiple = run, multiple

    def forward(self, windows: Tensor) -> Tensor:
        return self._outputs(windows)[0]

    def with_case(self, windows: Tensor) -> tuple[Tensor, Tensor]:
        """See `SegmentationUNet.with_case`; of each network."""
        mask, case = self._outputs(windows)
        return mask, case

    def _outputs(self, windows: Tensor) -> list[Tensor]:
        padded, size = pad_to_multiple(windows, self._multiple)
        mask, *rest = map(torch.from_numpy, self._run(padded.contiguous().numpy()))
        return [mask[..., : size.height, : size.width], *rest]


def _engine_of(speed: Mapping[str, Any]) -> str:
    here = installed()
    if speed.get("machine") == machine() and speed["fastest_graph"] in here:
        return str(speed["fastest_graph"])
    return here[0] if here else "onnxruntime"  # which is then asked for by name


def _difference(ensemble: Ensemble, graph: OnnxEnsemble) -> float:
    """Largest difference of mean logits on the trial image, both in float32; of the case heads'
    too.
    """
    pixels, exact = trial_image(), dataclasses.replace(ensemble, runtime=Runtime())
    (mask, case), (other, other_case) = exact.predict(pixels), graph.predict(pixels)
    of_cases = 0.0 if case is None or other_case is None else abs(case - other_case)
    return max(float(np.abs(mask - other).max()), of_cases)


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """The exporter prints its steps and warns of its own deprecations."""
    loggers = [logging.getLogger(name) for name in ("onnxscript", "torch.onnx")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
