"""Does the gate hold? Sweeps with a known truth through its own functions.

    python tests/benchmarks/bench_evidence.py [--quick] [--sweeps 2000]

A sweep draws a hold-out of patients (share of positive cases 0.22) and the Dice of each case: a
healthy one 1 or, by a false alarm, 0; a positive one 0 for a miss, else from a beta distribution.
Models err alike on the same case and on the same patient, through normal scores. Its winner is the
best of eight by a noisy search score. Beside the gate stands the gate as it was: points, and
percentiles of a bootstrap over patients. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr
from scipy.stats import beta

sys.path.append(str(Path(__file__).resolve().parents[1] / "support"))

from projections import folds, projection

from ptxcore.types import Rule
from sweep.analysis.intervals import num_positive_patients
from sweep.ledger.projection import Projection
from sweep.promotion.assess import CONFIDENCE, dice_intervals, paired_interval
from sweep.promotion.confirmation import ChampionBeside, Confirmation
from sweep.promotion.gate import Champion, Verdict, verdict
from sweep.records import State, SweepState

PREVALENCE = 0.22
#: Of patients with several images; their images are positive more often.
SICK = 0.3
NUM_TRIALS = 8
#: Shares of a model's normal score that patient, case, and patient with model explain.
PATIENT, CASE, HABIT = 0.2, 0.45, 0.1
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Model:
    """What a network does: false alarms, misses, and the beta distribution of other Dice."""

    alarms: float
    misses: float
    a: float = 4.0
    b: float = 2.0
    grid: Values = field(init=False, repr=False)

    def __post_init__(self) -> None:
        quantiles = beta.ppf(np.linspace(0, 1, 1001), self.a, self.b)
        object.__setattr__(self, "grid", quantiles)

    @property
    def positive(self) -> float:
        """True mean Dice over positive cases."""
        return (1 - self.misses) * self.a / (self.a + self.b)

    @property
    def dice(self) -> float:
        """True mean Dice."""
        return PREVALENCE * self.positive + (1 - PREVALENCE) * (1 - self.alarms)

    def draw(self, level: Values, is_positive: NDArray[np.bool_]) -> Values:
        """Dice of each case from uniform levels."""
        hit = (level - self.misses) / (1 - self.misses)
        found = np.interp(hit, np.linspace(0, 1, 1001), self.grid)
        sick = np.where(level < self.misses, 0.0, found)
        return np.where(is_positive, sick, (level >= self.alarms) * 1.0)


#: Much like a small U-Net on SIIM-ACR: Dice 0.86 where predicting nothing has 0.78.
BASE = Model(alarms=0.06, misses=0.15)


def worth(dice: float, misses: float) -> Model:
    """A model of that true Dice, by as many false alarms as it takes."""
    plain = Model(alarms=0.0, misses=misses)
    alarms = 1 - (dice - PREVALENCE * plain.positive) / (1 - PREVALENCE)
    return Model(alarms=alarms, misses=misses)


@dataclass(frozen=True)
class Scene:
    """Who stands against whom; the default and the champion are `BASE` unless said."""

    name: str
    winner: Model
    default: Model = BASE
    champion: Model = BASE


SCENES = (
    Scene("equal", BASE),
    Scene("equal, fewer misses, more false alarms", worth(BASE.dice, 0.02)),
    Scene("equal, more misses, fewer false alarms", worth(BASE.dice, 0.28)),
    Scene("+0.01", worth(BASE.dice + 0.01, 0.14)),
    Scene("+0.02", worth(BASE.dice + 0.02, 0.12)),
    Scene("+0.05", worth(BASE.dice + 0.05, 0.05)),
    Scene("0.02 worse than the default", worth(BASE.dice - 0.02, 0.2)),
    Scene("worth predicting nothing", worth(1 - PREVALENCE, 0.3)),
    Scene("worth predicting nothing, cautious", worth(1 - PREVALENCE, 0.85)),
)


@dataclass(frozen=True)
class Cases:
    """A hold-out: who is whose, who is positive, and what all models share."""

    groups: list[str]
    is_positive: NDArray[np.bool_]
    shared: Values

    @classmethod
    def draw(cls, rng: np.random.Generator, num_cases: int, images: int) -> Cases:
        """Patients in two strata of fixed size, as `make_plan` deals them."""
        num_patients = num_cases // images
        share = PREVALENCE if images == 1 else SICK
        patient = np.repeat(np.arange(num_patients), images)
        sick = patient < round(share * num_patients)
        is_positive = sick if images == 1 else sick & (rng.random(num_cases) < PREVALENCE / SICK)
        each = rng.normal(size=num_patients)[patient] * PATIENT**0.5
        shared = each + rng.normal(size=num_cases) * CASE**0.5
        return cls([str(one) for one in patient], is_positive, shared)

    def levels(self, rng: np.random.Generator) -> Values:
        """One model's own: uniform, low where a case is hard for it."""
        patient = np.asarray(self.groups, dtype=np.int64)
        habit = rng.normal(size=patient[-1] + 1)[patient] * HABIT**0.5
        own = rng.normal(size=len(patient)) * (1 - PATIENT - CASE - HABIT) ** 0.5
        return np.asarray(ndtr(self.shared + habit + own))


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


