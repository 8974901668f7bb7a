"""Whatever a file claims to hold, reading it takes memory by what it does hold."""

from __future__ import annotations

import gzip
import io
import json
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from ptxcore.data.formats.size_limits import SizeLimitedFile, inflates_beyond, read_gzip

TESTS = Path(__file__).resolve().parents[3] / "support"


def test_no_claim_allocates_memory(tmp_path: Path) -> None:
    command = [sys.executable, str(TESTS / "size_limited_inputs.py"), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    assert len(rows) == 14
    for row in rows:
        assert row["end"].startswith(("DicomError", "MaskError")), row
        assert "MemoryError" not in row["end"], row
        assert row["python_mib"] < 24, row
        # A process that measured its inputs' making has room already; what is new is seen here.
        assert row["resident_mib"] < 64, row


def test_reads_end_with_the_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 100_000)
    with SizeLimitedFile(tmp_path / "a") as file:
        assert file.read(10) == b"x" * 10
        assert len(file.read(2**40)) == 99_990
        assert file.read(2**40) == b""
        file.seek(0)
        assert len(file.read()) == 100_000


def test_inflated_size() -> None:
    deflater = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    data = deflater.compress(b"\0" * 5_000_000) + deflater.flush()
    assert inflates_beyond(io.BytesIO(data), 4_999_999)
    assert not inflates_beyond(io.BytesIO(data), 5_000_000)
    with pytest.raises(zlib.error, match="invalid"):
        inflates_beyond(io.BytesIO(b"\xff" * 100), 10)


def test_gzip_up_to_a_limit(tmp_path: Path) -> None:
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(b"abc" * 1000))
    assert read_gzip(path, 3000) == b"abc" * 1000
    assert read_gzip(path, 2999) is None
