"""Zip archives are unpacked safely, and leave nothing behind."""

from __future__ import annotations

import json
import stat
import tempfile
import zipfile
from pathlib import Path

import pytest
from tiny_dicom import write_set

from ptxcore.data.formats.archives import given_path, is_source, opened
from ptxcore.errors import DataError
from sweep.cli import main


def archive(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


def assert_refused(path: Path, message: str) -> None:
    with pytest.raises(DataError, match=message), opened(path):
        pass


@pytest.fixture(autouse=True)
def own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    return place


def test_members_are_where_they_were(tmp_path: Path, own_place: Path) -> None:
    path = archive(tmp_path / "a.zip", {"images/a.png": b"1", "masks/a.png": b"22", "b/": b""})
    assert is_source(path)
    with opened(path) as folder:
        assert (folder / "images" / "a.png").read_bytes() == b"1"
        assert (folder / "masks" / "a.png").read_bytes() == b"22"
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert list(own_place.iterdir()) == []


@pytest.mark.parametrize("name", ["DICOMDIR", "dicomdir"])
def test_the_index_of_a_disc_means_its_folder(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"")
    assert is_source(tmp_path / name)
    with opened(tmp_path / name) as folder:
        assert folder == tmp_path
    with opened(tmp_path) as folder:
        assert folder == tmp_path


def test_files_are_called_what_a_user_calls_them(tmp_path: Path) -> None:
    disc, archive = tmp_path / "DicomDir", tmp_path / "a.zip"
    disc.touch()
    archive.touch()
    image = tmp_path / "pt0" / "im0"
    assert given_path(image, tmp_path, disc) == image
    assert given_path(Path("/x/pt0/im0"), Path("/x"), archive) == archive / "pt0" / "im0"
    assert given_path(image, tmp_path, tmp_path) == image
    assert given_path(image, Path("/x"), archive) == image


def test_another_file_is_none(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x")
    assert not is_source(tmp_path / "a.txt")
    assert_refused(tmp_path / "a.txt", "found a file, expected a folder")


@pytest.mark.parametrize("name", ["/etc/x", "../x", "a/../../x", "..\\x", "C:/x", "C:\\x"])
def test_no_member_leaves_its_folder(name: str, tmp_path: Path, own_place: Path) -> None:
    path = archive(tmp_path / "a.zip", {"good.dcm": b"", name: b"evil"})
    assert_refused(path, r"^a\.zip: member 2 of 2: found (a place outs|someth)")
    assert list(own_place.iterdir()) == []
    assert not (tmp_path / "x").exists()


def test_links_and_names_twice_are_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr(link, "/etc/passwd")
    assert_refused(tmp_path / "a.zip", "found something that is no plain file")
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as file:
        file.writestr("one", b"1")
        with pytest.warns(UserWarning, match="Duplicate name"):
            file.writestr("one", b"2")
    assert_refused(tmp_path / "b.zip", "member 2 of 2: found the name of another")


@pytest.mark.parametrize(
    ("size", "message"),
    [(2**31, r"member 1 of 4000: found 2\.0 GiB, expected"), (2**29, "found 2000.0 GiB in it")],
)
def test_what_would_fill_the_disk_is_refused(
    size: int, message: str, tmp_path: Path, own_place: Path
) -> None:
    path = archive(tmp_path / "a.zip", {str(number): b"" for number in range(4000)})
    content = bytearray(path.read_bytes())
    at = content.index(b"PK\x01\x02")
    while at >= 0:  # sizes as the directory claims them
        content[at + 24 : at + 28] = size.to_bytes(4, "little")
        at = content.find(b"PK\x01\x02", at + 4)
    path.write_bytes(content)
    assert_refused(path, message)
    assert list(own_place.iterdir()) == []


def test_a_damaged_archive_is_refused(tmp_path: Path, own_place: Path) -> None:
    path = archive(tmp_path / "a.zip", {"a": bytes(range(256)) * 9})
    content = bytearray(path.read_bytes())
    content[40:60] = b"\xff" * 20
    path.write_bytes(content)
    with (
        pytest.raises(DataError, match=r"^a\.zip: (member 1 of 1: found damage|found what cannot)"),
        opened(path),
    ):
        pass
    assert list(own_place.iterdir()) == []


def test_an_import_takes_an_archive_and_the_index_of_a_disc(
    tmp_path: Path, own_place: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    made = write_set(tmp_path, num_cases=4, num_positive=2)
    path = archive(
        tmp_path / "all.zip",
        {
            str(file.relative_to(made.dicom)): file.read_bytes()
            for file in made.dicom.rglob("*.dcm")
        },
    )
    (made.dicom / "dicomdir").write_bytes(b"\0" * 128 + b"DICM")
    hashes = set()
    for number, place in enumerate([made.dicom, made.dicom / "dicomdir", path]):
        words = ["--dicom", str(place), "--rle", str(made.rle), "--key", str(tmp_path / "key")]
        assert (
            main(["data", "import", *words, "--store", str(tmp_path / f"{number}"), "--json"]) == 0
        )
        hashes.add(json.loads(capfd.readouterr().out)["data_hash"])
    assert len(hashes) == 1
    assert list(own_place.iterdir()) == []
    empty = archive(tmp_path / "empty.zip", {"a.txt": b"1"})
    words = ["--dicom", str(empty), "--rle", str(made.rle), "--store", str(tmp_path / "x")]
    assert main(["data", "import", *words]) == 2
    assert f"error: {empty}: found no DICOM and no PNG file" in capfd.readouterr().err
