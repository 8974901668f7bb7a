"""A champion on real cases without a GPU, judged by cases that it never saw.

    python tests/benchmarks/bench_champion.py [--seeds 3] [--space cpu] [--hours 2] [--cases N]
        [--first 0] [--keep FOLDER]

A seed takes most of an hour: with `--keep`, those that the folder holds are not run again. For each
seed a fifth of the cases is set aside, another fifth each time; the others go the way of a
user: `data import`, `run SPACE`, `promote`, `predict`, `evaluate`. Where the gate refuses, its
verdict is kept and the model is promoted by force, so that it can be judged all the same. Needs the
real slice that the tests use (`PTXSWEEP_SIIM`). The last line is one JSON object; exit code 1 says
that a goal is missed. Over the cases set aside of all seeds, at the deployed rules, both empty = 1:

    gain               Dice over predicting nothing, mean of cases, with its 95% interval over
                       patients (goal: lower end above 0)
    all_empty          Dice of predicting nothing on the same cases
    dice_positive      Dice over positive cases (goal at least 0.30)
    case_area          area under the ROC curve of cases, mean of the seeds: calibrations are each
                       sweep's own (goal at least 0.75); its 95% intervals by seed
    sensitivity_at_95  at the threshold that each sweep chose for a specificity of 95%, beside
    specificity_at_95  what that came to
    false_alarms       share of healthy cases with a mask
    hours              of `run` on this machine, the longest (goal at most 2)
    gates              how often the gate let a champion pass, of the seeds
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

sys.path.append(str(Path(__file__).resolve().parents[1] / "support"))

from siim_slice import find_slice

from ptxcore.metrics import roc_area
from sweep.analysis.intervals import GAIN, stated_interval
from sweep.analysis.roc_interval import roc_interval

NUM_PARTS = 5
#: What figures are to reach.
GOALS = {"dice_positive": 0.30, "case_area": 0.75}
#: What the gain over predicting nothing is to exceed with its lower end.
NO_GAIN = 0.0
MOST_HOURS = 2.0
MODEL = "bench"
SPECIFICITY = "0.95"


def ptxsweep(*words: str | Path, home: Path | None = None, allowed: Sequence[int] = (0,)) -> Any:
    """JSON of a command; its progress goes to standard error. With the exit code as `exit`."""
    where = [] if home is None else ["--home", str(home)]
    print("$ ptxsweep", *words, file=sys.stderr, flush=True)
    done = subprocess.run(
        [sys.executable, "-m", "sweep.cli", *map(str, words), *where, "--json"],
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode not in allowed:
        sys.exit(f"ptxsweep {words[0]}: exit code {done.returncode}")
    return {**json.loads(done.stdout), "exit": done.returncode}


def positive_ids(runs: Path) -> dict[str, bool]:
    """Whether an annotated image has a mask, by its id."""
    with runs.open(encoding="utf-8", newline="") as file:
        rows = [[word.strip() for word in row] for row in csv.reader(file)][1:]
    found: dict[str, bool] = {}
    for name, run_lengths in rows:
        found[name] = found.get(name, False) or run_lengths != "-1"
    return found


def set_aside(positive: Mapping[str, bool], seed: int) -> set[str]:
    """A fifth of the positive and a fifth of the healthy ones, others for each seed below five."""
    chosen: set[str] = set()
    for kind in (True, False):
        names = np.array(sorted(name for name, own in positive.items() if own is kind))
        order = np.random.default_rng(0).permutation(len(names))
        chosen |= {*names[order[seed % NUM_PARTS :: NUM_PARTS]].tolist()}
    return chosen


def champion(
    files: Mapping[str, Path],
    positive: Mapping[str, bool],
    seed: int,
    given: argparse.Namespace,
    root: Path,
) -> dict[str, Any]:
    """One sweep in an empty folder, from import to the judgement of its champion."""
    runs, aside = given.data / "train-rle.csv", set_aside(positive, seed)
    home = root / "home"
    for part in ("searched", "unseen"):
        (root / part).mkdir()
        for name in positive:
            if (name in aside) is (part == "unseen"):
                os.symlink(files[name], root / part / files[name].name)
        words = ("--dicom", root / part, "--rle", runs, "--store", root / f"{part}.store")
        ptxsweep("data", "import", *words)
    began = time.perf_counter()
    hours = ["--hours", str(given.hours)] if given.hours else []
    store = ("--store", root / "searched.store")
    sweep = ("--name", "bench", "--seed", str(seed))
    ptxsweep("run", given.space, *store, *sweep, *hours, home=home)
    hours_taken = (time.perf_counter() - began) / 3600
    promote = ("promote", "bench", "--model-name", MODEL)
    verdict = ptxsweep(*promote, home=home, allowed=(0, 3))
    if verdict["exit"]:
        why = ("--force", "--again", "--reason", "to be judged by unseen cases")
        ptxsweep(*promote, *why, home=home)
    table, unseen = root / "cases.csv", ("--store", root / "unseen.store", "--cases")
    model = f"models:/{MODEL}@champion"
    ptxsweep("evaluate", model, *unseen, table, home=home)
    told = ptxsweep(
        "predict", root / "unseen", "--champion", MODEL, "--out", root / "out", home=home
    )
    with table.open(encoding="utf-8", newline="") as file:
        cases = [*csv.DictReader(file)]
    calls = {Path(one["source"]).stem: one["case"] for one in told["predictions"]}
    by_name = {files[name].stem: positive[name] for name in aside}
    ill = np.array([by_name[stem] for stem in calls])
    probability = np.array([call["probability"] for call in calls.values()])
    called = np.array([call["called"][SPECIFICITY] for call in calls.values()])
    return {
        "seed": seed,
        "hours": hours_taken,
        "passed": not verdict["exit"],
        "reasons": verdict.get("reasons", []),
        "dice": [float(case["dice"]) for case in cases],
        "ill": [int(case["true_px"]) > 0 for case in cases],
        "marked": [int(case["predicted_px"]) > 0 for case in cases],
        "area": float(roc_area(probability, ill)),
        "area_interval": [float(end) for end in roc_interval(probability, ill, [*calls])[1:]],
        "hits": [int(called[ill].sum()), int(ill.sum())],
        "rest": [int((~called[~ill]).sum()), int((~ill).sum())],
    }


def kept_or_new(
    files: Mapping[str, Path], positive: Mapping[str, bool], seed: int, given: argparse.Namespace
) -> dict[str, Any]:
    """What was found with a seed: read if the folder that keeps sweeps has it, else measured."""
    if given.keep is None:
        with tempfile.TemporaryDirectory() as folder:
            return champion(files, positive, seed, given, Path(folder))
    root = given.keep.resolve() / f"seed-{seed}"
    told = root / "found.json"
    if not told.exists():
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir(parents=True)
        told.write_text(json.dumps(champion(files, positive, seed, given, root)), encoding="utf-8")
    found: dict[str, Any] = json.loads(told.read_text(encoding="utf-8"))
    return found


def figures(found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What all seeds together say."""
    dice, ill, marked = (
        np.concatenate([np.asarray(one[name]) for one in found])
        for name in ("dice", "ill", "marked")
    )
    gain = dice - ~ill
    groups = [str(number) for number in range(len(gain))]
    low, high = stated_interval(gain, groups, ill, is_dealt=True, ends=GAIN)
    return {
        "num_cases": len(ill),
        "all_empty": float((~ill).mean()),
        "gain": float(gain.mean()),
        "gain_low": low,
        "gain_high": high,
        "dice_positive": float(dice[ill].mean()),
        "case_area": float(np.mean([one["area"] for one in found])),
        "case_area_intervals": [[float(end) for end in one["area_interval"]] for one in found],
        "sensitivity_at_95": float(np.divide(*np.sum([one["hits"] for one in found], axis=0))),
        "specificity_at_95": float(np.divide(*np.sum([one["rest"] for one in found], axis=0))),
        "false_alarms": float(marked[~ill].mean()),
        "hours": max(one["hours"] for one in found),
        "gates": sum(one["passed"] for one in found),
        "num_seeds": len(found),
    }


