"""The pyfunc model, saved and loaded by the real MLflow."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.metadata
import io
import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import mlflow.pyfunc
import numpy as np
import pandas as pd
import pydicom
import pytest
from PIL import Image

from ptxcore.data.formats.dicom import read_dicom
from ptxcore.data.formats.rle import decode
from ptxcore.errors import CheckpointError, DicomError
from ptxcore.inference import Ensemble
from ptxcore.models import build_network, save_weights
from ptxcore.settings import FoldSettings
from ptxcore.types import Rule, Runtime
from sweep.analysis.detection import CaseRule, Detection
from sweep.errors import UsageError
from sweep.mlflow.model_package import load_ensemble, save_model, usable_runtime, write_ensemble
from sweep.mlflow.model_package._example import input_example
from sweep.segment import predict_files
from sweep.storage.home import Home
from sweep.storage.inputs import find_inputs

SETTINGS = FoldSettings(
    network="unet", channels=4, levels=2, image_size=32, patch_size=32, max_epochs=2
)
#: Untrained networks answer with about 0.01 everywhere.
RULE = Rule(top=0.01, min_area=0.1, bottom=0.009)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("weights")
    folders = [folder / f"fold-{fold}" for fold in range(3)]
    for seed, one in enumerate(folders):
        save_weights(one, build_network(SETTINGS, seed=seed), SETTINGS)
    return folders


@pytest.fixture(scope="module")
def saved(weights: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved") / "model"
    save_model(folder, weights, rule=RULE, runtime=Runtime(), facts={"phantom": True})
    return folder


@pytest.fixture
def image(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(0, 60_000, (40, 50)).astype(np.uint16)


def test_a_dicom_gives_what_the_ensemble_gives(
    saved: Path, weights: list[Path], tmp_path: Path
) -> None:
    example = input_example()
    (tmp_path / "example.dcm").write_bytes(example["dicom"][0])
    pixels = read_dicom(tmp_path / "example.dcm").pixels
    ensemble = Ensemble.load(weights, rule=RULE)
    (found,) = mlflow.pyfunc.load_model(str(saved)).predict(example)
    assert found["probability"].dtype == np.float32
    np.testing.assert_array_equal(found["probability"], ensemble.probability(pixels))
    np.testing.assert_array_equal(found["mask"], ensemble.mask(pixels))
    assert found["case_positive"] is bool(ensemble.mask(pixels).any())


def test_one_network_alone_gives_its_own_mask(
    weights: list[Path], image: np.ndarray, tmp_path: Path
) -> None:
    save_model(tmp_path / "model", weights[:1], rule=RULE, runtime=Runtime())
    model = mlflow.pyfunc.load_model(str(tmp_path / "model"))
    (found,) = model.predict([{"image": image}])
    np.testing.assert_array_equal(found["mask"], Ensemble.load(weights[:1], rule=RULE).mask(image))


def test_arrays_in_every_form_that_mlflow_takes(saved: Path, image: np.ndarray) -> None:
    model = mlflow.pyfunc.load_model(str(saved))
    (expected,) = model.predict(pd.DataFrame({"image": [image]}))
    assert expected["probability"].shape == image.shape
    for given in (
        [{"image": image}, {"image": image}],
        {"image": [image, image]},
        {"image": np.stack([image, image])},
        pd.DataFrame({"image": [image.astype(np.float32), image.tolist()]}),
    ):
        found = model.predict(given)
        assert len(found) == 2
        for one in found:  # resampling rounds other types otherwise
            np.testing.assert_allclose(one["probability"], expected["probability"], atol=1e-6)


def test_rows_may_differ(saved: Path, image: np.ndarray) -> None:
    rows = [{"dicom": input_example()["dicom"][0]}, {"image": image}]
    found = mlflow.pyfunc.load_model(str(saved)).predict(rows)
    assert [one["mask"].shape for one in found] == [(64, 64), image.shape]


def test_signature_example_and_requirements_are_there(saved: Path) -> None:
    model = mlflow.pyfunc.load_model(str(saved))
    signature = model.metadata.signature
    assert signature.inputs.input_names() == ["dicom", "image"]
    names = ["probability", "mask", "mask_rle", "case_positive", "mask_px", "highest"]
    more = ["has_contrast", "caution", "case", "case_detection"]
    assert signature.outputs.input_names() == [*names, *more]
    assert [param.name for param in signature.params] == ["output"]
    pd.testing.assert_frame_equal(model.input_example, input_example())
    lines = (saved / "requirements.txt").read_text(encoding="utf-8").split()
    # No index has this package, and whoever puts something there under its name is not asked.
    own = [line for line in lines if "ptxsweep" in line]
    assert own == [f"wheels/ptxsweep-{importlib.metadata.version('ptxsweep')}-py3-none-any.whl"]
    assert f"  - {own[0]}\n" in (saved / "conda.yaml").read_text(encoding="utf-8")
    assert "ptxsweep" not in (saved / "python_env.yaml").read_text(encoding="utf-8")
    assert not any("+" in line or "://" in line for line in lines)
    assert {"pydicom", "simpleitk", "pyjpegls"} <= {line.partition("==")[0] for line in lines}
    assert model.metadata.metadata == {"phantom": True}


def run(*words: str | Path, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, *map(str, words)], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


OTHER_MACHINE = """
import hashlib, pathlib, sys
site, own, model, scratch = sys.argv[1:]
sys.path[:] = [own, *sys.path, site]
import sweep.mlflow.model_package
from sweep.mlflow.model_package._wheel import write_wheel
assert sweep.mlflow.model_package.__file__.startswith(own), sweep.mlflow.model_package.__file__
ensemble = sweep.mlflow.model_package.load_ensemble(pathlib.Path(model) / "artifacts" / "ensemble")
again = write_wheel(pathlib.Path(scratch)).read_bytes()
print(len(ensemble.members), hashlib.sha256(again).hexdigest())
"""


def test_the_package_travels_with_the_model(saved: Path, tmp_path: Path) -> None:
    """Its requirements can be met from its folder, and what they install loads it."""
    pip = ("-m", "pip", "install", "--no-index", "--no-cache-dir", "--disable-pip-version-check")
    said = run(*pip, "--dry-run", "-r", "requirements.txt", folder=saved)  # the rest is installed
    assert f"Would install ptxsweep-{importlib.metadata.version('ptxsweep')}" in said
    (wheel,) = (saved / "wheels").iterdir()
    run(*pip, "--no-deps", "--target", tmp_path / "own", wheel.relative_to(saved), folder=saved)
    # Neither this checkout nor an editable install of it is seen there.
    site = str(Path(mlflow.__file__).parents[1])
    words = ("-I", "-S", "-c", OTHER_MACHINE, site, tmp_path / "own", saved, tmp_path / "again")
    members, digest = run(*words, folder=tmp_path).split()
    assert members == "3"
    # What was installed from a wheel packs the same one again.
    assert digest == hashlib.sha256(wheel.read_bytes()).hexdigest()


def test_it_predicts_where_only_what_it_requires_is_installed(saved: Path, tmp_path: Path) -> None:
    """Of our own requirements, those that it does not name are not there."""
    lines = (saved / "requirements.txt").read_text(encoding="utf-8").lower().split()
    named = {line.partition("==")[0] for line in lines}
    unneeded = {"monai", "ray", "optuna", "plotly", "albumentations", "cv2", "rich"}
    assert not unneeded & named
    code = (
        "import sys, mlflow.pyfunc\n"
        f"sys.modules.update(dict.fromkeys({sorted(unneeded)}))\n"
        "model = mlflow.pyfunc.load_model(sys.argv[1])\n"
        "(found,) = model.predict(model.input_example)\n"
        "print(found['mask'].shape)\n"
    )
    assert run("-c", code, saved, folder=tmp_path).split() == ["(64,", "64)"]


def test_where_the_package_is_missing_it_says_what_to_do(saved: Path, tmp_path: Path) -> None:
    code = (
        "import sys, mlflow.pyfunc\n"
        "sys.modules['sweep'] = None\n"  # as where nothing of that name is installed
        "mlflow.pyfunc.load_model(sys.argv[1])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(saved)], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode
    assert "in the model's folder run `pip install -r requirements.txt`" in done.stderr


def test_nothing_in_a_model_is_pickled(saved: Path) -> None:
    files = [path for path in saved.rglob("*") if path.is_file()]
    # Python's own cache, written where the model's code was imported from.
    kinds = {path.suffix for path in files if path.parent.name != "__pycache__"}
    assert kinds <= {"", ".json", ".py", ".safetensors", ".txt", ".whl", ".yaml"}
    (wheel,) = (saved / "wheels").iterdir()
    held = {Path(name).suffix for name in zipfile.ZipFile(wheel).namelist()}
    assert held <= {"", ".css", ".js", ".json", ".py", ".txt", ".typed", ".yaml"}
    text = (saved / "MLmodel").read_text(encoding="utf-8")
    assert "loader_module: mlflow.pyfunc.loaders.code_model" in text
    assert "python_model:" not in text  # where a pickled model would be named
    assert str(Path(__file__).parent) not in text


def test_a_fresh_process_predicts_without_a_network(saved: Path) -> None:
    """Every look-up of a host name fails there, as on a machine without a network."""
    code = (
        "import socket, sys\n"
        "def refuse(*arguments, **options): raise OSError('no network')\n"
        "socket.getaddrinfo = refuse\n"
        "import mlflow.pyfunc\n"
        "model = mlflow.pyfunc.load_model(sys.argv[1])\n"
        "(one,) = model.predict(model.input_example)\n"
        "print(one['mask'].shape)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(saved)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "(64, 64)"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"dicom": b"not DICOM"}, r"row-0\.dcm: preamble"),
        ({"image": np.zeros((2, 3, 4))}, r"row 0: image: found float64 of shape \(2, 3, 4\)"),
        ({"image": None}, "row 0: found neither, expected either 'dicom'"),
        ({"image": [[1, 2], [3]]}, "row 0: image: found rows of several lengths"),
        ({"image": [["a", "b"]]}, "row 0: image: found <U1 of shape"),
        ({"picture": [[1, 2]]}, "rows: found none with 'dicom' or 'image'"),
    ],
)
def test_what_cannot_be_segmented_is_refused(
    saved: Path, row: dict[str, object], message: str
) -> None:
    with pytest.raises(DicomError, match=message):
        mlflow.pyfunc.load_model(str(saved)).predict([row])


def example_with(**elements: str) -> bytes:
    dataset = pydicom.dcmread(io.BytesIO(input_example()["dicom"][0]))
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    file = io.BytesIO()
    dataset.save_as(file)
    return file.getvalue()


@pytest.mark.parametrize(
    ("elements", "message"),
    [
        ({"Modality": "CT"}, r"row 0: Modality: found CT, expected a projection .* as 'image'"),
        ({"Modality": "MG"}, r"row 0: Modality: found MG, expected a projection radiograph"),
        ({"ViewPosition": "LL"}, r"row 0: ViewPosition: found LL, expected a frontal view"),
        ({"BitsAllocated": 32}, r"row-0\.dcm: BitsAllocated: found 32, expected 8 or 16"),
    ],
)
def test_what_is_no_frontal_radiograph_is_refused(
    saved: Path, elements: dict[str, str], message: str
) -> None:
    with pytest.raises(DicomError, match=message):
        mlflow.pyfunc.load_model(str(saved)).predict([{"dicom": example_with(**elements)}])


def test_an_answer_of_run_lengths_holds_the_same_mask(saved: Path, image: np.ndarray) -> None:
    model = mlflow.pyfunc.load_model(str(saved))
    (whole,) = model.predict([{"image": image}])
    (short,) = model.predict([{"image": image}], params={"output": "rle"})
    np.testing.assert_array_equal(decode([short["mask_rle"]], *image.shape), whole["mask"])
    assert not {"mask", "probability"} & {*short}
    assert (short["mask_px"], short["highest"]) == (whole["mask"].sum(), whole["probability"].max())
    with pytest.raises(DicomError, match="output: found 'png', expected arrays or rle"):
        model.predict([{"image": image}], params={"output": "png"})


def test_what_is_doubtful_stands_in_the_answer(saved: Path) -> None:
    """A client of a server sees no log."""
    model = mlflow.pyfunc.load_model(str(saved))
    (knee,) = model.predict([{"dicom": example_with(BodyPartExamined="KNEE")}])
    assert "names another body part than the chest (KNEE 1); these radiographs" in knee["caution"]
    (blank,) = model.predict([{"image": np.zeros((40, 50), dtype=np.uint8)}])
    assert blank["has_contrast"] is False
    assert "no contrast in the picture, so nothing can be said of it" in blank["caution"]


def test_the_case_is_called_as_predict_calls_it(
    saved: Path, weights: list[Path], tmp_path: Path
) -> None:
    rule = CaseRule(min_area=0.002, slope=0.5, intercept=2.0, thresholds=(-5.0, -4.5, 3.0))
    known = Detection(
        trial=3,
        area=(0.8, 0.7, 0.9),
        called=(),
        num_positive=40,
        num_healthy=60,
        rule=rule,
    ).to_stored()
    facts = {"case_detection": known}
    save_model(tmp_path / "model", weights, rule=RULE, runtime=Runtime(), facts=facts)
    (tmp_path / "example.dcm").write_bytes(input_example()["dicom"][0])
    home, out = home_in(tmp_path / "home"), tmp_path / "out"
    (one,) = predict_files(home, str(tmp_path / "model"), [tmp_path / "example.dcm"], out)
    (found,) = mlflow.pyfunc.load_model(str(tmp_path / "model")).predict(input_example())
    assert one.case is not None
    assert found["case"] == dataclasses.asdict(one.case)
    assert len({*found["case"]["called"].values()}) == 2  # some call it, some do not
    assert found["case_detection"] == json.loads(json.dumps(known))
    (unknown,) = mlflow.pyfunc.load_model(str(saved)).predict(input_example())
    assert (unknown["case"], unknown["case_detection"]) == (None, None)


def test_two_images_in_one_row_are_refused(saved: Path, image: np.ndarray) -> None:
    row = {"image": image, "dicom": input_example()["dicom"][0]}
    with pytest.raises(DicomError, match=r"row 0: found \['dicom', 'image'\]"):
        mlflow.pyfunc.load_model(str(saved)).predict([row])


def test_text_is_no_dicom(saved: Path) -> None:
    with pytest.raises(DicomError, match="row 0: dicom: found str, expected the bytes"):
        mlflow.pyfunc.load_model(str(saved)).predict([{"dicom": "a path"}])


@pytest.mark.parametrize("name", ["fold-1/model.safetensors", "fold-1/model.json"])
def test_exchanged_files_are_refused(saved: Path, tmp_path: Path, name: str) -> None:
    """Another network's file is whole and hashes to what its own neighbour says."""
    model = tmp_path / "model"
    shutil.copytree(saved, model)
    ensemble = model / "artifacts" / "ensemble"
    for suffix in ("model.safetensors", "model.json"):
        if name.endswith(suffix):
            shutil.copy(ensemble / "fold-2" / suffix, ensemble / name)
    with pytest.raises(CheckpointError, match="damaged or was exchanged"):
        mlflow.pyfunc.load_model(str(model))


