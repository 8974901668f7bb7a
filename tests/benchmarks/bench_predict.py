"""What a prediction costs beside its networks' forward passes, and which engine is the fastest.

    python tests/benchmarks/bench_predict.py

What is compared runs in turn in one process on one thread; medians of CPU time count, so that other
work on the machine changes little. On a file of the real slice that the tests use, where it is
found, else on a drawn one. The last line is one JSON object:

    predict_over_passes    DICOM in, SEG out, without loading the model, over the bare passes of the
                           same windows through the same networks (goal: at most 1.15)
    loading_over_passes    reading and checking the model's files, once a call, over the same
    engine_over_pytorch    by engine, a window through all networks over PyTorch in its best
                           precision (goal: at most 1 for the one that is chosen)
    chosen                 what `predict --engine auto` takes for the graph of networks that were
                           scored in bfloat16
    dice, dice_positive    of trained networks on drawn cases that none has seen, by engine
    difference             largest difference of a probability from float32 on those, by engine
"""

from __future__ import annotations

import dataclasses
import json
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.append(str(Path(__file__).resolve().parents[1] / "support"))

from siim_slice import find_slice

from ptxcore.data.formats.dicom import read_dicom
from ptxcore.data.importing.run import import_cases
from ptxcore.data.phantom import write_phantom
from ptxcore.data.splits.fold_plan import make_plan
from ptxcore.data.store.case_store import CaseStore
from ptxcore.export.graph_engines import ENGINES, PYTORCH, Measured, fastest, machine
from ptxcore.export.onnx_graph import OnnxEnsemble, export_onnx
from ptxcore.inference import Ensemble, place
from ptxcore.inference.ensemble_folder import save_ensemble
from ptxcore.metrics import summarize
from ptxcore.models import build_network
from ptxcore.settings import FoldSettings
from ptxcore.training import train_fold
from ptxcore.types import Rule, Runtime
from sweep.mlflow.open_model import open_model
from sweep.promotion.holdout import score_cases
from sweep.segment import predict_files
from sweep.storage.home import Home

#: As in search_spaces/attention_unet.yaml; two networks, where a champion has five: the cost beside
#: the passes counts more so.
LARGE = FoldSettings(network="attention_unet", channels=32, image_size=1024, patch_size=512)
SMALL = FoldSettings(
    channels=8, levels=4, image_size=96, patch_size=0, batch_size=8, max_epochs=15,
    learning_rate=3e-3, patience=15,
)  # fmt: skip
ROUNDS = 2
BFLOAT16 = Runtime(precision="bfloat16", channels_last=True)


def cpu_medians(steps: dict[str, Callable[[], object]]) -> dict[str, float]:
    """CPU seconds of each step, run in turn after one round of warming up."""
    times: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(ROUNDS + 1):
        for name, step in steps.items():
            begin = time.process_time()
            step()
            if number:
                times[name].append(time.process_time() - begin)
    return {name: statistics.median(values) for name, values in times.items()}


def windows_of(ensemble: Ensemble, file: Path) -> list[torch.Tensor]:
    """What goes through the first network while a file is predicted."""
    seen: list[torch.Tensor] = []
    network = ensemble.members[0][0]
    handle = network.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].clone()))
    ensemble.logits(read_dicom(file).pixels)
    handle.remove()
    return seen


def overhead(folder: Path, file: Path, home: Home) -> dict[str, float]:
    """A prediction over its bare forward passes."""
    networks = [place(build_network(LARGE, seed=seed).eval(), BFLOAT16) for seed in range(2)]
    ensemble = Ensemble(members=tuple((one, LARGE) for one in networks), runtime=BFLOAT16)
    model = folder / "large"
    save_ensemble(model / "artifacts" / "ensemble", ensemble, facts={})
    windows = windows_of(ensemble, file)

    def passes() -> None:
        with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
            for network in networks:
                for window in windows:
                    network(window)

    times = cpu_medians(
        {
            "passes": passes,
            "predict": lambda: predict_files(
                home, str(model), [file], folder / "out", formats=("seg",)
            ),
            "loading": lambda: open_model(home, str(model)),
        }
    )
    return {
        "num_windows": len(windows),
        "predict_over_passes": (times["predict"] - times["loading"]) / times["passes"],
        "loading_over_passes": times["loading"] / times["passes"],
    }


