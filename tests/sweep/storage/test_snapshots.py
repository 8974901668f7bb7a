"""Folders in an S3 server, and back."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from sweep.errors import StorageError, UsageError
from sweep.storage import bucket as bucket_module
from sweep.storage import snapshots
from sweep.storage.bucket import Bucket
from sweep.storage.home import Home

PLACE = "trials/0000/fold-0/attempt-1"


@pytest.fixture
def bucket(s3: str) -> Bucket:
    return Bucket(s3, patience_seconds=0)


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def test_the_newest_snapshot_comes_back_and_nothing_older_stays(
    bucket: Bucket, tmp_path: Path
) -> None:
    folder = write(tmp_path / "a", last__state="1", best__model="w")
    (folder / ".part").write_text("half")
    snapshots.save(bucket, PLACE, folder)
    write(folder, last__state="2")
    snapshots.save(bucket, PLACE, folder)
    assert snapshots.fetch(bucket, PLACE, tmp_path / "b")
    assert (tmp_path / "b" / "last" / "state").read_text() == "2"
    assert not (tmp_path / "b" / ".part").exists()
    keys = bucket.keys(PLACE)
    assert len([key for key in keys if "/manifests/" in key]) == 1
    assert len([key for key in keys if "/objects/" in key]) == 2


def test_without_a_manifest_there_is_nothing(bucket: Bucket, tmp_path: Path) -> None:
    bucket.put(f"{PLACE}/objects/{'0' * 64}", b"half an upload")
    assert not snapshots.fetch(bucket, PLACE, tmp_path / "b")
    assert not (tmp_path / "b").exists()


def test_exchanged_bytes_are_refused(bucket: Bucket, tmp_path: Path) -> None:
    snapshots.save(bucket, PLACE, write(tmp_path / "a", state="1"))
    (key,) = [key for key in bucket.keys(PLACE) if "/objects/" in key]
    bucket.put(key, b"2")
    with pytest.raises(StorageError, match="found other bytes than its name says"):
        snapshots.fetch(bucket, PLACE, tmp_path / "b")
    assert not (tmp_path / "b" / "state").exists()
    (key,) = [key for key in bucket.keys(PLACE) if "/manifests/" in key]
    bucket.put(key, b"{}")
    with pytest.raises(StorageError, match="found other bytes than its name says"):
        snapshots.fetch(bucket, PLACE, tmp_path / "b")


def test_what_an_upload_that_was_broken_off_left_is_written_anew(
    bucket: Bucket, tmp_path: Path
) -> None:
    """The client completes an object even where its writer failed half way."""
    folder = write(tmp_path / "a", state="whole")
    digest = hashlib.sha256(b"whole").hexdigest()
    bucket.put(f"{PLACE}/objects/{digest}", b"who")
    snapshots.save(bucket, PLACE, folder)
    assert snapshots.fetch(bucket, PLACE, tmp_path / "b")
    assert (tmp_path / "b" / "state").read_text() == "whole"


@pytest.mark.parametrize("size", [0, 1, 7, 8, 20])
def test_files_larger_than_a_piece(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(bucket_module, "_CHUNK", 8)
    content = bytes(range(size))
    (tmp_path / "a").write_bytes(content)
    bucket.put_file("file", tmp_path / "a")
    assert bucket.sizes("") == {"file": size}
    digest = bucket.get_file("file", tmp_path / "b")
    assert digest == hashlib.sha256(content).hexdigest()
    assert (tmp_path / "b").read_bytes() == content
    assert bucket.get_file("no file", tmp_path / "c") is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[]", r"found no manifest \(TypeError\)"),
        (b'{"format": 1}', r"found no manifest \(KeyError\)"),
        (b'{"format": 1, "files": []}', r"found no manifest \(AttributeError\)"),
        (b'{"format": 9, "files": {}}', "format: found 9, expected 1"),
        (b'{"format": 1, "files": {"../out": "OBJECT"}}', "found a name that leaves its folder"),
        (b'{"format": 1, "files": {"/out": "OBJECT"}}', "found a name that leaves its folder"),
    ],
)
def test_a_forged_manifest_is_refused(
    bucket: Bucket, tmp_path: Path, content: bytes, message: str
) -> None:
    """Its name is right, and so is the hash of the object it names."""
    digest = hashlib.sha256(b"planted").hexdigest()
    content = content.replace(b"OBJECT", digest.encode())
    bucket.put(f"{PLACE}/objects/{digest}", b"planted")
    name = f"000001-{hashlib.sha256(content).hexdigest()}.json"
    bucket.put(f"{PLACE}/manifests/{name}", content)
    with pytest.raises(StorageError, match=message):
        snapshots.fetch(bucket, PLACE, tmp_path / "b" / "c")
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_keep_and_remove(bucket: Bucket, tmp_path: Path) -> None:
    snapshots.save(bucket, PLACE, write(tmp_path / "a", cases="1", best__model="w"))
    snapshots.keep(bucket, PLACE, lambda name: not name.startswith("best/"))
    assert snapshots.fetch(bucket, PLACE, tmp_path / "b")
    assert [path.name for path in (tmp_path / "b").iterdir()] == ["cases"]
    assert len(bucket.keys(PLACE)) == 2
    snapshots.remove(bucket, PLACE)
    assert bucket.keys(PLACE) == []


def test_a_missing_bucket_and_a_dead_server_are_said_at_once(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket.check("probe")
    assert bucket.keys("probe") == []
    with pytest.raises(UsageError, match=r"--storage: s3://missing/x refuses .*bucket"):
        Bucket("s3://missing/x", patience_seconds=0).check("probe")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    silent = Bucket("s3://ptxsweep/x", patience_seconds=0)
    with pytest.raises(StorageError, match=r"cannot be used since 0 s.*`ptxsweep resume` goes on"):
        silent.get("probe")


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("s3://key:secret@bucket/x", "found an address with a user"),
        ("s3://bucket/x?endpoint_override=y", "found an address with a user"),
        ("gs://bucket/x", "expected a folder or s3://"),
        ("s3://", "expected a folder or s3://"),
        ("s3://bucket/a/../b", "expected a folder or s3://"),
    ],
)
def test_other_addresses_are_refused_without_their_secrets(address: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        Home.from_environment("home", storage=address)
    assert "secret@" not in str(caught.value)


def test_a_home_in_a_bucket_keeps_copies_in_its_folder(tmp_path: Path) -> None:
    home = Home.from_environment(tmp_path, storage="s3://bucket/x/")
    assert home.bucket == "s3://bucket/x"
    assert home.sweep_folder("tiny") == tmp_path / "sweeps" / "tiny"
