"""A champion as a MONAI bundle, and what its `configs/inference.json` is made of.

The bundle holds our own weights files and not a `model.pt`: they are no pickle, and the network
compares them with their digests. MONAI's `ckpt_export` would take a checkpoint that it does not
understand without a word and export random weights; here nothing is left for it to load.
What runs in a bundle needs of this package the core alone, without Ray, Optuna or MLflow.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
import tempfile
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ptxcore.data.formats.contrast import has_contrast
from ptxcore.data.formats.dicom import read_dicom
from ptxcore.data.formats.files import base_name, list_files
from ptxcore.data.formats.image_range import unlike_training
from ptxcore.data.formats.subject import refuse_foreign
from ptxcore.errors import CheckpointError, DicomError, SettingsError
from ptxcore.export.pictures import write_mask, write_probability
from ptxcore.export.trial_image import trial_image
from ptxcore.inference import Ensemble, mean_logits, on_grid, predict_grid, prepared_for, sigmoid
from ptxcore.inference.ensemble_folder import load_ensemble, load_facts, save_ensemble
from ptxcore.metrics import logits_to_mask

#: Where the networks lie in a bundle.
NETWORKS = "models/ensemble"
#: MONAI's own schema of the file that describes a bundle; `verify_metadata` fetches it.
SCHEMA = (
    "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/0.8.1/"
    "meta_schema_20240725.json"
)
_HERE = __name__


class EnsembleNetwork(nn.Module):
    """The networks of a bundle, on whole images: windows slide inside."""

    def __init__(self, folder: str | Path) -> None:
        """Load them.

        Args:
            folder: `models/ensemble` of the bundle.

        Raises:
            CheckpointError: A file is missing, damaged or was exchanged.
        """
        super().__init__()
        ensemble = load_ensemble(Path(folder))
        self._settings = ensemble.members[0][1]
        self._runtime = ensemble.runtime
        self.networks = nn.ModuleList(network for network, _ in ensemble.members)

    def forward(self, images: Tensor) -> Tensor:
        """Logits of each network, float32 of shape (B, K, h, w).

        Args:
            images: Grey values, shape (B, 1, h, w), on the networks' grid.
        """
        runtime = dataclasses.replace(self._runtime, device=images.device.type)
        return torch.cat(
            [
                torch.cat(
                    [
                        predict_grid(network, image.cpu().numpy(), self._settings, runtime)
                        for network in self.networks
                    ],
                    dim=1,
                )
                for image in images[:, 0]
            ]
        )


class ReadRadiograph:
    """A transform of MONAI: a DICOM file becomes an image on the networks' grid."""

    def __init__(self, folder: str | Path) -> None:
        """Look up which grid that is.

        Args:
            folder: `models/ensemble` of the bundle.
        """
        self._settings = load_ensemble(Path(folder)).members[0][1]
        self._facts = load_facts(Path(folder))

    def __call__(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Read one file.

        Args:
            data: "path" of the file.

        Returns:
            The same with "image", float32 of shape (1, h, w); "height" and "width" of the file's
            own grid; "has_contrast", whether it shows anything.

        Raises:
            DicomError: It cannot be read, is no projection radiograph, or too far from those that
                the model was trained on.
        """
        path = Path(data["path"])
        radiograph = read_dicom(path)
        refuse_foreign(path.name, radiograph.subject, "leave the file out")
        if (problem := unlike_training(self._facts, radiograph)) is not None:
            raise DicomError(f"{path.name}: {problem}; leave the file out")
        pixels = radiograph.pixels
        prepared = prepared_for(pixels, self._settings).astype(np.float32)
        return {
            **data,
            "image": torch.from_numpy(prepared)[None],
            "height": pixels.shape[0],
            "width": pixels.shape[1],
            "has_contrast": has_contrast(pixels),
        }


class WriteMask:
    """A transform of MONAI: logits become the map and the mask that `predict` writes."""

    def __init__(self, folder: str | Path, out: str | Path) -> None:
        """Look up the rule.

        Args:
            folder: `models/ensemble` of the bundle.
            out: Folder for the pictures; made if absent.
        """
        self._rule = load_ensemble(Path(folder)).rule
        self._out = Path(out)

    def __call__(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Write one image's.

        Args:
            data: "pred", logits of shape (K, h, w), and what `ReadRadiograph` gave.
        """
        shape = (int(data["height"]), int(data["width"]))
        logits = mean_logits(
            [on_grid(one[None, None], shape) for one in torch.as_tensor(data["pred"]).float()]
        )
        probability, mask = sigmoid(logits), logits_to_mask(logits, self._rule)
        name = base_name(Path(data["path"]))
        self._out.mkdir(parents=True, exist_ok=True)
        write_probability(self._out / f"{name}.probability.png", probability)
        write_mask(self._out / f"{name}.mask.png", mask)
        return {**data, "probability": probability, "mask": mask}


def find_radiographs(folder: str | Path) -> list[dict[str, str]]:
    """DICOM files in a folder, at any depth, as MONAI's data sets want them.

    Args:
        folder: An existing one.
    """
    return [{"path": str(path)} for path in list_files(Path(folder)).dicom]


def write_bundle(ensemble: Ensemble, folder: Path, *, facts: Mapping[str, Any]) -> float:
    """Write a bundle and compare it with the ensemble.

    Args:
        ensemble: Networks with equal settings, on the CPU.
        folder: Must not exist.
        facts: What the model says of its origin; plain JSON values.

    Returns:
        The largest difference of mean logits on a trial image.

    Raises:
        SettingsError: The networks' settings differ, the rule asks their case head, or the folder
            is there.
        CheckpointError: The bundle does not give what the networks give; nothing is written.
    """
    if any(settings != ensemble.members[0][1] for _, settings in ensemble.members):
        raise SettingsError("members: found networks of several settings, expected one for all")
    if ensemble.rule.case_threshold is not None:
        raise SettingsError(
            "case_threshold: found a rule that asks the networks' case head, which a bundle does "
            "not carry; expected a rule of pixels alone (an ONNX graph carries the case head)"
        )
    if folder.exists():
        raise SettingsError(f"{folder}: found it there already, expected a new folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        save_ensemble(draft / NETWORKS, ensemble, facts=facts)
        for name, content in (
            ("metadata", _metadata(ensemble, facts)),
            ("inference", _inference()),
        ):
            path = draft / "configs" / f"{name}.json"
            path.parent.mkdir(exist_ok=True)
            path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        (draft / "docs").mkdir()
        readme = _README + _OF_CASE_HEADS * ensemble.members[0][1].case_head
        (draft / "docs" / "README.md").write_text(readme, encoding="utf-8")
        difference = _difference(ensemble, draft)
        if not difference <= 1e-4:
            raise CheckpointError(
                f"{folder.name}: found logits that differ by {difference:.2g} from those of the "
                "networks, expected at most 0.0001; nothing was written"
            )
        draft.chmod(0o755)
        draft.rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return difference


def _difference(ensemble: Ensemble, folder: Path) -> float:
    image = trial_image()
    network = EnsembleNetwork(folder / NETWORKS)
    prepared = prepared_for(image, ensemble.members[0][1]).astype(np.float32)
    logits = network(torch.from_numpy(prepared)[None, None])[0]
    found = mean_logits([on_grid(one[None, None], image.shape) for one in logits])
    return float(np.abs(ensemble.logits(image) - found).max())


def _inference() -> dict[str, Any]:
    networks = f"$@bundle_root + '/{NETWORKS}'"
    return {
        "imports": ["$import torch"],
        "bundle_root": ".",
        "device": "$torch.device('cuda' if torch.cuda.is_available() else 'cpu')",
        "dataset_dir": "$@bundle_root + '/input'",
        "output_dir": "$@bundle_root + '/eval'",
        "network_def": {"_target_": f"{_HERE}.EnsembleNetwork", "folder": networks},
        "network": "$@network_def.to(@device)",
        "preprocessing": {"_target_": f"{_HERE}.ReadRadiograph", "folder": networks},
        "dataset": {
            "_target_": "Dataset",
            "data": {"_target_": f"{_HERE}.find_radiographs", "folder": "@dataset_dir"},
            "transform": "@preprocessing",
        },
        "dataloader": {"_target_": "DataLoader", "dataset": "@dataset", "batch_size": 1},
        "inferer": {"_target_": "SimpleInferer"},
        "postprocessing": {
            "_target_": f"{_HERE}.WriteMask",
            "folder": networks,
            "out": "@output_dir",
        },
        "evaluator": {
            "_target_": "SupervisedEvaluator",
            "device": "@device",
            "val_data_loader": "@dataloader",
            "network": "@network",
            "inferer": "@inferer",
            "postprocessing": "@postprocessing",
        },
        "run": ["$@evaluator.run()"],
    }


def _metadata(ensemble: Ensemble, facts: Mapping[str, Any]) -> dict[str, Any]:
    def picture(**more: Any) -> dict[str, Any]:
        anywhere = {"type": "image", "modality": "CR", "spatial_shape": ["*", "*"]}
        return {**anywhere, "dtype": "float32", "is_patch_data": False, **more}

    num_networks = len(ensemble.members)
    drawn = " Trained on drawings: its scores say nothing about patients." * bool(
        facts.get("phantom")
    )
    packages = ("pydicom", "pillow", "safetensors", "scipy", "simpleitk", "pyjpegls")
    return {
        "schema": SCHEMA,
        "version": "0.1.0",
        "changelog": {"0.1.0": "written by ptxsweep"},
        "monai_version": version("monai"),
        "pytorch_version": version("torch").partition("+")[0],
        "numpy_version": version("numpy"),
        "required_packages_version": {
            **{name: version(name) for name in packages},
            "pytorch-ignite": "0.5.5",
        },
        "name": "Pneumothorax segmentation",
        "task": "Pneumothorax segmentation on chest radiographs",
        "description": (
            f"An ensemble of {num_networks} networks that segments pneumothorax on frontal chest "
            f"radiographs; masks: {ensemble.rule.words}.{drawn}"
        ),
        "intended_use": "Research, no diagnosis and no other clinical use",
        "authors": "See docs/README.md",
        "copyright": "See docs/README.md",
        "data_type": "DICOM",
        "ptxsweep": dict(facts),
        "network_data_format": {
            "inputs": {
                "image": picture(
                    format="magnitude",
                    num_channels=1,
                    value_range=[0, 65535],
                    channel_def={"0": "grey values, bright = dense"},
                )
            },
            "outputs": {
                "pred": picture(
                    format="labels",
                    num_channels=num_networks,
                    value_range=[],
                    channel_def={str(k): f"logits of network {k}" for k in range(num_networks)},
                )
            },
        },
    }


_README = """# Pneumothorax segmentation

Written by ptxsweep (Apache-2.0). For research use only.

    pip install --no-deps wheels/*.whl
    pip install "monai[fire,ignite]" pydicom pillow safetensors scipy simpleitk pyjpegls
    python -m monai.bundle run --config_file configs/inference.json \\
        --dataset_dir FOLDER --output_dir OUT

FOLDER holds DICOM files of frontal chest radiographs at any depth; OUT gets a probability map (16
bit, 65535 is a probability of 1) and a mask for each. Other modalities and lateral views are
refused. `network_def` gives the logits of each network on the grid of the networks, windows and
mirrored passes included; reading, resizing and the rule that makes the mask are `preprocessing`
and `postprocessing` in configs/inference.json.

The weights are safetensors files with digests. There is no `model.pt` and `ckpt_export` has nothing
to do: `network_def` loads them itself, and refuses what was exchanged.
"""
_OF_CASE_HEADS = """
The networks also say of an image as a whole whether it shows anything (their case heads). A bundle
gives masks alone; `ptxsweep predict` and the ONNX graph say both.
"""