def engines(folder: Path) -> dict[str, Any]:
    """One window of 512 px through two networks by every engine, over PyTorch at its best."""
    one = dataclasses.replace(LARGE, image_size=512, patch_size=0)
    networks = tuple((build_network(one, seed=seed).eval(), one) for seed in range(2))
    export_onnx(Ensemble(members=networks, runtime=BFLOAT16), folder / "g.onnx", facts={})
    speed = OnnxEnsemble.load(folder / "g.onnx").speed
    measured = {name: Measured(**one) for name, one in speed["measured"].items()}
    graphs = {name: measured[name] for name in ENGINES}
    chosen = fastest(graphs, measured["pytorch-bfloat16"])
    image = np.random.default_rng(0).integers(0, 255, (512, 512), dtype=np.uint8)
    steps: dict[str, Callable[[], object]] = {}
    for name in PYTORCH:
        runtime = Runtime(precision=name.removeprefix("pytorch-"), channels_last=True)
        members = tuple((place(network, runtime), settings) for network, settings in networks)
        ensemble = Ensemble(members=members, runtime=runtime)
        steps[name] = lambda ensemble=ensemble: ensemble.logits(image)
    for name in ENGINES:
        graph = OnnxEnsemble.load(folder / "g.onnx", engine=name)
        steps[name] = lambda graph=graph: graph.logits(image)
    times = cpu_medians(steps)
    best = min(times[name] for name in PYTORCH)
    return {
        "engine_over_pytorch": {name: seconds / best for name, seconds in times.items()},
        "chosen": chosen,
    }


def agreement(folder: Path) -> dict[str, Any]:
    """Scores of trained networks on cases that none has seen, by engine."""
    files = write_phantom(folder / "drawn", num_cases=240, size=96, prevalence=0.5, seed=0)
    import_cases(files.dicom, files.rle, folder / "store")
    store = CaseStore.open(folder / "store")
    plan = make_plan(store, num_folds=3, holdout_fraction=0.3)
    weights = []
    for fold in range(2):
        reports = train_fold(
            SMALL,
            store,
            plan.search_part(),
            fold,
            seed=0,
            runtime=Runtime(),
            directory=folder / f"fold-{fold}",
        )
        weights += [report.result.weights for report in reports if report.result is not None]
    models: dict[str, Any] = {
        name: Ensemble.load(
            weights, runtime=Runtime(precision=name.removeprefix("pytorch-"), channels_last=True)
        )
        for name in PYTORCH
    }
    export_onnx(models[PYTORCH[0]], folder / "trained.onnx", facts={})
    for name in ENGINES:
        models[name] = OnnxEnsemble.load(folder / "trained.onnx", engine=name)
    names = [str(name) for name in plan.holdout]
    each = [(lambda _, image, model=model: model.predict(image)) for model in models.values()]
    tables = score_cases([(one, Rule()) for one in each], store, names, lambda *_: None)
    scores = [summarize(table, Rule()) for table in tables]
    images = [store.image(store.index(name)) for name in names[:20]]
    exact = [models[PYTORCH[0]].probability(image) for image in images]
    return {
        "num_cases": len(names),
        **{
            metric: {name: one[metric] for name, one in zip(models, scores, strict=True)}
            for metric in ("dice", "dice_positive")
        },
        "difference": {
            name: max(
                float(np.abs(model.probability(image) - one).max())
                for image, one in zip(images, exact, strict=True)
            )
            for name, model in models.items()
        },
    }


def main() -> None:
    """Print the figures."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="ptxsweep-") as temporary:
        folder = Path(temporary)
        (folder / "mlflow.db").touch()  # models are given by their folder
        home = Home.from_environment(folder, tracking_uri=f"sqlite:///{folder / 'mlflow.db'}")
        if (real := find_slice()) is not None:
            file = min((real / "dicom").rglob("*.dcm"))
        else:
            files = write_phantom(folder / "one", num_cases=3, size=1024, prevalence=0.5, seed=0)
            file = min(files.dicom.rglob("*.dcm"))
        print(f"machine: {machine()}; file: {'real' if real else 'drawn'}", flush=True)
        found: dict[str, Any] = {"machine": machine(), "real_file": real is not None}
        for part in (lambda: overhead(folder, file, home), lambda: engines(folder)):
            found |= part()
            print(json.dumps(found, indent=1), flush=True)
        found |= agreement(folder)
        print(json.dumps(found))


if __name__ == "__main__":
    main()