def test_a_file_that_is_gone(weights: list[Path], tmp_path: Path) -> None:
    folder = tmp_path / "ensemble"
    write_ensemble(folder, weights, rule=RULE, runtime=Runtime())
    (folder / "fold-0" / "model.json").unlink()
    with pytest.raises(CheckpointError, match=r"fold-0/model\.json: no such file"):
        load_ensemble(folder)
    with pytest.raises(CheckpointError, match=r"ensemble\.json: no such file"):
        load_ensemble(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 2}, "format: found 2, expected 1"),
        ({"rule": {"top": 0.5, "middle": 1}}, "not a description of an ensemble"),
        ({"runtime": {"precision": "bf16"}}, "not a description .*precision: found 'bf16'"),
        ({"sha256": {}}, "fold-0: found no SHA-256"),
        ({"sha256": None}, "not a description of an ensemble"),
    ],
)
def test_a_damaged_description_is_refused(
    weights: list[Path], tmp_path: Path, change: dict[str, object], message: str
) -> None:
    folder = tmp_path / "ensemble"
    write_ensemble(folder, weights, rule=RULE, runtime=Runtime())
    path = folder / "ensemble.json"
    text = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**text, **change}), encoding="utf-8")
    with pytest.raises(CheckpointError, match=message):
        load_ensemble(folder)


