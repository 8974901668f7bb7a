"""Does the gate hold? Sweeps with a known truth through its own functions.

    python tests/benchmarks/bench_evidence.py [--quick] [--sweeps 2000]

A sweep draws a hold-out of patients and the Dice of each case (`evidence_world`); its winner is the
best of eight by a noisy search score. Beside the gate stands the gate as it was: points, and
percentiles of a bootstrap over patients. How often intervals hold the truth is measured by
`evidence_coverage`. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

sys.path += [str(Path(__file__).parent), str(Path(__file__).resolve().parents[1] / "support")]

from evidence_coverage import coverage_figures, percentiles
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


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Run the bench and print its tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few sweeps of two sizes")
    parser.add_argument("--sweeps", type=int, default=2000, help="null sweeps a size")
    options = parser.parse_args(arguments)
    begun = time.monotonic()
    sizes = (
        [(50, 1), (150, 5)]
        if options.quick
        else [(num_cases, images) for num_cases in (50, 150, 400, 1000) for images in (1, 5)]
    )
    full = 40 if options.quick else options.sweeps
    figures: dict[str, Any] = {}
    for num_cases, images in sizes:
        found = {}
        for index, scene in enumerate(SCENES):
            number = full if index == 0 or options.quick else full // 2
            found[scene.name] = simulate(scene, num_cases, images, number, seed=index)
        show(num_cases, images, found)
        figures[f"{num_cases}x{images}"] = found
    figures["coverage"] = coverage_figures(full, sizes)
    print(f"\n{time.monotonic() - begun:.0f} s")
    print(json.dumps(figures))
    return figures


if __name__ == "__main__":
    main()
