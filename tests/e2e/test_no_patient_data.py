"""Patients stay where they were: nothing that is planted in the files comes out anywhere.

Everything runs in processes of its own, and every byte that they print or write is searched:
standard output and error, the store, the ledger, MLflow, checkpoints, the report, Ray's logs.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from pydicom.uid import JPEG2000Lossless, JPEGBaseline8Bit
from tiny_dicom import rle_of, write_dicom

ROOT = "1.2.826.0.1.99887766554"
PHI = {
    "PatientName": "Quisling^Astrid",
    "PatientBirthDate": "19530517",
    "StudyDate": "19991231",
    "ContentDate": "19991230",
    "StudyTime": "112233.445566",
    "AccessionNumber": "ACC-90210-K",
    "InstitutionName": "Spital Wolkenstein",
    "InstitutionAddress": "Gletschergasse 7",
    "ReferringPhysicianName": "Holmqvist^Odd",
    "OperatorsName": "Ruzicka^Bela",
    "StudyInstanceUID": f"{ROOT}.77.1",
    "SeriesInstanceUID": f"{ROOT}.77.2",
    "StudyID": "STUDY-4711",
    "StationName": "KAMMER-3",
    "DeviceSerialNumber": "SN-5150-9",
    "ImageComments": "Sturz vom Pferd",
    "ViewPosition": "FROM ASTRID",
    "OtherPatientIDs": "PASSPORT-X77",
}
PATIENT = "MRN-7734-ZX"
FILE, FOLDER, GROUP = "quisling-astrid", "export-wolkenstein", "clan-quisling"
#: The words that must not come out, in lower case.
PLANTED = tuple(
    word.lower()
    for word in (*PHI.values(), PATIENT, FILE, FOLDER, GROUP, ROOT, "quisling", "astrid",
                 "wolkenstein", "holmqvist", "ruzicka")
)  # fmt: skip


def mask_of(number: int) -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
    mask = np.zeros((64, 64), dtype=np.bool_)
    if number % 2:
        mask[10 : 20 + number // 4, 12:30] = True
    return mask


@pytest.fixture
def export(tmp_path: Path) -> Path:
    """Sixteen sound files of eight patients, and their table."""
    rng, lines = np.random.default_rng(7), ["ImageId,EncodedPixels"]
    for number in range(16):
        uid = f"{ROOT}.{100 + number}"
        pixels = rng.integers(0, 120, (64, 64)).astype(np.uint8) + np.uint8(100) * mask_of(number)
        path = tmp_path / "in" / FOLDER / f"{FILE}-{number}" / f"{FILE}-{uid}.dcm"
        path.parent.mkdir(parents=True)
        write_dicom(path, pixels, uid=uid, PatientID=f"{PATIENT}-{number // 2}", **PHI)
        lines.append(f"{uid},{rle_of(mask_of(number))}")
    (tmp_path / "in" / "masks.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return tmp_path / "in"


@pytest.fixture
def outputs(tmp_path: Path) -> Iterator[Path]:
    """A short path: Ray's sockets lie below it."""
    folder = Path(tempfile.mkdtemp(prefix="phi", dir="/tmp"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def ptxsweep(outputs: Path, *words: str | Path, **environment: str) -> tuple[int, str]:
    """Run a command in an empty folder; what it printed is kept among the outputs."""
    here = outputs / "cwd"
    here.mkdir(exist_ok=True)
    done = subprocess.run(
        [sys.executable, "-m", "sweep.cli", *map(str, words)],
        capture_output=True,
        check=False,
        cwd=here,
        timeout=500,
        env={**os.environ, "RAY_TMPDIR": str(outputs / "ray"), **environment},
    )
    number = len(list(outputs.glob("printed-*")))
    printed = done.stdout + b"\n" + done.stderr
    (outputs / f"printed-{number}").write_bytes(printed)
    return done.returncode, printed.decode()


def contents(path: Path) -> Iterator[bytes]:
    """A file as it is, and what it holds if it is an archive."""
    data = path.read_bytes()
    yield data
    if data[:4] == b"PK\3\4":
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for name in archive.namelist():
                yield name.encode()
                yield archive.read(name)
    elif data[:2] == b"\x1f\x8b":
        yield gzip.decompress(data)


def pattern(word: str) -> str:
    """A planted word; a date stands alone, as long numbers hold any eight digits by chance."""
    return rf"(?<!\d){word}(?!\d)" if word.isdigit() else re.escape(word)


def read(path: Path) -> list[bytes]:
    """What `contents` gives; nothing of a file that went since it was listed: Ray tidies up."""
    try:
        return list(contents(path))
    except FileNotFoundError:
        return []


def search(outputs: Path) -> int:
    """Fails at the first planted word; returns how many files were searched."""
    number = 0
    planted = re.compile("|".join(map(pattern, PLANTED)).encode())
    for path in sorted(outputs.rglob("*")):
        shown = str(path.relative_to(outputs)).lower()
        if path.is_symlink():
            shown += " " + os.readlink(path).lower()
        leaks = planted.findall(shown.encode())
        if path.is_file() and not path.is_symlink():
            number += 1
            for data in read(path):
                low = data.lower()
                # Texts in two bytes a character, as some databases and tables keep them.
                wide = low.replace(b"\0", b"")
                leaks += planted.findall(low) + planted.findall(wide)
        assert not leaks, f"{shown}: {sorted(set(leaks))}"
    return number


def _cut(folder: Path) -> None:
    path = write_dicom(folder / f"{FILE}.dcm", np.zeros((64, 64), np.uint8), uid=ROOT, **PHI)
    path.write_bytes(path.read_bytes()[:-3000])


def _header(folder: Path) -> None:
    path = write_dicom(folder / f"{FILE}.dcm", np.zeros((64, 64), np.uint8), uid=ROOT, **PHI)
    path.write_bytes(path.read_bytes().replace(b"PN", b"Q^").replace(b"DA", b"SQ"))


def _fields(folder: Path) -> None:
    pixels = np.zeros((64, 64), np.uint8)
    changes: tuple[dict[str, object], ...] = (
        {"PhotometricInterpretation": "QUISLING ASTRID"},
        {"Rows": 0},
        {"NumberOfFrames": 9},
        {"BitsAllocated": 32},
        {"uid": None},
        {"uid": f"{ROOT}.100"},
    )
    for number, change in enumerate(changes):
        elements: dict[str, object] = {"uid": f"{ROOT}.9{number}", **PHI, **change}
        write_dicom(folder / f"{FILE}-{number}.dcm", pixels, **elements)  # type: ignore[arg-type]
    (folder / f"{FILE}-text.dcm").write_text("Quisling^Astrid")
    (folder / f"{FILE}-empty.dcm").touch()
    (folder / f"{FILE}.txt").write_text("Quisling^Astrid")


def _syntax(folder: Path) -> None:
    path = write_dicom(folder / f"{FILE}.dcm", np.zeros((64, 64), np.uint8), uid=ROOT, **PHI)
    old = b"1.2.840.10008.1.2.1\0"
    path.write_bytes(path.read_bytes().replace(old, (ROOT.encode() + b"\0" * 20)[:20], 1))


def _jpeg(folder: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (64, 64)).astype(np.uint8)
    path = write_dicom(folder / f"{FILE}.dcm", pixels, uid=ROOT, syntax=JPEGBaseline8Bit, **PHI)
    data = path.read_bytes()
    path.write_bytes(data[:-2500] + b"Quisling^Astrid" * 10 + data[-2350:])


def _jpeg_2000(folder: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (64, 64)).astype(np.uint8)
    path = write_dicom(folder / f"{FILE}.dcm", pixels, uid=ROOT, syntax=JPEG2000Lossless, **PHI)
    data = path.read_bytes()
    path.write_bytes(data.replace(b"\xff\x4f\xff\x51", b"Quis"))  # its first two markers


def _windows(folder: Path) -> None:
    elements = {**PHI, "WindowCenter": 100, "WindowWidth": -7}
    write_dicom(folder / f"{FILE}.dcm", np.zeros((64, 64), np.uint8), uid=ROOT, **elements)


@pytest.mark.parametrize("damage", [_cut, _header, _fields, _syntax, _jpeg, _jpeg_2000, _windows])
def test_errors_of_an_import_tell_nothing(
    export: Path, outputs: Path, damage: Callable[[Path], None]
) -> None:
    damage(export / FOLDER)
    words = ("data", "import", "--dicom", export, "--rle", export / "masks.csv")
    store = outputs / "store"
    code, printed = ptxsweep(outputs, *words, "--store", store, "--unannotated", "negative")
    assert code == 2, printed
    assert "--name-files" in printed
    assert "Traceback" not in printed
    assert "PTXSWEEP_DEBUG" not in printed
    assert not store.exists()
    search(outputs)
    # Asked to, it says which file, and files are named after their UID; nothing else from inside.
    _, named = ptxsweep(
        outputs / "cwd", *words, "--store", store, "--unannotated", "negative", "--name-files"
    )
    assert FILE in named
    inside = set(PLANTED) - {FILE, "quisling", "astrid", FOLDER, "wolkenstein", ROOT}
    assert not [word for word in inside if word in named.lower()]


def test_errors_of_the_tables_tell_nothing(export: Path, outputs: Path) -> None:
    tables = {
        "odd": f"{ROOT}.100,1 2 3\n",
        "beyond": f"{ROOT}.100,1 99999\n",
        "word": f"{ROOT}.100,Quisling Astrid\n",
        "columns": f"{ROOT}.100,Quisling^Astrid,1 2\n",
        "both": f"{ROOT}.100,1 2\n{ROOT}.100,-1\n",
        "other": "1.2.3,-1\n",
        "bytes": f"{ROOT}.100,\0\ud800",
    }
    for name, text in tables.items():
        path = outputs / "in.csv"
        path.write_text(text, encoding="utf-8", errors="surrogatepass")
        words = ("data", "import", "--dicom", export, "--rle", path, "--store", outputs / "s")
        code, printed = ptxsweep(outputs, *words)
        path.unlink()
        assert code == 2, (name, printed)
        assert "PTXSWEEP_DEBUG" not in printed
    groups = outputs / "groups.csv"
    for text in (f"{ROOT}.100,{GROUP}\n", f"{ROOT}.100\n", f"{ROOT}.1,{GROUP}\n" * 2):
        groups.write_text(text)
        words = ("data", "import", "--dicom", export, "--rle", export / "masks.csv")
        code, printed = ptxsweep(outputs, *words, "--groups", groups, "--store", outputs / "s")
        assert code == 2, printed
    groups.unlink()
    search(outputs)


SPACE = """
name: tiny
objective: {metric: average_precision}
folds: 2
policy: {name: standard, num_trials: 2, num_completions: 2}
pruner: {name: none}
sampler: {name: random}
fixed:
  network: attention_unet
  channels: 4
  levels: 3
  image_size: 64
  patch_size: 0
  batch_size: 4
  warmup_epochs: 0
  max_epochs: 1
parameters:
  learning_rate: {type: float, low: 1.0e-4, high: 1.0e-2, log: true, default: 0.002}
"""


def test_a_whole_sweep_tells_nothing(export: Path, outputs: Path, tmp_path: Path) -> None:
    store, home = outputs / "store", outputs / "home"
    (outputs / "tiny.yaml").write_text(SPACE)
    words = ("data", "import", "--dicom", export, "--rle", export / "masks.csv", "--store", store)
    code, printed = ptxsweep(outputs, *words, "--json")
    assert code == 0, printed
    assert (
        json.loads((outputs / "printed-0").read_text().split("\n}\n")[0] + "}")["num_cases"] == 16
    )
    for command in (
        ("data", "check", store),
        ("data", "info", store, "--json"),
        ("data", "preview", store, "--space", outputs / "tiny.yaml", "--out", outputs / "p.png"),
        ("run", outputs / "tiny.yaml", "--store", store, "--home", home, "--name", "one"),
        ("show", "one", "--home", home, "--json"),
        ("list", "--home", home),
        ("report", "one", "--home", home),
        ("doctor", "--home", home),
        (
            "promote",
            "one",
            "--home",
            home,
            "--model-name",
            "chest",
            "--force",
            "--reason",
            "a test",
        ),
    ):
        code, printed = ptxsweep(outputs, *command)
        assert code == 0 or command[0] == "doctor", printed
    assert (home / "ledger.db").is_file()
    assert (home / "mlflow.db").is_file()
    assert list((home / "sweeps").rglob("*.html"))
    assert list((outputs / "ray").rglob("*.log")), "Ray's logs are elsewhere"
    assert search(outputs) > 60

    # What is predicted names its inputs, and belongs beside them; an error does not.
    out = tmp_path / "predictions"
    words = ("predict", export / FOLDER, "--champion", "chest", "--home", home, "--out", out)
    predicted = subprocess.run([*map(str, (sys.executable, "-m", "sweep.cli", *words))])
    assert predicted.returncode == 0
    assert len(list(out.glob("*.mask.png"))) == 16
    _cut(export / FOLDER)
    predicted = subprocess.run(
        [*map(str, (sys.executable, "-m", "sweep.cli", *words))], capture_output=True, check=False
    )
    assert predicted.returncode == 6, "the others were segmented"
    said = predicted.stderr.decode()
    assert re.search(r"file \d+ of 17: .*--name-files tells which file", said)
    (outputs / "printed-errors").write_text(said)
    search(outputs)
