"""Coverage-guided fuzzing with atheris, by hand; daily runs `tests/property/test_bad_bytes.py`.

    pip install atheris
    python tests/fuzz/fuzz.py rle -max_total_time=600
    python tests/fuzz/fuzz.py space -max_total_time=600 corpus-folder
    python tests/fuzz/fuzz.py dicom -max_total_time=600 corpus-folder
    python tests/fuzz/fuzz.py ledger -max_total_time=600 -max_len=400000 corpus-folder

Ends with a traceback and a file `crash-*` at the first input that ends in neither a result nor one
of our errors. A corpus folder may hold valid files to begin with; what is found is added to it.
"""

from __future__ import annotations

import contextlib
import itertools
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import atheris

_TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(_TESTS.parent), str(_TESTS / "support")]
with atheris.instrument_imports(include=["ptxcore", "sweep", "pydicom", "yaml"]):
    from ptxcore.errors import CoreError
    from sweep.errors import SweepError

    if sys.argv[1:2] == ["space"]:
        from sweep.space import parse_space
    elif sys.argv[1:2] == ["ledger"]:
        from whole_ledger import read_sweep

        from sweep.ledger import list_sweeps
    else:
        from ptxcore.data.formats.dicom import read_dicom, read_header
        from ptxcore.data.formats.rle import decode
        from ptxcore.data.formats.rle_table import read_csv

_FOLDER = Path(tempfile.mkdtemp(prefix="fuzz-"))
_COUNT = itertools.count()


def rle(data: bytes) -> None:
    """The first two bytes are the shape, the rest rows and a table."""
    height, width = (1 + value % 32 for value in (data + b"\0\0")[:2])
    path = _FOLDER / "masks.csv"
    path.write_bytes(data[2:])
    _allowed(lambda: read_csv(path))
    _allowed(lambda: decode(data[2:].decode("utf-8", "replace").split("\n"), height, width))


def space(data: bytes) -> None:
    """A search space file."""
    _allowed(lambda: parse_space(data.decode("utf-8", "replace"), "fuzz.yaml"))


def dicom(data: bytes) -> None:
    """A DICOM file; the preamble is added where it is missing."""
    path = _FOLDER / "a.dcm"
    path.write_bytes(data if data[128:132] == b"DICM" else b"\0" * 128 + b"DICM" + data)
    _allowed(lambda: read_header(path))
    _allowed(lambda: read_dicom(path))


def ledger(data: bytes) -> None:
    """A SQLite ledger with a sweep `first`; begin with a valid file."""
    path = _FOLDER / f"ledger-{next(_COUNT)}.db"  # SQLAlchemy keeps connections by name
    path.write_bytes(data)
    url = f"sqlite:///{path}"
    _allowed(lambda: list_sweeps(url))

    _allowed(lambda: read_sweep(url, "first"))
    for left in _FOLDER.glob(f"{path.name}*"):
        left.unlink()


def _allowed(action: Callable[[], object]) -> None:
    with contextlib.suppress(CoreError, SweepError):
        action()


if __name__ == "__main__":
    targets = {"rle": rle, "space": space, "dicom": dicom, "ledger": ledger}
    if len(sys.argv) < 2 or sys.argv[1] not in targets:
        sys.exit(f"expected one of {', '.join(targets)} and options of libFuzzer")
    warnings.simplefilter("ignore")
    atheris.Setup([sys.argv[0], *sys.argv[2:]], targets[sys.argv[1]])
    atheris.Fuzz()
