"""Is every DICOM file that other projects test with read right, or refused by name?

    python tests/benchmarks/bench_dicom.py [FOLDER ...] [--write]     here, with what is installed
    python tests/benchmarks/bench_dicom.py --environments [--write]   in two fresh environments

The files are every single grey frame of pydicom's test data, of the packages `pydicom-data`,
`pynetdicom` and `deid-data` where they are installed, and of the folders given (`pylibjpeg-data` is
on no package index, and highdicom's release has no test files in it). Each is compared with a
reference pipeline: pydicom with a decoder that is another than ours where one is installed, then
PS3.3 and PS3.4 as written, `tests/support/dicom_reference`.

With --environments two are made with pip in a temporary folder, with what `ptxsweep` reads images
by and with what `ptxsweep[codecs]` adds, both as `constraints.txt` pins them, and the packages with
test files.
With --write the table goes into docs/results/dicom.md.

Prints a table by transfer syntax and object; the last line is one JSON object, by environment:

    files, equal      single grey frames, and those within 1/255 of the reference
    unequal           the others that were read, by name (goal: none)
    refused           by sentence, how many
    unexplained       errors that are no refusal, by name (goal: none)
    unchecked         files that were read and that the reference cannot read
    largest           largest difference, as a share of white
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import subprocess
import sys
import tempfile
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]
PAGE = ROOT / "docs" / "results" / "dicom.md"
READS_BY = ("numpy", "pillow", "pydicom", "highdicom", "pyjpegls")
CODECS = ("pylibjpeg", "pylibjpeg-openjpeg", "python-gdcm")
ENVIRONMENTS = {"ptxsweep": READS_BY, "ptxsweep[codecs]": (*READS_BY, *CODECS)}
TEST_FILES = ("pydicom-data==1.0.0", "pynetdicom==3.0.4", "deid-data==0.0.20")
#: The modules that have them.
_MODULES = ("data_store", "pynetdicom", "deid_data")
TOLERANCE = 1 / 255
_ABOUT = (
    "Made by `make bench-dicom` (`tests/benchmarks/bench_dicom.py`): every single grey frame of "
    "pydicom's test data and\nof the packages `pydicom-data`, `pynetdicom` and `deid-data`, read "
    "in two fresh environments. Equal is within 1/255 of\npydicom with another decoder, where "
    "there is one, and then PS3.3 and PS3.4 as written; what is not equal is refused by\nname. "
    "`pylibjpeg-data` is on no package index, and highdicom's release (0.28.2, wheel and source) "
    "has no test files in it;\nfolders with them can be given."
)


def folders() -> Iterator[Path]:
    """Where test files are installed."""
    import pydicom

    yield Path(pydicom.__file__).parent / "data" / "test_files"
    for module in _MODULES:
        found = importlib.util.find_spec(module)
        if found is not None and found.submodule_search_locations:
            yield Path(next(iter(found.submodule_search_locations)))


def grey_frames(places: Sequence[Path]) -> Iterator[tuple[Path, Any]]:
    """Files with one grey frame, and their datasets; of files of one content the first."""
    import pydicom

    seen: set[bytes] = set()
    for path in sorted(path for place in places for path in place.rglob("*") if path.is_file()):
        content = path.read_bytes()
        if content in seen or content[128:132] != b"DICM":
            continue
        seen.add(content)
        try:
            dataset = pydicom.dcmread(path)
            is_single = int(dataset.get("NumberOfFrames") or 1) == 1
            is_grey = str(dataset.get("PhotometricInterpretation", "")).startswith("MONOCHROME")
        except Exception:  # not read by pydicom either
            continue
        if is_single and is_grey and "PixelData" in dataset:
            yield path, dataset


def reference(dataset: Any) -> Any:
    """Its pixels; None where nothing decodes them."""
    from dicom_reference import read_reference
    from pydicom.pixels.decoders.base import get_decoder

    from ptxcore.data.formats.codecs import readers_of

    try:
        syntax = dataset.file_meta.TransferSyntaxUID
        ours = readers_of(syntax, bits_stored=dataset.BitsStored).plugins
        available = get_decoder(syntax).available_plugins
        others = [name for name in available if name not in ours[:1]]
    except Exception:
        others = []
    for plugin in [*others, ""]:
        try:
            return read_reference(dataset, plugin)
        except Exception:  # what decoders raise
            continue
    return None


def look(places: Sequence[Path]) -> dict[str, Any]:
    """What becomes of each file."""
    import numpy as np

    from ptxcore.data.formats.codecs import name_of
    from ptxcore.data.formats.dicom import read_dicom
    from ptxcore.errors import DicomError

    rows: dict[str, Counter[str]] = defaultdict(Counter)
    refused: Counter[str] = Counter()
    named: dict[str, list[str]] = {"unequal": [], "unexplained": [], "unchecked": []}
    largest = 0.0
    for path, dataset in grey_frames(places):
        meta = dataset.file_meta
        syntax = name_of(meta.TransferSyntaxUID) if "TransferSyntaxUID" in meta else "none"
        row = rows[
            f"{syntax} | {dataset.get('SOPClassUID', meta.get('MediaStorageSOPClassUID')).name}"
        ]
        row["files"] += 1
        try:
            pixels = read_dicom(path).pixels
        except DicomError as error:
            refused[str(error).removeprefix(f"{path.name}: ")] += 1
            row["refused"] += 1
            continue
        except Exception as error:
            named["unexplained"].append(f"{path.name}: {type(error).__name__}")
            continue
        expected = reference(dataset)
        if expected is None:
            named["unchecked"].append(path.name)
            continue
        white = 255 if pixels.dtype == np.uint8 else 65_535
        difference = float(np.abs(pixels - expected).max()) / white
        largest = max(largest, difference)
        if difference <= TOLERANCE:
            row["equal"] += 1
        else:
            named["unequal"].append(f"{path.name}: {difference:.4f}")
    return {
        "files": sum(row["files"] for row in rows.values()),
        "equal": sum(row["equal"] for row in rows.values()),
        "refused": dict(refused.most_common()),
        **named,
        "largest": largest,
        "rows": {key: dict(row) for key, row in sorted(rows.items())},
    }


def in_environments() -> dict[str, Any]:
    """The same in fresh ones."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, packages in ENVIRONMENTS.items():
            place = Path(folder) / str(len(packages))
            subprocess.run([sys.executable, "-m", "venv", place], check=True)
            python = place / "bin" / "python"
            pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            pins = ["--constraint", ROOT / "constraints.txt"]
            subprocess.run([*pip, *pins, *packages], check=True)
            subprocess.run([*pip, "--no-deps", *TEST_FILES], check=True)
            command = [python, __file__, "--json"]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            found[name] = json.loads(done.stdout.splitlines()[-1])
    return found


