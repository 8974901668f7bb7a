"""Where users wait: this build beside an earlier one, as ratios of CPU time.

Every part is a file `speed_PART.py` beside this one with `measure(builds)`, which returns its
figures, and `GOALS`, the largest value of those that have a goal; what they mean stands there. With
`--smallest` each part runs once in each build, on its `SMALLEST`: that it runs, not what it says.
Prints figures as they come on standard error and one JSON object as its last line on standard
output, and ends with exit code 1 where a goal is missed.

Run with `make bench-speed`, or `python tests/benchmarks/bench_speed.py [--part NAME ...]` for some
parts; it needs git's history, from which the earlier build is taken (`two_builds.py`).
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import two_builds
from two_builds import ROOT, unpack_before

HERE = Path(__file__).resolve().parent
PARTS = sorted(file.stem.removeprefix("speed_") for file in HERE.glob("speed_*.py"))


@dataclass(frozen=True, kw_only=True)
class Builds:
    """Where both builds are.

    Attributes:
        before: Folder of the earlier build.
        now: Folder of this one.
        scratch: Folder for what a part writes, empty and the part's own.
    """

    before: Path
    now: Path
    scratch: Path


def missed(figures: Mapping[str, float], goals: Mapping[str, float]) -> list[str]:
    """The goals that figures miss, with what was found; what is not a number misses."""
    return [
        f"{name} at most {goal}, found {figures[name]:.3g}"
        for name, goal in goals.items()
        if name in figures and not figures[name] <= goal
    ]


def main() -> int:
    """Unpack the earlier build, measure the parts and print the ratios."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--part", choices=PARTS, action="append", help="May come several times.")
    parser.add_argument("--smallest", action="store_true", help="See that all of it runs.")
    given = parser.parse_args()
    if given.smallest:
        two_builds.NUM_TURNS = 1
    figures: dict[str, float] = {}
    lost: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        before = Path(folder) / "before"
        before.mkdir()
        unpack_before(before)
        for name in given.part or PARTS:
            scratch = Path(folder) / name
            scratch.mkdir()
            part = importlib.import_module(f"speed_{name}")
            if given.smallest:
                vars(part).update(part.SMALLEST)
            found = part.measure(Builds(before=before, now=ROOT, scratch=scratch))
            print(json.dumps({name: found}), file=sys.stderr, flush=True)
            figures |= found
            lost += missed(found, part.GOALS)
    for line in lost:
        print(f"missed: {line}", file=sys.stderr)
    print(json.dumps({name: round(value, 4) for name, value in figures.items()}))
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