@pytest.mark.parametrize("name", ["../other/fold-0", "/absolute", "fold-link"])
def test_names_that_leave_the_folder_are_refused(
    weights: list[Path], tmp_path: Path, name: str
) -> None:
    """The files they lead to are whole, and the description has the right SHA-256 of each."""
    folder, other = tmp_path / "ensemble", tmp_path / "other"
    for one in (folder, other):
        write_ensemble(one, weights, rule=RULE, runtime=Runtime())
    (folder / "fold-link").symlink_to(other / "fold-0")
    name = str(other / "fold-0") if name == "/absolute" else name
    path = folder / "ensemble.json"
    text = json.loads(path.read_text(encoding="utf-8"))
    kinds = ("model.json", "model.safetensors")
    outside = {f"{name}/{kind}": text["sha256"][f"fold-0/{kind}"] for kind in kinds}
    for change in ({"folds": [name]}, {"sha256": {**text["sha256"], **outside}}):
        path.write_text(json.dumps({**text, **change}), encoding="utf-8")
        with pytest.raises(CheckpointError, match=r"leads out of the folder, expected one inside"):
            load_ensemble(folder)


def test_the_runtime_gives_way_where_there_is_no_gpu() -> None:
    wanted = Runtime(device="cuda", precision="bfloat16", channels_last=True, num_threads=2)
    import torch

    expected = wanted if torch.cuda.is_available() else Runtime(num_threads=2)
    assert usable_runtime(wanted) == expected
    assert usable_runtime(Runtime(precision="bfloat16")) == Runtime(precision="bfloat16")


