"""What a command costs on a tiny sweep, where nearly all of it is its start.

Both builds run each command on the same home, made by the earlier build: a sweep of two trials, its
champion, and one drawn file to segment. A Chromium that draws figures is left out of both. Files
that Python compiles are written before, as they are at a user's.

    start_COMMAND       CPU of the command over the earlier build's
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from two_builds import cpu_seconds, in_turns

if TYPE_CHECKING:
    from bench_speed import Builds

GOALS = {
    "start_predict": 0.4,
    "start_report": 0.2,
    "start_doctor": 0.4,
    "start_list": 0.6,
    "start_show": 0.6,
    "start_compare": 0.6,
}
SMALLEST: dict[str, int] = {}

_MAKE = """
import sys
from pathlib import Path
from ptxcore.data.phantom import write_phantom
from tiny_sweep import make_sweep
from sweep.cli import main
folder = Path(sys.argv[1])
home = make_sweep(folder)
write_phantom(folder / "drawn", num_cases=1, size=64, prevalence=1.0, seed=7)
champion = ["--model-name", "speed", "--max-loss", "1", "--home", str(home.folder)]
sys.exit(main(["promote", "tiny", *champion]))
"""
_COMMAND = """
import os, sys
os.environ["PATH"] = ""
from sweep.cli import main
sys.exit(main(sys.argv[1:]))
"""


def measure(builds: Builds) -> dict[str, float]:
    """Every command, in turns."""
    cpu_seconds(builds.before, _MAKE, builds.scratch)
    home = builds.scratch / "home"
    files = [str(file) for file in (builds.scratch / "drawn").rglob("*.dcm")]
    out = str(builds.scratch / "out")
    commands = {
        "predict": ("predict", *files, "--champion", "speed", "--out", out),
        "report": ("report", "tiny", "--out", str(builds.scratch / "report.html")),
        "doctor": ("doctor",),
        "list": ("list",),
        "show": ("show", "tiny"),
        "compare": ("compare", "tiny"),
    }
    figures: dict[str, float] = {}
    for name, words in commands.items():

        def run(build: Path, words: tuple[str, ...] = words) -> float:
            return cpu_seconds(build, _COMMAND, *words, "--home", home)

        for build in (builds.before, builds.now):
            run(build)  # compiles
        before, now = in_turns(builds.before, builds.now, run)
        say = {f"start_{name}_seconds_before": before, f"start_{name}_seconds": now}
        print(json.dumps(say), file=sys.stderr, flush=True)
        figures |= {**say, f"start_{name}": now / before}
    return figures
