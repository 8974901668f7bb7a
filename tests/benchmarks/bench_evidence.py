"""Is what the platform says true? Sweeps with a known truth through its own functions.

    python tests/benchmarks/bench_evidence.py [--quick] [--sweeps 2000] [--workers 2]

Seven parts: what the gate passes (here), what it says of costs and of parts of the cases
(`evidence_gate`), and of failures of whole patients (`evidence_patients`), how often intervals hold
the truth (`evidence_coverage`), many promotions on one hold-out and the bias of confirmed scores
(`evidence_spending`), how often the best of many is called better
(`evidence_selection`). For the gate a sweep draws a hold-out of patients and the Dice
of each case (`evidence_world`); its winner is the best of eight by a noisy search score. Beside the
gate stands the gate as it was: points, and percentiles of a bootstrap over patients. Goals that are
missed are said on standard error, and the exit code is 1. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import io
import json
import multiprocessing
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

sys.path += [str(Path(__file__).parent), str(Path(__file__).resolve().parents[1] / "support")]

from evidence_coverage import coverage_figures, percentiles
from evidence_gate import PARTED, TRADES, gate_figures
from evidence_patients import SIZES as PATIENTS
from evidence_patients import patient_figures
from evidence_selection import selection_figures
from evidence_spending import confirmation_figures, spending_figures
from evidence_world import SCENES, Cases, Scene, Values
from projections import folds, projection

from ptxcore.types import Rule
from sweep.analysis.intervals import num_positive_patients
from sweep.ledger.projection import Projection
from sweep.promotion.assess import CONFIDENCE, dice_intervals, paired_interval
from sweep.promotion.confirmation import ChampionBeside, Confirmation
from sweep.promotion.gate import Champion, Verdict, verdict
from sweep.records import State, SweepState

NUM_TRIALS = 8


def finished_sweep() -> Projection:
    """A finished sweep that trial 1 won; what the gate asks of it holds."""
    made = projection(num_folds=2)
    made.header = dataclasses.replace(made.header, plan_digest="p", data_hash="d")
    for scores in ((0.5, 0.5), (0.7, 0.7)):
        made.end(folds(made, scores), State.COMPLETE, None, "then")
    made.sweep_state = SweepState.FINISHED
    return made


def confirmation(cases: Cases, dice: Mapping[str, Values]) -> Confirmation:
    """As `sweep.promotion.confirm` makes it."""
    sick = cases.is_positive
    winner = dice["winner"]
    intervals = dice_intervals(winner, sick, cases.groups)
    for key, other in (("difference", "default"), ("challenge", "champion")):
        intervals[key] = paired_interval(winner, dice[other], sick, cases.groups)
    metrics = {
        "dice": float(winner.mean()),
        "dice_positive": float(winner[sick].mean()) if sick.any() else float("nan"),
        "dice_all_empty": float(1 - sick.mean()),
    }
    return Confirmation(
        **{"sweep": "s", "trial": 1, "metrics": metrics, "rule": Rule()},
        **{"default": {"dice": float(dice["default"].mean())}, "use": 1, "num_uses": 1},
        intervals={key: (low, high) for key, (low, high) in intervals.items()},
        **{"num_cases": len(sick), "num_positive": int(sick.sum())},
        **{"num_groups": len(set(cases.groups)), "confidence": CONFIDENCE},
        **{"data_hash": "d", "plan_digest": "p", "holdout_digest": "h"},
        **{"timestamp": "now", "git_sha": "unknown", "phantom": True},
        champion=ChampionBeside(
            name="m",
            version="1",
            exposure="",
            metrics={"dice": float(dice["champion"].mean())},
            problem=None,
        ),
        num_positive_groups=num_positive_patients(cases.groups, sick),
        subgroups={},
    )


CHECKS = {
    "nothing": "dice above the all-empty baseline",
    "floor": "dice over positives",
    "default": "dice against the default trial",
    "champion": "dice against the champion (m version 1)",
}


def gate_now(found: Confirmation, sweep: Projection) -> dict[str, bool]:
    """What the gate says, in all and check by check."""
    said: Verdict = verdict(found, sweep, champion=Champion(name="m", version="1"))
    passed = {check.name: check.passed for check in said.checks}
    return {"verdict": said.passed} | {key: passed[name] for key, name in CHECKS.items()}


def gate_before(found: Confirmation, high_of_difference: float) -> dict[str, bool]:
    """The rules as they were: points, but for the upper end against the default."""
    assert found.difference is not None
    assert found.challenge is not None
    passed = {
        "nothing": found.gain > 0,
        "floor": found.metrics["dice_positive"] >= 0.1,
        "default": found.difference >= -0.02 and high_of_difference >= 0,
        "champion": found.challenge >= 0,
    }
    return {"verdict": all(passed.values()), **passed}


def simulate(
    scene: Scene, num_cases: int, images: int, num_sweeps: int, seed: int
) -> dict[str, dict[str, float | None]]:
    """Shares of sweeps that pass, now and before."""
    sweep = finished_sweep()
    tallies: dict[str, list[dict[str, Any]]] = {name: [] for name in ("now", "before")}
    num_patients = num_cases // images
    even = np.full(num_patients, 1 / num_patients)
    # The old interval's resamples: the same ones serve all sweeps, whose data are independent.
    drawn = np.random.default_rng(seed).multinomial(num_patients, even, size=500) * 1.0
    for number in range(num_sweeps):
        rng = np.random.default_rng([seed, num_cases, images, number])
        cases = Cases.draw(rng, num_cases, images)
        # Trials are equal and the search's scores are of other cases, so any may be best. Where
        # that is the default, it need not stand against itself: see the champion's column.
        best = 1 + int(np.argmax(rng.normal(size=NUM_TRIALS - 1)))
        levels = {number: cases.levels(rng) for number in (0, best)}
        own = scene.winner.draw(levels[best], cases.is_positive)
        dice = {
            "winner": own,
            "default": scene.default.draw(levels[0], cases.is_positive),
            "champion": scene.champion.draw(cases.levels(rng), cases.is_positive),
        }
        found = confirmation(cases, dice)
        old = percentiles(own - dice["default"], cases.groups, drawn)
        tallies["now"].append(gate_now(found, sweep))
        tallies["before"].append(gate_before(found, float(old[1])))
    return {name: _shares(rows) for name, rows in tallies.items()}


def _shares(rows: Sequence[Mapping[str, bool | None]]) -> dict[str, float | None]:
    found: dict[str, float | None] = {}
    for key in rows[0]:
        known = [row[key] for row in rows if row[key] is not None]
        found[key] = round(sum(map(bool, known)) / len(known), 4) if known else None
    return found


def show(num_cases: int, images: int, found: Mapping[str, Mapping[str, Any]]) -> None:
    """One table for a size."""
    print(f"\n{num_cases} cases, {images} image(s) a patient: passed now (before)")
    keys = ("verdict", *CHECKS)
    print(f"  {'':44}" + "".join(f"{key:>15}" for key in keys))
    for name, one in found.items():
        cells = (f"{_cell(one['now'][key])} ({_cell(one['before'][key])})" for key in keys)
        print(f"  {name:44}" + "".join(f"{cell:>15}" for cell in cells))


def _cell(share: float | None) -> str:
    return "none" if share is None else f"{share:.3f}"


def gate_tables(
    num_sweeps: int, sizes: Sequence[tuple[int, int]], *, is_quick: bool
) -> dict[str, Any]:
    """What passes, of every scene, by size; printed as tables."""
    figures: dict[str, Any] = {}
    for num_cases, images in sizes:
        found = {}
        for index, scene in enumerate(SCENES):
            number = num_sweeps if index == 0 or is_quick else num_sweeps // 2
            found[scene.name] = simulate(scene, num_cases, images, number, seed=index)
        show(num_cases, images, found)
        figures[f"{num_cases}x{images}"] = found
    return figures


def measured(part: str, num_sweeps: int, is_quick: bool) -> tuple[str, dict[str, Any]]:
    """One part of the bench: its tables as text, and its figures.

    Args:
        part: A key of what is printed at the end.
        num_sweeps: Sweeps, samples or rows of each kind.
        is_quick: Whether two sizes do.
    """
    every = [(num_cases, images) for num_cases in (50, 150, 400, 1000) for images in (1, 5)]
    sizes = [(50, 1), (150, 5)] if is_quick else every
    parts: dict[str, Callable[[], dict[str, Any]]] = {
        "selection": lambda: selection_figures(num_sweeps),
        "gate": lambda: gate_tables(num_sweeps, sizes, is_quick=is_quick),
        "questions": lambda: gate_figures(num_sweeps, sizes),
        "patients": lambda: patient_figures(num_sweeps, PATIENTS[3:4] if is_quick else PATIENTS),
        # Its range needs fewer samples than a share that must be small.
        "coverage": lambda: coverage_figures(num_sweeps if is_quick else num_sweeps // 4, sizes),
        "spending": lambda: spending_figures(num_sweeps, *([[(150, 5)]] if is_quick else [])),
        "confirmed": lambda: confirmation_figures(num_sweeps),
    }
    tables = io.StringIO()
    with contextlib.redirect_stdout(tables):
        begun = time.monotonic()
        figures = parts[part]()
        print(f"\n{part}: {time.monotonic() - begun:.0f} s")
    return tables.getvalue(), figures


def goals_missed(figures: Mapping[str, Any]) -> list[str]:
    """Goals that the figures do not reach, in words."""
    gate, spending = figures["gate"], figures["spending"]["rows"]
    shares = {
        f"equal passes the gate, {size}": (found[name]["now"]["verdict"], 0.05)
        for size, found in gate.items()
        for name in found
        if name.startswith("equal")
    }
    for size, found in figures["questions"]["cheaper"].items():
        for trade in TRADES:
            if not trade.may_pass:
                shares[f"passes as cheaper, {trade.name}, {size}"] = (found[trade.name], 0.05)
    for size, found in figures["questions"]["subgroups"].items():
        for parted in PARTED:
            if not parted.is_worse:
                refused = found[parted.name]["refused"]
                shares[f"refused for a part, {parted.name}, {size}"] = (refused, 0.05)
    for failing, found in figures["patients"]["errors"].items():
        for size, share in found.items():
            shares[f"equal, and fails whole patients, {failing}, {size}"] = (share, 0.05)
    for size, found in spending.items():
        shares[f"an equal row errs, {size}"] = (found["spent"]["false promotion in a row"], 0.05)
    for name, share in figures["selection"].items():
        if not name.startswith("power") and not name.endswith("_single"):
            shares[f"an equal trial is called better, {name}"] = (share, 0.025)
    for name, found in figures["confirmed"].items():
        if not name.endswith("luck 0.01"):  # which is shown as the limit that it is
            shares[f"bias of the confirmed score, {name}"] = (abs(found["confirmed"]), 0.002)
    return [f"{what}: {share}" for what, (share, allowed) in shares.items() if share > allowed]


#: The longest first, so that two processes end together.
PARTS = ("gate", "questions", "patients", "coverage", "spending", "selection", "confirmed")


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Run the bench, print its tables, and end with one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few sweeps of two sizes")
    parser.add_argument("--sweeps", type=int, default=2000, help="null sweeps, rows or samples")
    parser.add_argument("--workers", type=int, default=1, help="processes")
    options = parser.parse_args(arguments)
    number = 40 if options.quick else options.sweeps
    run = partial(measured, num_sweeps=number, is_quick=options.quick)
    figures: dict[str, Any] = {}
    with contextlib.ExitStack() as stack:
        spread: Callable[..., Iterable[tuple[str, dict[str, Any]]]] = map
        if options.workers > 1:
            # Each process reads the modules itself: a fork would copy what threads hold.
            context = multiprocessing.get_context("spawn")
            pool = ProcessPoolExecutor(options.workers, mp_context=context)
            spread = stack.enter_context(pool).map
        for part, (tables, found) in zip(PARTS, spread(run, PARTS), strict=True):
            print(tables, end="", flush=True)
            figures[part] = found
    print(json.dumps(figures))
    if (missed := goals_missed(figures)) and not options.quick:
        sys.exit(f"missed: {'; '.join(missed)}")
    return figures


if __name__ == "__main__":
    main()
