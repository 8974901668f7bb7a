"""A champion as one ONNX file: the same logits, masks and origin."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import onnx
import pydicom
import pytest
from tiny_dicom import write_dicom
from tiny_store import drawn_store

from ptxcore.errors import CheckpointError, SettingsError
from ptxcore.export.graph_engines import PYTORCH, Measured, fastest, installed, machine
from ptxcore.export.onnx_graph import KEY, TOLERANCE, OnnxEnsemble, export_onnx
from ptxcore.export.trial_image import trial_image
from ptxcore.inference import Ensemble
from ptxcore.models import build_network
from ptxcore.settings import FoldSettings
from ptxcore.types import Rule, Runtime
from sweep.cli import main
from sweep.errors import UsageError
from sweep.evaluate import evaluate_model
from sweep.export_model import export_model
from sweep.mlflow.graph_cache import WORTH_IMAGES, fastest_of, with_engine
from sweep.mlflow.open_model import open_model
from sweep.promotion.gate import Gate
from sweep.promotion.promote import promote
from sweep.segment import predict_files
from sweep.storage.home import Home

URI = "models:/ptxsweep-phantom-average_precision@champion"
#: Windows of several sizes with an overlap, a mirrored pass, and all channels a network can have.
SETTINGS = FoldSettings(
    network="attention_unet",
    channels=4,
    levels=3,
    image_size=64,
    patch_size=32,
    tta=True,
    position_channels=True,
    context_factor=2,
)


@pytest.fixture(scope="module")
def networks() -> Ensemble:
    members = tuple((build_network(SETTINGS, seed=seed).eval(), SETTINGS) for seed in range(2))
    return Ensemble(members=members, rule=Rule(top=0.02, bottom=0.01))


@pytest.fixture(scope="module")
def graph(networks: Ensemble, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("graph") / "model.onnx"
    assert export_onnx(networks, path, facts={"sweep": "drawn"}) < 1e-4
    return path


@pytest.mark.parametrize("shape", [(64, 64), (40, 90), (300, 217), (17, 64)])
def test_logits_are_those_of_the_networks(
    networks: Ensemble, graph: Path, shape: tuple[int, int], rng: np.random.Generator
) -> None:
    # Named: the fastest, which depends on what else the machine does, may be one in bfloat16.
    opened = OnnxEnsemble.load(graph, engine="onnxruntime")
    image = rng.integers(0, 4000, shape).astype(np.uint16)
    np.testing.assert_allclose(opened.logits(image), networks.logits(image), atol=1e-4)
    np.testing.assert_allclose(opened.probability(image), networks.probability(image), atol=1e-5)
    assert (opened.rule, opened.facts) == (networks.rule, {"sweep": "drawn"})


def test_case_heads_go_with_the_graph(tmp_path: Path, rng: np.random.Generator) -> None:
    settings = dataclasses.replace(SETTINGS, case_head=True, context_factor=0)
    members = tuple((build_network(settings, seed=seed).eval(), settings) for seed in range(2))
    ensemble, path = Ensemble(members=members), tmp_path / "model.onnx"
    assert export_onnx(ensemble, path, facts={}) < 1e-4
    outputs = [one.name for one in onnx.load(str(path)).graph.output]
    assert outputs == ["logits", "case_logits"]
    image = rng.integers(0, 4000, (70, 50)).astype(np.uint16)
    mask, case = ensemble.predict(image)
    assert case is not None
    for engine in ("onnxruntime", "openvino"):
        found = OnnxEnsemble.load(path, engine=engine).predict(image)
        assert found.case == pytest.approx(case, abs=1e-4)
        np.testing.assert_allclose(found.mask, mask, atol=1e-4)


def test_a_pretrained_encoder_goes_with_the_graph(tmp_path: Path, rng: np.random.Generator) -> None:
    values = {"encoder": "efficientnet_lite0", "context_factor": 0, "image_size": 64}
    settings = dataclasses.replace(SETTINGS, **values)
    ensemble = Ensemble(members=((build_network(settings, seed=0).eval(), settings),))
    path = tmp_path / "model.onnx"
    export_onnx(ensemble, path, facts={})
    image = rng.integers(0, 4000, (70, 50)).astype(np.uint16)
    expected = ensemble.probability(image)
    for engine in ("onnxruntime", "openvino"):
        found = OnnxEnsemble.load(path, engine=engine).probability(image)
        np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino", "openvino-bfloat16"])
def test_engines_give_what_the_networks_give(
    networks: Ensemble, graph: Path, engine: str, rng: np.random.Generator
) -> None:
    opened = OnnxEnsemble.load(graph, engine=engine)
    assert opened.engine == engine
    exact = not engine.endswith("bfloat16")
    if not exact:  # as in PyTorch
        runtime = Runtime(precision="bfloat16")
        networks = dataclasses.replace(networks, runtime=runtime)
    for shape in ((40, 90), (64, 64), (300, 217)):
        image = rng.integers(0, 4000, shape).astype(np.uint16)
        found, expected = opened.probability(image), networks.probability(image)
        np.testing.assert_allclose(found, expected, atol=1e-5 if exact else 1e-3)


def test_the_fastest_that_gives_the_same_is_taken() -> None:
    measured = {
        "pytorch-float32": Measured(seconds=2, difference=0),
        "pytorch-bfloat16": Measured(seconds=1, difference=0.01),
        "openvino": Measured(seconds=1.5, difference=1e-6),
        "openvino-bfloat16": Measured(seconds=0.5, difference=0.012),
    }
    assert fastest(measured, measured["pytorch-float32"]) == "openvino"
    assert fastest(measured, measured["pytorch-bfloat16"]) == "openvino-bfloat16"


def test_the_choice_stands_in_the_file_and_holds_on_its_machine(graph: Path, home: Home) -> None:
    speed = OnnxEnsemble.load(graph).speed
    assert {*speed["measured"]} == {*PYTORCH, *installed()}
    assert speed["machine"] == machine()
    _, facts = open_model(home, str(graph))
    assert facts["engine"]["name"] == speed["fastest_graph"]
    assert facts["engine"]["why"].startswith("the fastest of graphs here, ")
    other = with_speed(graph, machine="another")
    _, facts = open_model(home, str(other))
    why = "not measured on this machine, which export-model does here"
    assert (facts["engine"]["name"], facts["engine"]["why"]) == ("onnxruntime", why)
    _, facts = open_model(home, str(other), "openvino")
    assert (facts["engine"]["name"], facts["engine"]["why"]) == ("openvino", "as asked for")
    _, facts = open_model(home, str(with_speed(graph)))  # of an earlier version
    assert facts["engine"]["name"] == "onnxruntime"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    folder = tmp_path_factory.mktemp("home")
    return Home.from_environment(folder, tracking_uri=f"sqlite:///{folder / 'mlflow.db'}")


def with_speed(graph: Path, **changes: str) -> Path:
    """A copy of a graph whose measurement has changes, or without one."""
    model = onnx.load(graph)
    about = json.loads({prop.key: prop.value for prop in model.metadata_props}[KEY])
    speed = about.pop("speed")
    if changes:
        about["speed"] = {**speed, **changes}
    onnx.helper.set_model_props(model, {KEY: json.dumps(about)})
    path = graph.parent.parent / "changed.onnx"
    onnx.save(model, path)
    return path


def test_engines_of_another_kind_are_refused(graph: Path, home: Home, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"found pytorch for .*, expected onnxruntime, openvino"):
        open_model(home, str(graph), "pytorch")


def test_a_graph_of_networks_is_made_once_and_says_what_it_is(
    networks: Ensemble, home: Home, rng: np.random.Generator
) -> None:
    facts = {"engine": {"name": "pytorch-float32", "version": "1", "why": "as scored"}}
    made: list[str] = []

    def opened(engine: str, num_images: int) -> tuple[Ensemble | OnnxEnsemble, dict[str, str]]:
        model, said = with_engine(
            home, networks, facts, engine, num_images, lambda: made.append(engine)
        )
        return model, said["engine"]

    model, said = opened("auto", WORTH_IMAGES - 1)
    assert model is networks
    assert said["why"].endswith("a faster engine is looked for from 20 images on, or by --engine")
    assert opened("pytorch", 99)[0] is networks
    model, said = opened("auto", WORTH_IMAGES)
    assert said["name"] in ("pytorch-float32", "onnxruntime", "openvino")
    assert "the fastest here" in said["why"]
    assert opened("auto", 1)[1] == said  # it is there by now
    image = rng.integers(0, 4000, (40, 90)).astype(np.uint16)
    for engine in ("onnxruntime", "openvino", "openvino-bfloat16"):
        graph, said = opened(engine, 1)
        assert (said["name"], said["why"][:12]) == (engine, "as asked for")
        atol = 0.05 if engine.endswith("bfloat16") else 1e-5
        np.testing.assert_allclose(graph.probability(image), networks.probability(image), atol=atol)
    assert made == ["auto"]
    (path,) = (home.folder / "graphs").glob("*.onnx")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    opened("onnxruntime", 1)
    assert made == ["auto", "onnxruntime"]  # nothing damaged is used


def test_what_was_scored_in_bfloat16_stays_so_unless_asked_otherwise(
    networks: Ensemble, home: Home
) -> None:
    rounded = dataclasses.replace(networks, runtime=Runtime(precision="bfloat16"))
    facts = {"engine": {"name": "pytorch-bfloat16", "version": "1", "why": "as scored"}}
    model, said = with_engine(home, rounded, facts, "auto", 99)
    assert model is rounded
    assert said["engine"]["why"].endswith("gives the same probabilities in that precision")


def test_the_fastest_of_those_that_move_nothing() -> None:
    measured = {
        "pytorch-float32": {"seconds": 2.0, "difference": 0.0},
        "pytorch-bfloat16": {"seconds": 0.5, "difference": 0.0001},
        "onnxruntime": {"seconds": 0.9, "difference": 0.002},
        "openvino": {"seconds": 1.5, "difference": 1e-6},
        "openvino-bfloat16": {"seconds": 0.4, "difference": 0.0001},
    }
    name, why = fastest_of({"measured": measured})
    assert name == "openvino"
    assert why.startswith("the fastest here, 0.75 of the time of pytorch-float32; probabilities")
    measured["openvino"]["seconds"] = 3.0
    name, why = fastest_of({"measured": measured})
    assert (name, why) == ("pytorch-float32", "which is the fastest here")


def test_networks_scored_in_bfloat16_have_a_graph_too(tmp_path: Path) -> None:
    """Their logits differ from float32 by more than a graph may: as much as bfloat16 has."""
    network = build_network(SETTINGS, seed=0).eval()
    network.output.weight.data *= 50
    runtime = Runtime(precision="bfloat16", channels_last=True)
    ensemble = Ensemble(members=((network, SETTINGS),), runtime=runtime)
    image = trial_image()
    exact = dataclasses.replace(ensemble, runtime=Runtime())
    assert np.abs(ensemble.logits(image) - exact.logits(image)).max() > TOLERANCE
    assert export_onnx(ensemble, tmp_path / "model.onnx", facts={}) < 1e-3


def test_openvino_reports_nothing(graph: Path, tmp_path: Path) -> None:
    """Imported as it comes it leaves a number in the user's home and sends what it does."""
    code = (
        "import sys, pathlib\n"
        "from ptxcore.export.graph_engines import start\n"
        "start('openvino', pathlib.Path(sys.argv[1]), 1)\n"
    )
    environment = {name: value for name, value in os.environ.items() if name != "CI"}
    environment |= {"HOME": str(tmp_path), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    subprocess.run([sys.executable, "-c", code, str(graph)], env=environment, check=True)
    assert not list(tmp_path.rglob("*openvino*"))


def test_one_valid_file_whose_metadata_tells_how_to_use_it(graph: Path) -> None:
    assert [path.name for path in graph.parent.iterdir()] == ["model.onnx"]
    model = onnx.load(graph)
    onnx.checker.check_model(model, full_check=True)
    about = json.loads({prop.key: prop.value for prop in model.metadata_props}[KEY])
    assert about["settings"]["overlap"] == SETTINGS.overlap
    assert (about["multiple"], about["num_networks"]) == (4, 2)
    (windows,), (logits,) = model.graph.input, model.graph.output
    dims = [dim.dim_value for dim in windows.type.tensor_type.shape.dim]
    assert dims == [0, SETTINGS.num_channels, 0, 0]  # 0: any
    assert logits.type.tensor_type.shape.dim[1].dim_value == 2


def test_networks_of_several_settings_are_refused(networks: Ensemble, tmp_path: Path) -> None:
    other = FoldSettings(network="unet", channels=4, levels=3, image_size=64, patch_size=32)
    mixed = Ensemble(members=(*networks.members, (build_network(other, seed=0).eval(), other)))
    with pytest.raises(SettingsError, match="found networks of several settings, expected one"):
        export_onnx(mixed, tmp_path / "model.onnx", facts={})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", [b"", b"no graph", None])
def test_graphs_of_others_are_refused(content: bytes | None, graph: Path, tmp_path: Path) -> None:
    path = tmp_path / "other.onnx"
    if content is None:  # a whole graph of another program
        model = onnx.load(graph)
        del model.metadata_props[:]
        onnx.save(model, path)
    else:
        path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"other.onnx: found no graph that ptxsweep wrote"):
        OnnxEnsemble.load(path)


