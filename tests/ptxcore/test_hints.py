from __future__ import annotations

import pytest

from ptxcore.hints import did_you_mean, in_bytes


def test_a_close_name_is_offered_else_all() -> None:
    known = ("workers", "hours")
    assert did_you_mean("worker", known) == "did you mean 'workers'?"
    assert did_you_mean("xyz", known) == "expected one of: workers, hours"
    assert did_you_mean("xyz", ()) == "expected one of: none"


@pytest.mark.parametrize(
    ("num_bytes", "words"),
    [(0, "0 bytes"), (1023, "1023 bytes"), (1536, "1.5 KiB"), (3 * 2**20, "3.0 MiB"),
     (2000 * 2**30, "2000.0 GiB")],
)  # fmt: skip
def test_a_size_never_reads_as_nothing(num_bytes: int, words: str) -> None:
    assert in_bytes(num_bytes) == words