def test_the_example_is_of_nobody() -> None:
    import pydicom

    dataset = pydicom.dcmread(io.BytesIO(input_example()["dicom"][0]))
    assert "PatientName" not in dataset
    assert "PatientID" not in dataset


def home_in(folder: Path) -> Home:
    folder.mkdir()
    (folder / "mlflow.db").touch()  # models are given by their path here, so nothing is in it
    return Home.from_environment(folder, tracking_uri=f"sqlite:///{folder / 'mlflow.db'}")


def test_attention_is_drawn_beside_the_mask(tmp_path: Path) -> None:
    settings = dataclasses.replace(SETTINGS, network="attention_unet", levels=4, patch_size=0)
    save_weights(tmp_path / "weights", build_network(settings, seed=0), settings)
    save_model(tmp_path / "model", [tmp_path / "weights"], rule=RULE, runtime=Runtime(), facts={})
    file = tmp_path / "one.dcm"
    file.write_bytes(input_example()["dicom"][0])
    home, uri, gates = home_in(tmp_path / "home"), str(tmp_path / "model"), tmp_path / "gates"
    (plain,) = predict_files(home, uri, find_inputs([file]), tmp_path / "out")
    (drawn,) = predict_files(home, uri, find_inputs([file]), tmp_path / "out", attention=gates)
    assert plain.attention is None
    assert drawn == dataclasses.replace(plain, attention=gates / "one.attention.png")
    assert [path.name for path in gates.iterdir()] == ["one.attention.png"]
    with Image.open(gates / "one.attention.png") as sheet:
        assert sheet.format == "PNG"
        assert sheet.width > 2 * sheet.height  # the image and two gates


def test_attention_of_networks_without_gates_is_refused(saved: Path, tmp_path: Path) -> None:
    file = tmp_path / "one.dcm"
    file.write_bytes(input_example()["dicom"][0])
    with pytest.raises(UsageError, match="--attention: found no networks with attention gates"):
        predict_files(
            home_in(tmp_path / "home"),
            str(saved),
            find_inputs([file]),
            tmp_path / "out",
            attention=tmp_path / "gates",
        )
    assert not (tmp_path / "out").exists()