def test_from_champion_to_masks(
    tiny_home: Home, tmp_path: Path, capfd: pytest.CaptureFixture[str], rng: np.random.Generator
) -> None:
    promote(tiny_home, "tiny", gate=Gate(max_loss=1.0))
    path = tmp_path / "champion.onnx"
    words = ["export-model", URI, "--out", str(path), "--home", str(tiny_home.folder)]
    assert main([*words, "--json"]) == 0
    printed = json.loads(capfd.readouterr().out)
    assert printed["num_networks"] == 2
    assert printed["difference"] < 1e-3

    store = drawn_store(tmp_path / "store", num_cases=12, num_positive=6, side_px=32, first=99)
    before = evaluate_model(tiny_home, URI, store)
    after = evaluate_model(tiny_home, str(path), store)
    words = ["evaluate", str(path), "--store", str(store.folder), "--home", str(tiny_home.folder)]
    assert main([*words, "--json"]) == 0
    told = json.loads(capfd.readouterr().out)
    assert told["metrics"]["dice"] == pytest.approx(after.metrics["dice"])
    assert after.metrics["dice"] == pytest.approx(before.metrics["dice"], abs=1e-3)
    assert (after.rule, after.facts["sweep"]) == (before.rule, "tiny")
    pixels = rng.integers(0, 255, (48, 64), dtype=np.uint8)
    ids = {"StudyInstanceUID": "1.2.3.1", "SeriesInstanceUID": "1.2.3.2"}
    file = write_dicom(tmp_path / "a.dcm", pixels, **ids)
    (one,) = predict_files(tiny_home, URI, [file], tmp_path / "networks")
    words = ["predict", str(file), "--model", URI, "--out", str(tmp_path / "asked")]
    assert main([*words, "--engine", "onnxruntime", "--home", str(tiny_home.folder)]) == 0
    said = capfd.readouterr().err
    assert "making a graph of the model's networks for this machine, once" in said
    assert "engine: onnxruntime " in said
    assert (tmp_path / "asked/a.mask.png").read_bytes() == one.mask.read_bytes()
    seg_of = {"formats": ("png", "seg"), "engine": "openvino"}
    (other,) = predict_files(tiny_home, str(path), [file], tmp_path / "graph", **seg_of)
    assert other.seg
    used = f"{version('ptxsweep')}, openvino {version('openvino')}"
    assert pydicom.dcmread(other.seg).SoftwareVersions == used
    words = ["predict", str(file), "--model", str(path), "--out", str(tmp_path / "told")]
    assert main([*words, "--home", str(tiny_home.folder)]) == 0
    assert f"engine: {printed['speed']['fastest_graph']} " in capfd.readouterr().err
    assert other.highest == pytest.approx(one.highest, abs=1e-3)
    with pytest.raises(UsageError, match=r"no networks with attention gates in .*champion\.onnx"):
        predict_files(tiny_home, str(path), [file], tmp_path / "x", attention=tmp_path / "y")
    with pytest.raises(UsageError, match="is a graph already"):
        export_model(tiny_home, str(path), tmp_path / "again.onnx")
    with pytest.raises(UsageError, match=r"found model.pt, expected a name that ends in .onnx"):
        export_model(tiny_home, URI, tmp_path / "model.pt")
    assert open_model(tiny_home, str(path))[1]["registered"] == [URI[8:-9], "1"]
