"""An attempt starts where the last one stopped, and cannot be disturbed by it."""

from __future__ import annotations

import hashlib
import json
import threading
from pathlib import Path

import pytest

from ptxcore.digest import with_digest
from ptxcore.errors import CheckpointError
from ptxcore.training import attempt_folder, continue_from
from ptxcore.training.state_files import FORMAT


def _commit(folder: Path, epoch: int) -> None:
    """As a fold commits an epoch: the tensors first, then the state, then the old ones go."""
    last = folder / "last"
    last.mkdir(parents=True, exist_ok=True)
    content = f"tensors {epoch}".encode() * 1000
    name = f"epoch-{epoch:04d}.safetensors"
    (last / name).write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    state = with_digest({"format": FORMAT, "tensors": name, "sha256": digest, "epoch": epoch})
    (last / ".state.json.part").write_text(json.dumps(state))
    (last / ".state.json.part").replace(last / "state.json")
    for path in last.glob("epoch-*"):
        if path.name != name:
            path.unlink()


def _epoch(folder: Path) -> int:
    state = json.loads((folder / "last" / "state.json").read_text())
    assert (folder / "last" / state["tensors"]).is_file()
    return int(state["epoch"])


def test_the_first_attempt_starts_empty(tmp_path: Path) -> None:
    folder = continue_from(tmp_path / "fold-0", 1)
    assert folder == attempt_folder(tmp_path / "fold-0", 1)
    assert list(folder.iterdir()) == []


def test_the_next_attempt_goes_on_from_the_newest_that_committed(tmp_path: Path) -> None:
    _commit(continue_from(tmp_path, 1), 3)
    _commit(continue_from(tmp_path, 2), 5)
    continue_from(tmp_path, 3)  # copies epoch 5
    assert _epoch(continue_from(tmp_path, 4)) == 5


def test_what_a_worker_left_over_writes_does_not_reach_the_new_attempt(tmp_path: Path) -> None:
    old = continue_from(tmp_path, 1)
    _commit(old, 1)
    new = continue_from(tmp_path, 2)
    _commit(old, 2)
    (old / "result.json").write_text("{}")
    assert _epoch(new) == 1
    assert not (new / "result.json").exists()


def test_a_copy_is_whole_while_the_other_still_writes(tmp_path: Path) -> None:
    old, stop = continue_from(tmp_path, 1), threading.Event()
    _commit(old, 0)

    def write() -> None:
        epoch = 0
        while not stop.is_set():
            epoch += 1
            _commit(old, epoch)
            stop.wait(0.01)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for attempt in range(2, 12):
            _epoch(continue_from(tmp_path, attempt))
    finally:
        stop.set()
        writer.join()


def test_a_damaged_checkpoint_is_refused_by_name(tmp_path: Path) -> None:
    old = continue_from(tmp_path, 1)
    _commit(old, 1)
    (old / "last" / "epoch-0001.safetensors").write_bytes(b"other")
    with pytest.raises(CheckpointError, match=r"attempt-1: found no whole checkpoint"):
        continue_from(tmp_path, 2)
    assert not attempt_folder(tmp_path, 2).exists()


@pytest.mark.parametrize(
    ("name", "found", "why"),
    [
        ("last/state.json", {"format": FORMAT, "epoch": 7}, r"digest differs"),
        ("last/state.json", {"format": 3}, r"format: found 3, expected 2"),
        (
            "result.json",
            with_digest({"format": FORMAT, "seconds": 1.0}) | {"seconds": 2.0},
            r"digest",
        ),
    ],
)
def test_a_changed_state_or_result_is_refused_where_it_was_changed(
    tmp_path: Path, name: str, found: dict[str, object], why: str
) -> None:
    old = continue_from(tmp_path, 1)
    _commit(old, 1)
    (old / name).write_text(json.dumps(found))
    with pytest.raises(CheckpointError, match=rf"attempt-1: .*{why}.*remove the folder"):
        continue_from(tmp_path, 2)