def table(found: dict[str, Any]) -> str:
    """Markdown, a row by syntax and object, columns by environment."""
    names = list(found)
    heads = " | ".join(f"{name}: equal, refused" for name in names)
    keys = sorted({key for one in found.values() for key in one["rows"]})
    lines = [
        f"| transfer syntax | object | files | {heads} |",
        f"| --- | --- | --- |{' --- |' * len(names)}",
    ]
    for key in keys:
        rows = [found[name]["rows"].get(key, {}) for name in names]
        cells = [f"{row.get('equal', 0)}, {row.get('refused', 0)}" for row in rows]
        lines.append(f"| {key} | {rows[0].get('files', 0)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def page(found: dict[str, Any]) -> str:
    """The page of the documentation."""
    parts = [
        "# What becomes of other projects' DICOM files",
        "",
        _ABOUT,
        "",
        table(found),
    ]
    for name, one in found.items():
        parts += [
            "",
            f"**{name}**: {one['files']} files, {one['equal']} equal (largest difference "
            f"{one['largest']:.5f}), {sum(one['refused'].values())} refused, "
            f"{len(one['unequal'])} unequal, {len(one['unexplained'])} unexplained, "
            f"{len(one['unchecked'])} that the reference cannot read. Refused:",
            "",
            *(f"- {number}: {text}" for text, number in one["refused"].items()),
        ]
    return "\n".join(parts) + "\n"


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folders", nargs="*", type=Path)
    parser.add_argument("--environments", action="store_true")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--json", action="store_true", help="nothing but the JSON object")
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    if asked.environments:
        found = in_environments()
    else:
        one = look([*folders(), *asked.folders])
        if asked.json:
            print(json.dumps(one))
            return 0
        found = {"here": one}
    print(table(found))
    if asked.write:
        PAGE.write_text(page(found), encoding="utf-8")
    for one in found.values():
        del one["rows"]
    print(json.dumps(found))
    return int(any(one["unequal"] or one["unexplained"] for one in found.values()))


if __name__ == "__main__":
    sys.exit(main())
