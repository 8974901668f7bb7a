"""Pictures of a trial's cases on its page, drawn once in a process of its own and then kept.

Drawing needs PyTorch, which this process never loads. What is drawn lies in the sweep's folder,
below `pictures`, and is made of the folds' own cases: no hold-out is opened.
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

from dashboards.live.ledgers import OpenSweep
from dashboards.live.page import sweep_url
from dashboards.report.markup import Markup, tag
from sweep.ledger.projection import Trial
from sweep.records import State
from sweep.storage.home import Home
from sweep.storage.kept_pictures import kept_pictures

_LONGEST_REASON = 300


def place(one: OpenSweep, trial: Trial) -> Markup | None:
    """Where pictures go; None for a trial that has none. A script asks when it comes into view."""
    if trial.state is not State.COMPLETE or one.folder is None:
        return None
    return tag(
        "div",
        tag("p", "A script asks for pictures of its cases when they come into view.",
            class_="small"),
        id="cases",
        hx_get=sweep_url(one.name, "t", trial.number, "cases"),
        hx_trigger="intersect once",
        hx_swap="innerHTML",
        hx_morph_skip=True,
    )  # fmt: skip


class Drawer:
    """Has pictures drawn, those of one trial after another."""

    def __init__(self, home: Home) -> None:
        """Starts nothing.

        Args:
            home: Home with the sweeps.
        """
        self._home, self._lock = home, threading.Lock()
        self._running: subprocess.Popen[str] | None = None
        self._file: Path | None = None
        self._reasons: dict[Path, str] = {}

    def close(self) -> None:
        """End what is being drawn."""
        with self._lock:
            if self._running is not None:
                self._running.kill()
                self._ended(self._running)

    def pictures(self, one: OpenSweep, trial: Trial) -> Markup:
        """The pictures, why there are none, or that they are being drawn and when to ask again."""
        assert one.folder is not None
        file = kept_pictures(one.folder, one.header, trial)
        with self._lock:
            self._reap()
            if file.is_file():
                return Markup(file.read_text(encoding="utf-8"))
            if file in self._reasons:
                return tag("p", f"No pictures: {self._reasons[file]}.", class_="small")
            if self._running is None:
                self._start(one.name, trial.number, file)
            words = "Drawing pictures of its cases, which takes some seconds …"
            if self._file != file:
                words = "Those of another trial are drawn first …"
        return tag(
            "p",
            words,
            role="status",
            hx_get=sweep_url(one.name, "t", trial.number, "cases"),
            hx_trigger="load delay:1s",
            hx_target="#cases",
            hx_swap="innerHTML",
        )

    def _start(self, name: str, number: int, file: Path) -> None:
        home = {key: _plain(value) for key, value in dataclasses.asdict(self._home).items()}
        self._file = file
        self._running = subprocess.Popen(
            [sys.executable, "-m", "sweep.draw_cases"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},  # what trains here goes first
        )  # fmt: skip
        assert self._running.stdin is not None
        # The ledger's address may hold a password, which arguments would show.
        asked = {"home": home, "name": name, "trial": number}
        json.dump(asked, self._running.stdin)
        self._running.stdin.close()

    def _reap(self) -> None:
        """Take in how the last drawing ended."""
        if self._running is None or self._running.poll() is None or self._file is None:
            return
        said = self._ended(self._running)
        if not self._file.is_file():
            self._reasons[self._file] = said[:_LONGEST_REASON] or "drawing them failed"

    def _ended(self, drawing: subprocess.Popen[str]) -> str:
        """What it said, once it has ended."""
        assert drawing.stdout is not None
        with drawing.stdout as stream:
            said = stream.read().strip()
        drawing.wait()
        self._running = None
        return said


def _plain(value: object) -> str | None:
    return None if value is None else str(value)