def missed(found: Mapping[str, Any]) -> list[str]:
    """Goals that are missed, with what was found; what is not a number misses."""
    lost = [
        f"{name}: at least {goal}, found {found[name]:.3f}"
        for name, goal in GOALS.items()
        if not found[name] >= goal
    ]
    if not found["gain_low"] > NO_GAIN:
        lost.append(f"gain_low: above {NO_GAIN}, found {found['gain_low']:.3f}")
    if not found["hours"] <= MOST_HOURS:
        lost.append(f"hours: at most {MOST_HOURS}, found {found['hours']:.2f}")
    return lost


def main() -> int:
    """Search, promote and judge once for each seed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--seeds", type=int, default=3, help="1 to 5: how many sweeps.")
    parser.add_argument("--first", type=int, default=0, help="The first of them.")
    parser.add_argument("--space", default="cpu", help="Shipped search space, or a file.")
    parser.add_argument("--hours", type=float, help="As of `ptxsweep run`.")
    parser.add_argument("--cases", type=int, help="At most so many cases, to see that it runs.")
    parser.add_argument("--keep", type=Path, help="Folder for the sweeps, 100 MB each.")
    given = parser.parse_args()
    given.data = find_slice()
    if given.data is None:
        sys.exit("found no real slice: set PTXSWEEP_SIIM to the folder with dicom, train-rle.csv")
    positive = positive_ids(given.data / "train-rle.csv")
    files = {path.stem: path for path in sorted((given.data / "dicom").rglob("*.dcm"))}
    positive = {name: own for name, own in positive.items() if name in files}
    if given.cases:
        positive = dict([*positive.items()][: given.cases])
    found = []
    for seed in range(given.first, given.first + given.seeds):
        found.append(kept_or_new(files, positive, seed, given))
        shown = {key: value for key, value in figures(found[-1:]).items() if key != "num_seeds"}
        print(json.dumps({**shown, "reasons": found[-1]["reasons"]}), file=sys.stderr, flush=True)
    all_seeds = figures(found)
    for line in missed(all_seeds):
        print(f"missed: {line}", file=sys.stderr)
    print(json.dumps(all_seeds))
    return 1 if missed(all_seeds) else 0


if __name__ == "__main__":
    sys.exit(main())
