"""How often the 95% intervals that are printed hold the truth, and what else was tried.

    python tests/benchmarks/evidence_coverage.py [--samples 2000]

A hold-out is dealt: its number of positive patients is that of its plan. A store that a model is
evaluated on is not, so it is drawn here with chance. Beside the intervals that are printed stand
those that the gate decides on, and percentiles of a bootstrap over patients. The last line is one
JSON object.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.append(str(Path(__file__).parent))

from evidence_world import PREVALENCE, SCENES, Cases, Scene, Values

from sweep.analysis.intervals import grouped_interval, stated_interval
from sweep.analysis.rates import rate_interval
from sweep.promotion.assess import dice_intervals, paired_interval

#: Cases and images a patient.
SIZES = ((50, 1), (150, 1), (150, 5), (400, 1), (400, 5), (1000, 1), (1000, 5))
_SPANS = ("dice", "dice_positive", "gain", "challenge", "sensitivity", "specificity")


def coverage(
    scene: Scene, num_cases: int, images: int, num_samples: int, *, is_dealt: bool, seed: int
) -> dict[str, dict[str, float | None]]:
    """Share of samples in which an interval holds the truth; None where none has an interval."""
    truths = {
        "dice": scene.winner.dice,
        "dice_positive": scene.winner.positive,
        "gain": scene.winner.dice - (1 - PREVALENCE),
        "challenge": scene.winner.dice - scene.champion.dice,
        "sensitivity": 1 - scene.winner.misses,
        "specificity": 1 - scene.winner.alarms,
    }
    num_patients = num_cases // images
    even = np.full(num_patients, 1 / num_patients)
    # The same resamples serve all samples, whose data are independent.
    drawn = np.random.default_rng(seed).multinomial(num_patients, even, size=500) * 1.0
    stated = partial(stated_interval, is_dealt=is_dealt)
    held: dict[str, dict[str, list[bool]]] = {}
    for number in range(num_samples):
        rng = np.random.default_rng([seed, num_cases, images, number, is_dealt])
        cases = Cases.draw(rng, num_cases, images, is_dealt=is_dealt)
        own, other = (
            model.draw(cases.levels(rng), cases.is_positive)
            for model in (scene.winner, scene.champion)
        )
        found = {
            "printed": _product(cases, own, other, stated) | _rates(cases, own),
            "decided": _product(cases, own, other, grouped_interval),
            "percentiles": {
                key: percentiles(values, cases.groups, drawn)
                for key, values in _values(cases, own, other).items()
            },
        }
        for kind, intervals in found.items():
            for key, (low, high) in intervals.items():
                if low == low:
                    own_held = held.setdefault(kind, {}).setdefault(key, [])
                    own_held.append(bool(low <= truths[key] <= high))
    return {
        kind: {key: round(float(np.mean(by_key[key])), 4) if key in by_key else None
               for key in _SPANS if kind == "printed" or key in _SPANS[:4]}
        for kind, by_key in held.items()
    }  # fmt: skip


def percentiles(values: Values, groups: Sequence[str], drawn: Values) -> Values:
    """An interval by a bootstrap over patients, cases that are NaN left out."""
    member_of = np.asarray(groups, dtype=np.int64)
    counts = np.isfinite(values)
    sums = drawn @ np.bincount(member_of, np.where(counts, values, 0.0))
    sizes = drawn @ np.bincount(member_of, counts)
    if not (sizes > 0).any():
        return np.array([np.nan, np.nan])
    return np.quantile(sums[sizes > 0] / sizes[sizes > 0], [0.025, 0.975])


def coverage_figures(num_samples: int, sizes: Sequence[tuple[int, int]] = SIZES) -> dict[str, Any]:
    """Coverage of all scenes and sizes, printed as tables of the lowest and the highest."""
    figures: dict[str, Any] = {}
    for is_dealt in (True, False):
        word = "dealt" if is_dealt else "drawn"
        print(f"\ncoverage of 95% intervals, {num_samples} samples, positive patients {word}")
        print(f"  {'':24}" + "".join(f"{key:>17}" for key in _SPANS))
        for num_cases, images in sizes:
            found = {
                scene.name: coverage(
                    scene, num_cases, images, num_samples, is_dealt=is_dealt, seed=index
                )
                for index, scene in enumerate(SCENES)
            }
            figures[f"{num_cases}x{images} {word}"] = found
            for kind in ("printed", "decided", "percentiles"):
                cells = (_range(found, kind, key) for key in _SPANS)
                name = f"{num_cases} x {images} {kind}"
                print(f"  {name:24}" + "".join(f"{cell:>17}" for cell in cells), flush=True)
    return figures


def _values(cases: Cases, own: Values, other: Values) -> dict[str, Values]:
    return {
        "dice": own,
        "dice_positive": np.where(cases.is_positive, own, np.nan),
        "gain": own - ~cases.is_positive,
        "challenge": own - other,
    }


def _product(cases: Cases, own: Values, other: Values, method: Any) -> dict[str, Any]:
    sick, groups = cases.is_positive, cases.groups
    challenge = paired_interval(own, other, sick, groups, method=method)
    return dice_intervals(own, sick, groups, method=method) | {"challenge": challenge}


def _rates(cases: Cases, own: Values) -> dict[str, Any]:
    found: NDArray[np.bool_] = own > 0
    return {
        "sensitivity": rate_interval(found, cases.is_positive, cases.groups),
        "specificity": rate_interval(found, ~cases.is_positive, cases.groups),
    }


def _range(found: Mapping[str, Any], kind: str, key: str) -> str:
    known = [one[kind][key] for one in found.values() if one.get(kind, {}).get(key) is not None]
    return f"{min(known):.3f} to {max(known):.3f}" if known else "-"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=2000)
    print(json.dumps(coverage_figures(parser.parse_args(arguments).samples)))


if __name__ == "__main__":
    main()
