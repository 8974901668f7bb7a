"""What it costs to look at a sweep of 1,000 trials x 5 folds, beside an earlier build.

Both builds read the same ledger, each in a process of its own and in turns (A B A B), start of
Python and opening of the ledger included; CPU seconds, since walls depend on the machine's other
work. Prints its figures on standard error and one JSON object as its last line on standard output,
and ends with exit code 1 where a goal is missed:

    report_cpu          CPU of a report over the earlier build's (goal: at most 0.4)
    report_mb           size of the file without pictures of cases (goal: below 2.5)
    mlflow_cpu          CPU of a sync with MLflow over the earlier build's, of 100 trials that are
                        all complete (goal: at most 0.4)
    mlflow_bytes        what a fold adds to MLflow's database and artifacts, likewise (at most 0.25)
    mlflow_kb           the same in kB (at most 12)
    list_cpu, show_cpu, compare_cpu     CPU of a command over the earlier build's (at most 0.5)
    list_growth, show_growth, compare_growth    over its own at a tenth of the trials (at most 2)
    live_paint          seconds until a browser shows the live page, over those at a tenth of the
                        trials (at most 1.5); an installed Chromium is needed
    live_update         seconds from a poll to what it brought, likewise (at most 1.5)
    live_paint_seconds, live_update_seconds     the same by the clock (below 2 and 0.5 where nothing
                        else runs)

Run with `make bench-see`, or `python tests/benchmarks/bench_see.py [TRIALS] [--part NAME ...]` for
some parts; it needs git's history, from which the earlier build is taken (`two_builds.py`).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from two_builds import NUM_TURNS, ROOT, cpu_seconds, in_turns, unpack_before

NUM_TRIALS = 1000
#: Complete trials that are sent to MLflow; its cost grows with them evenly.
NUM_SYNCED = 100

_MAKE = """
import sys
from synthetic_sweeps import SPACE, Story, run_sweep
folder, trials = sys.argv[1], int(sys.argv[2])
old = "num_trials: 8, num_completions: 3"
space = SPACE.replace(old, f"num_trials: {trials}, num_completions: {max(1, trials // 5)}")
assert old not in space
story = Story(diverges=frozenset(range(7, trials, 20)))
url = f"sqlite:///{folder}/ledger.db"
run_sweep(
    url, "see", num_trials=trials, num_completions=max(1, trials // 5), story=story,
    space_text=space,
).close()
"""
_REPORT = """
import sys
from pathlib import Path
from dashboards.report.page import write_report
from sweep.ledger import Ledger
from sweep.ledger.connection import open_storage
ledger = Ledger(open_storage(f"sqlite:///{sys.argv[1]}/ledger.db"), "see")
write_report(ledger, Path(sys.argv[2]))
"""


_MAKE_COMPLETE = """
import sys
from synthetic_sweeps import SPACE, run_sweep
from sweep.mlflow.view import init_store
folder, trials = sys.argv[1], int(sys.argv[2])
space = SPACE
for old, new in (
    ("{name: greedy, num_trials: 8, num_completions: 3}", "{name: standard, num_trials: 8}"),
    ("{name: percentile, percentile: 97, scope: epochs, n_startup_trials: 4, n_warmup_steps: 5}",
     "{name: none}"),
):
    assert old in space
    space = space.replace(old, new)
url = f"sqlite:///{folder}/complete.db"
run_sweep(
    url, "see", num_trials=trials, num_completions=trials, policy="standard", space_text=space
).close()
init_store(f"sqlite:///{folder}/empty.db")
"""
_SYNC = """
import json, shutil, sys, time
from pathlib import Path
from sweep.ledger import Ledger
from sweep.mlflow.view import MlflowView
home, place = Path(sys.argv[1]), Path(sys.argv[2])
place.mkdir()
shutil.copy(home / "empty.db", place / "mlflow.db")
projection = Ledger.open(f"sqlite:///{home}/complete.db", "see").projection
view = MlflowView(f"sqlite:///{place}/mlflow.db", "see", artifact_root=place / "mlartifacts")
begun, empty = time.process_time(), (home / "empty.db").stat().st_size
assert view.sync(projection, final=True)
seconds = time.process_time() - begun
num_folds = sum(len(trial.folds) for trial in projection.trials)
size = sum(file.stat().st_size for file in place.rglob("*") if file.is_file()) - empty
found = {"seconds": seconds / num_folds, "bytes": size / num_folds}
(place / "found.json").write_text(json.dumps(found))
"""


_COMMAND = """
import sys
from sweep.cli import main
sys.exit(main(sys.argv[1:]))
"""
#: What is typed, by the name of its figures.
_COMMANDS = {"list": ("list",), "show": ("show", "see"), "compare": ("compare", "see")}


@dataclass(frozen=True, kw_only=True)
class Builds:
    """Where both builds and the ledger are.

    Attributes:
        before: Folder of the earlier build.
        now: Folder of this one.
        home: Folder with `ledger.db`, which holds the sweep "see".
        small: The same with a tenth of the trials.
        scratch: Folder for what is written.
    """

    before: Path
    now: Path
    home: Path
    small: Path
    scratch: Path


def side_by_side(builds: Builds, run: Callable[[Path], float]) -> tuple[float, float]:
    """Median of the earlier build and of this one, in turns."""
    return in_turns(builds.before, builds.now, run)


def report(builds: Builds) -> dict[str, float]:
    """A report as one file."""
    file = builds.scratch / "report.html"
    before, now = side_by_side(builds, lambda build: cpu_seconds(build, _REPORT, builds.home, file))
    say = {"report_seconds_before": before, "report_seconds": now}
    print(json.dumps(say), file=sys.stderr, flush=True)
    return {**say, "report_cpu": now / before, "report_mb": file.stat().st_size / 1e6}


def mlflow(builds: Builds) -> dict[str, float]:
    """A whole sync with an empty MLflow on SQLite: seconds of its own CPU, start left out."""
    cpu_seconds(builds.before, _MAKE_COMPLETE, builds.home, str(NUM_SYNCED))
    sizes: dict[Path, float] = {}

    def sync(build: Path) -> float:
        with tempfile.TemporaryDirectory(dir=builds.scratch) as folder:
            place = Path(folder) / "mlflow"
            cpu_seconds(build, _SYNC, builds.home, place)
            found = json.loads((place / "found.json").read_text(encoding="utf-8"))
        sizes[build] = found["bytes"]
        return float(found["seconds"])

    before, now = side_by_side(builds, sync)
    say = {"mlflow_ms_a_fold_before": before * 1e3, "mlflow_ms_a_fold": now * 1e3}
    say["mlflow_kb_before"] = sizes[builds.before] / 1e3
    print(json.dumps(say), file=sys.stderr, flush=True)
    size = sizes[builds.now]
    ratios = {"mlflow_cpu": now / before, "mlflow_bytes": size / sizes[builds.before]}
    return {**say, **ratios, "mlflow_kb": size / 1e3}


def terminal(builds: Builds) -> dict[str, float]:
    """Commands that show a sweep, on standard output that is no terminal."""
    figures: dict[str, float] = {}
    for name, words in _COMMANDS.items():

        def run(build: Path, home: Path = builds.home, words: tuple[str, ...] = words) -> float:
            return cpu_seconds(build, _COMMAND, *words, "--home", home)

        before, now = side_by_side(builds, run)
        small = median(run(builds.now, builds.small) for _ in range(NUM_TURNS))
        say = {f"{name}_seconds_before": before, f"{name}_seconds": now}
        say[f"{name}_seconds_small"] = small
        print(json.dumps(say), file=sys.stderr, flush=True)
        figures |= {**say, f"{name}_cpu": now / before, f"{name}_growth": now / small}
    return figures


def live(builds: Builds) -> dict[str, float]:
    """The live page in a browser, beside that at a tenth of the trials, in turns."""
    code = Path(__file__).with_name("live_times.py").read_text(encoding="utf-8")
    found: dict[Path, list[dict[str, float]]] = {builds.small: [], builds.home: []}
    for _ in range(NUM_TURNS):
        for folder, turns in found.items():
            done = subprocess.run(
                [sys.executable, "-c", code, str(folder)],
                cwd=builds.now,
                env={**os.environ, "PYTHONPATH": str(builds.now), "OMP_NUM_THREADS": "1"},
                capture_output=True,
                text=True,
                check=True,
            )
            turns.append(json.loads(done.stdout.splitlines()[-1]))
    said = {}
    for name in ("paint", "update"):
        one, other = (median(turn[name] for turn in turns) for turns in found.values())
        said |= {f"live_{name}": other / one, f"live_{name}_seconds": other}
    print(json.dumps(said), file=sys.stderr, flush=True)
    return said


PARTS: dict[str, Callable[[Builds], dict[str, float]]] = {
    part.__name__: part for part in (report, mlflow, terminal, live)
}
#: Goals by figure: at most this much.
GOALS = {
    "report_cpu": 0.4,
    "report_mb": 2.5,
    "mlflow_cpu": 0.4,
    "mlflow_bytes": 0.25,
    "mlflow_kb": 12.0,
    **{f"{name}_cpu": 0.5 for name in _COMMANDS},
    **{f"{name}_growth": 2.0 for name in _COMMANDS},
    "live_paint": 1.5,
    "live_update": 1.5,
}


def missed(figures: Mapping[str, float]) -> list[str]:
    """The goals that figures miss, with what was found; what is not a number misses."""
    return [
        f"{name} at most {goal}, found {figures[name]:.3g}"
        for name, goal in GOALS.items()
        if name in figures and not figures[name] <= goal
    ]


def main() -> int:
    """Make the ledgers and the earlier build, measure the parts and print the ratios."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("trials", nargs="?", type=int, default=NUM_TRIALS)
    parser.add_argument("--part", choices=PARTS, action="append", help="May come several times.")
    given = parser.parse_args()
    num_trials = given.trials
    figures: dict[str, float] = {"num_trials": num_trials}
    with tempfile.TemporaryDirectory() as folder:
        before, home, small, scratch = (
            Path(folder) / name for name in ("before", "home", "small", "scratch")
        )
        for each in (before, home, small, scratch):
            each.mkdir()
        unpack_before(before)
        cpu_seconds(before, _MAKE, home, str(num_trials))
        cpu_seconds(before, _MAKE, small, str(max(1, num_trials // 10)))
        builds = Builds(before=before, now=ROOT, home=home, small=small, scratch=scratch)
        for name in given.part or PARTS:
            figures |= PARTS[name](builds)
    lost = missed(figures)
    for line in lost:
        print(f"missed: {line}", file=sys.stderr)
    print(json.dumps({name: round(value, 4) for name, value in figures.items()}))
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
