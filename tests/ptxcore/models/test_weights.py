from __future__ import annotations

import hashlib
import json
import pickle
from pathlib import Path

import pytest
import torch

from ptxcore.errors import CheckpointError
from ptxcore.models import (
    build_network,
    load_weights,
    recover_folder,
    replace_folder,
    save_weights,
)
from ptxcore.settings import FoldSettings

SETTINGS = FoldSettings(channels=4, levels=3, dropout=0.2)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "fold-0" / "best"
    save_weights(folder, build_network(SETTINGS, seed=1), SETTINGS)
    return folder


def describe(folder: Path, **changes: object) -> None:
    path = folder / "model.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_round_trip_gives_the_same_numbers(tmp_path: Path) -> None:
    network = build_network(SETTINGS, seed=1)
    network(torch.randn(4, 1, 32, 32, generator=torch.Generator().manual_seed(0)))  # statistics
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    save_weights(tmp_path / "w", network, SETTINGS)
    loaded, settings = load_weights(tmp_path / "w")
    assert settings == SETTINGS
    assert not loaded.training
    expected = network.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in loaded.state_dict().items())


def test_the_folder_says_what_it_holds(folder: Path) -> None:
    assert sorted(path.name for path in folder.iterdir()) == ["model.json", "model.safetensors"]
    described = json.loads((folder / "model.json").read_text())
    content = (folder / "model.safetensors").read_bytes()
    assert described["sha256"] == hashlib.sha256(content).hexdigest()
    assert described["settings_digest"] == SETTINGS.digest()
    assert described["settings"] == SETTINGS.as_dict()
    assert described["version"]


def test_saving_again_replaces_and_leaves_nothing_behind(folder: Path) -> None:
    other = build_network(SETTINGS, seed=2)
    save_weights(folder, other, SETTINGS)
    loaded, _ = load_weights(folder)
    assert torch.equal(loaded.output.weight, other.output.weight)
    assert [path.name for path in folder.parent.iterdir()] == ["best"]


@pytest.mark.parametrize("position", [0, 100, -1])
def test_one_changed_byte_is_refused(folder: Path, position: int) -> None:
    path = folder / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(CheckpointError, match=r"model\.safetensors: found SHA-256 \w+, expected"):
        load_weights(folder)


def test_a_cut_file_is_refused(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match="damaged or was exchanged"):
        load_weights(folder)


class Bomb:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (Path.touch, (Path("exploded"),))  # type: ignore[return-value]


def test_a_pickle_is_not_run_even_with_the_right_hash(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    content = pickle.dumps(Bomb())
    (folder / "model.safetensors").write_bytes(content)
    describe(folder, sha256=hashlib.sha256(content).hexdigest())
    with pytest.raises(CheckpointError, match="does not fit the network"):
        load_weights(folder)
    assert not (tmp_path / "exploded").exists()


def test_edited_settings_are_refused(folder: Path) -> None:
    describe(folder, settings={**SETTINGS.as_dict(), "threshold": 0.1})
    with pytest.raises(CheckpointError, match="settings: found others than were saved"):
        load_weights(folder)


def test_settings_of_another_program_are_refused(folder: Path) -> None:
    values = {"depth": 3}
    digest = hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
    describe(folder, settings=values, settings_digest=digest)
    with pytest.raises(CheckpointError, match=r"model\.json: settings: depth: no such setting"):
        load_weights(folder)


def test_settings_of_an_older_version_load(folder: Path) -> None:
    """A setting that came later takes its default; the digest is over what was written."""
    values = {name: value for name, value in SETTINGS.as_dict().items() if name != "tta"}
    digest = hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
    describe(folder, settings=values, settings_digest=digest)
    assert load_weights(folder)[1] == SETTINGS


def test_weights_of_another_network_are_refused(folder: Path, tmp_path: Path) -> None:
    other = FoldSettings(channels=8, levels=3)
    save_weights(tmp_path / "other", build_network(other, seed=0), other)
    content = (tmp_path / "other" / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(content)
    describe(folder, sha256=hashlib.sha256(content).hexdigest())
    with pytest.raises(CheckpointError, match="does not fit the network of its settings"):
        load_weights(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 2}, "format: found 2, expected 1"),
        ({"sha256": None}, "sha256: found None, expected a str"),
        ({"settings": []}, r"settings: found \[\], expected a dict"),
    ],
)
def test_a_description_that_is_not_ours_is_refused(
    folder: Path, changes: dict[str, object], message: str
) -> None:
    describe(folder, **changes)
    with pytest.raises(CheckpointError, match=message):
        load_weights(folder)


@pytest.mark.parametrize("content", ["{", "[]", '"text"'])
def test_a_description_that_is_no_object_is_refused(folder: Path, content: str) -> None:
    (folder / "model.json").write_text(content)
    with pytest.raises(CheckpointError, match=r"model\.json"):
        load_weights(folder)


def test_missing_files_are_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"nowhere/model\.json: no readable description"):
        load_weights(tmp_path / "nowhere")
    (folder / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"model\.safetensors: no readable weights"):
        load_weights(folder)


def test_a_crash_between_the_two_renames_is_undone(folder: Path) -> None:
    (folder.parent / ".best.abc").mkdir()  # what was being written
    folder.rename(folder.with_name("best.old"))
    recover_folder(folder)
    assert [path.name for path in folder.parent.iterdir()] == ["best"]
    load_weights(folder)


def test_a_crash_after_both_renames_keeps_the_new_folder(folder: Path) -> None:
    old = folder.with_name("best.old")
    save_weights(old, build_network(SETTINGS, seed=9), SETTINGS)
    expected = (folder / "model.safetensors").read_bytes()
    recover_folder(folder)
    assert (folder / "model.safetensors").read_bytes() == expected
    assert not old.exists()


def test_a_copy_set_aside_survives_until_another_folder_is_in_place(folder: Path) -> None:
    """A folder lost between two renames may be saved to again before anyone recovers it."""
    aside = folder.with_name("best.old")
    folder.rename(aside)
    making = folder.with_name("making")
    with pytest.raises(FileNotFoundError, match="making"):
        replace_folder(making, folder)
    assert aside.exists()
