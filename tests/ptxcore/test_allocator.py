"""Freed memory is used again without a page fault, in a process that asks for it."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

_PAGES = """
import resource
import sys

from ptxcore.allocator import give_back, keep_buffers


def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def of_ten_rounds():
    before = faults()
    for _ in range(10):
        b"1" * (48 * 2**20)
    return faults() - before


if sys.argv[1] == "keep":
    keep_buffers()
of_ten_rounds()
print(of_ten_rounds())
give_back()
print(of_ten_rounds())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's")
def test_kept_buffers_cost_no_page_faults_until_they_are_given_back() -> None:
    def pages(word: str) -> list[int]:
        words = [sys.executable, "-c", _PAGES, word]
        done = subprocess.run(words, check=True, capture_output=True, text=True)
        return [int(line) for line in done.stdout.split()]

    fresh, kept = pages("fresh"), pages("keep")
    assert min(fresh) > 1000
    assert kept[0] < 100
    assert kept[1] > kept[0]