def percentiles(values: Values, groups: Sequence[str], drawn: Values) -> Values:
    """The interval as it was: a bootstrap over patients, cases that are NaN left out."""
    member_of = np.asarray(groups, dtype=np.int64)
    counts = np.isfinite(values)
    sums = drawn @ np.bincount(member_of, np.where(counts, values, 0.0))
    sizes = drawn @ np.bincount(member_of, counts)
    return np.quantile(sums[sizes > 0] / sizes[sizes > 0], [0.025, 0.975])


def simulate(
    scene: Scene, num_cases: int, images: int, num_sweeps: int, seed: int
) -> dict[str, dict[str, float | None]]:
    """Shares of sweeps that pass, now and before, and of intervals that cover the truth."""
    sweep = finished_sweep()
    truths = {
        "dice": scene.winner.dice,
        "dice_positive": scene.winner.positive,
        "gain": scene.winner.dice - (1 - PREVALENCE),
        "difference": scene.winner.dice - scene.default.dice,
        "challenge": scene.winner.dice - scene.champion.dice,
    }
    tallies: dict[str, list[dict[str, Any]]] = {
        name: [] for name in ("now", "before", "coverage", "coverage before")
    }
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
        before = {
            "dice": own,
            "dice_positive": np.where(cases.is_positive, own, np.nan),
            "gain": own - ~cases.is_positive,
            "difference": own - dice["default"],
            "challenge": own - dice["champion"],
        }
        old = {key: percentiles(one, cases.groups, drawn) for key, one in before.items()}
        tallies["now"].append(gate_now(found, sweep))
        tallies["before"].append(gate_before(found, float(old["difference"][1])))
        tallies["coverage"].append(_covered(found.intervals, truths))
        tallies["coverage before"].append(_covered(old, truths))
    return {name: _shares(rows) for name, rows in tallies.items()}


def _covered(intervals: Mapping[str, Any], truths: Mapping[str, float]) -> dict[str, bool | None]:
    """Whether each interval holds the truth; None where there are too few patients for one."""
    return {
        key: bool(low <= truth <= high) if low == low else None
        for key, truth in truths.items()
        for low, high in [intervals[key]]
    }


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
    spans = ("dice", "dice_positive", "gain", "difference", "challenge")
    print("  coverage of 95% intervals now (before)")
    print(f"  {'':44}" + "".join(f"{key:>15}" for key in spans))
    for name, one in found.items():
        cells = (
            f"{_cell(one['coverage'][key])} ({_cell(one['coverage before'][key])})" for key in spans
        )
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
    figures: dict[str, Any] = {}
    for num_cases, images in sizes:
        found = {}
        for index, scene in enumerate(SCENES):
            full = 40 if options.quick else options.sweeps
            number = full if index == 0 or options.quick else full // 2
            found[scene.name] = simulate(scene, num_cases, images, number, seed=index)
        show(num_cases, images, found)
        figures[f"{num_cases}x{images}"] = found
    print(f"\n{time.monotonic() - begun:.0f} s")
    print(json.dumps(figures))
    return figures


if __name__ == "__main__":
    main()
