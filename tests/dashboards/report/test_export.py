"""A browser that leaves something behind, or does not end, holds nobody up."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from processes import wait_until

from dashboards.report import export
from sweep.errors import UsageError


@pytest.fixture
def browser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program by the name of one; what it does is written by the test."""
    program = tmp_path / "bin" / "chromium"
    program.parent.mkdir()
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return program


def write(program: Path, *lines: str) -> None:
    program.write_text("\n".join(["#!/bin/sh", *lines, ""]), encoding="ascii")
    program.chmod(0o755)


def is_alive(number: int) -> bool:
    """Whether a process runs; one that nobody waited for has ended all the same."""
    try:
        text = Path(f"/proc/{number}/stat").read_text(encoding="ascii")
    except FileNotFoundError:
        return False
    return text.rpartition(")")[2].split()[0] != "Z"


def test_what_a_browser_leaves_behind_is_not_waited_for(browser: Path, tmp_path: Path) -> None:
    left = tmp_path / "left"
    write(
        browser, f"sleep 500 & echo $! > {left}", "echo '<pre id=\"pictures\">'",
        "echo 'schedule data:image/png;base64,AAAA'", "echo '</pre>'",
    )  # fmt: skip
    page = tmp_path / "page.html"
    page.write_text("<body></body>", encoding="ascii")
    (file,) = export.write_pngs(page, tmp_path / "out")
    assert file.read_bytes() == bytes(3)
    wait_until(lambda: not is_alive(int(left.read_text())))


def test_a_browser_that_does_not_end_is_ended_and_said(
    browser: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = tmp_path / "left"
    write(browser, f"sleep 500 & echo $! > {left}", "wait")
    monkeypatch.setattr(export, "_TIMEOUT_SECONDS", 1.0)
    with pytest.raises(UsageError, match=r"chromium could not draw the report: .*timed out"):
        export.write_pdf(tmp_path / "page.html", tmp_path / "page.pdf")
    wait_until(lambda: not is_alive(int(left.read_text())))
    assert not (tmp_path / "page.pdf").exists()


def test_what_a_browser_says_is_said(browser: Path, tmp_path: Path) -> None:
    write(browser, "echo no display >&2", "exit 3")
    with pytest.raises(UsageError, match="ended with exit code 3: no display"):
        export.write_pdf(tmp_path / "page.html", tmp_path / "page.pdf")
