"""The gate's other questions, on sweeps with a known truth: cheaper, and worse on a part?

    python tests/benchmarks/evidence_gate.py [--quick] [--sweeps 2000]

`gates/cheaper.yaml` must not pass a winner that costs as much as the champion, nor one that is
worse by the whole margin; costs are drawn with a noise of 10% an image beside what winner and
champion share. Parts of the cases are two views, four quartiles of mask size and three sites; a
winner that is equal on all of them, or better, should be refused for a part in 5% at most. What may
not happen is simulated five times as often as what should. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.append(str(Path(__file__).resolve().parents[1] / "support"))
sys.path.append(str(Path(__file__).resolve().parent))

from evidence_world import BASE, Cases, Model, Values, worth

from sweep.promotion.costs import NUM_IMAGES, Costs
from sweep.promotion.gate import Champion, verdict
from sweep.promotion.gate_file import load_gate
from sweep.promotion.subgroups import PartDifference, compare_parts

SIZES = tuple((num_cases, images) for num_cases in (50, 150, 400, 1000) for images in (1, 5))
NUM_SITES = 3
#: Power needs fewer sweeps than an error that must be rare.
FEWER = 5
CHAMPION = Champion(name="m", version="1")


@dataclass(frozen=True)
class Trade:
    """A winner by its true Dice, and what it takes of what the champion takes."""

    name: str
    winner: Model
    num_networks: int = 5
    time: float = 1.0
    may_pass: bool = True


TRADES = (
    Trade("equal, costs as much", BASE, may_pass=False),
    Trade("0.02 better, costs as much", worth(BASE.dice + 0.02, 0.12)),
    Trade("0.02 worse, 4 of 5 networks", worth(BASE.dice - 0.02, 0.2), 4, 0.8, may_pass=False),
    Trade("0.01 worse, 4 of 5 networks", worth(BASE.dice - 0.01, 0.17), 4, 0.8),
    Trade("equal, 4 of 5 networks", BASE, 4, 0.8),
    Trade("equal, in 0.7 of the time", BASE, 5, 0.7),
    Trade("equal, in 0.9 of the time", BASE, 5, 0.9),
    Trade("0.02 better, 4 of 5 networks", worth(BASE.dice + 0.02, 0.12), 4, 0.8),
)


@dataclass(frozen=True)
class Parted:
    """A winner on AP views and on all others."""

    name: str
    ap: Model
    rest: Model
    is_worse: bool = True


PARTED = (
    Parted("equal", BASE, BASE, is_worse=False),
    Parted(
        "equal, fewer misses, more false alarms",
        worth(BASE.dice, 0.02),
        worth(BASE.dice, 0.02),
        is_worse=False,
    ),
    Parted(
        "0.02 better",
        worth(BASE.dice + 0.02, 0.12),
        worth(BASE.dice + 0.02, 0.12),
        is_worse=False,
    ),
    Parted("0.05 worse on AP", worth(BASE.dice - 0.05, 0.25), BASE),
    Parted("0.1 worse on AP", worth(BASE.dice - 0.1, 0.3), BASE),
)


def drawn_parts(rng: np.random.Generator, cases: Cases) -> dict[str, NDArray[np.bool_]]:
    """Views and sites by patient, quartiles of mask size by positive case."""
    patient = np.asarray(cases.groups, dtype=np.int64)
    num_patients = int(patient[-1]) + 1
    is_ap = (rng.random(num_patients) < 0.4)[patient]
    site = rng.integers(NUM_SITES, size=num_patients)[patient]
    quartile = rng.integers(4, size=len(patient))
    return (
        {"view_ap": is_ap, "view_pa": ~is_ap}
        | {f"size_q{n + 1}": cases.is_positive & (quartile == n) for n in range(4)}
        | {f"subgroup_{n}": site == n for n in range(NUM_SITES)}
    )


def drawn_costs(rng: np.random.Generator, trade: Trade) -> dict[str, Costs]:
    """Of the winner and of the champion on the same images: some are larger than others."""
    shared = np.exp(0.2 * rng.normal(size=NUM_IMAGES))

    def one(num_networks: int, time: float) -> Costs:
        seconds = time * shared * np.exp(0.1 * rng.normal(size=NUM_IMAGES))
        return Costs(
            num_networks=num_networks,
            size_bytes=num_networks * 2**20,
            # The networks run one after another, so memory hardly depends on their number.
            memory_bytes=int(2**25 * (1 + 0.03 * rng.normal())),
            seconds=tuple(seconds.tolist()),
            where="simulated",
        )

    return {"winner": one(trade.num_networks, trade.time), "champion": one(5, 1.0)}


def trade_shares(trade: Trade, num_cases: int, images: int, number: int, seed: int) -> float:
    """Share of sweeps in which the cheaper gate passes."""
    from bench_evidence import confirmation, finished_sweep

    gate, sweep, passed = load_gate("cheaper"), finished_sweep(), 0
    for index in range(number):
        rng = np.random.default_rng([seed, num_cases, images, index])
        cases = Cases.draw(rng, num_cases, images)
        dice = {
            "winner": trade.winner.draw(cases.levels(rng), cases.is_positive),
            "default": BASE.draw(cases.levels(rng), cases.is_positive),
            "champion": BASE.draw(cases.levels(rng), cases.is_positive),
        }
        found = dataclasses.replace(confirmation(cases, dice), costs=drawn_costs(rng, trade))
        passed += verdict(found, sweep, champion=CHAMPION, gate=gate).passed
    return round(passed / number, 4)


def part_shares(
    parted: Parted, num_cases: int, images: int, number: int, seed: int
) -> dict[str, float]:
    """Share of sweeps that the usual gate refuses for a part, and mean number of parts decided."""
    from bench_evidence import confirmation, finished_sweep

    gate, sweep, refused, decided = load_gate(), finished_sweep(), 0, 0
    for index in range(number):
        rng = np.random.default_rng([seed, num_cases, images, index])
        cases = Cases.draw(rng, num_cases, images)
        parts = drawn_parts(rng, cases)
        levels, sick = cases.levels(rng), cases.is_positive
        own = np.where(
            parts["view_ap"], parted.ap.draw(levels, sick), parted.rest.draw(levels, sick)
        )
        other = BASE.draw(cases.levels(rng), sick)
        compared = _compared(own, other, parts, cases)
        dice = {"winner": own, "default": other, "champion": other}
        found = dataclasses.replace(confirmation(cases, dice), subgroups={"champion": compared})
        said = verdict(found, sweep, champion=CHAMPION, gate=gate)
        refused += any(
            not check.passed and check.name.startswith("dice against the champion, ")
            for check in said.checks
        )
        decided += sum(part.high is not None for part in compared)
    return {"refused": round(refused / number, 4), "parts": round(decided / number, 1)}


def _compared(
    own: Values, other: Values, parts: Mapping[str, NDArray[np.bool_]], cases: Cases
) -> tuple[PartDifference, ...]:
    return compare_parts(own - other, parts, cases.groups, cases.is_positive, 0.95)


def gate_figures(
    num_sweeps: int, sizes: Sequence[tuple[int, int]] = SIZES
) -> dict[str, dict[str, dict[str, Any]]]:
    """Shares by question, size and scene, printed as two tables.

    Args:
        num_sweeps: Sweeps of each size and scene that must not happen; fewer of the others.
        sizes: Cases of the hold-out, and images a patient.
    """
    names = [f"{num_cases}x{images}" for num_cases, images in sizes]
    passed: dict[str, dict[str, Any]] = {name: {} for name in names}
    refused: dict[str, dict[str, Any]] = {name: {} for name in names}
    print(f"\nthe gate `cheaper`, up to {num_sweeps} sweeps each: passed")
    print(f"  {'':40}" + "".join(f"{name:>12}" for name in names))
    for seed, trade in enumerate(TRADES):
        for name, size in zip(names, sizes, strict=True):
            passed[name][trade.name] = trade_shares(
                trade, *size, num_sweeps // (FEWER if trade.may_pass else 1), seed
            )
        cells = (f"{passed[name][trade.name]:.3f}" for name in names)
        print(f"  {trade.name:40}" + "".join(f"{cell:>12}" for cell in cells), flush=True)
    print(
        f"\nparts of the cases, up to {num_sweeps} sweeps each: refused for one "
        "(parts with an interval)"
    )
    print(f"  {'':40}" + "".join(f"{name:>12}" for name in names))
    for seed, parted in enumerate(PARTED):
        for name, size in zip(names, sizes, strict=True):
            refused[name][parted.name] = part_shares(
                parted, *size, num_sweeps // (FEWER if parted.is_worse else 1), seed
            )
        found = [refused[name][parted.name] for name in names]
        cells = (f"{one['refused']:.3f} ({one['parts']:.1f})" for one in found)
        print(f"  {parted.name:40}" + "".join(f"{cell:>12}" for cell in cells), flush=True)
    return {"cheaper": passed, "subgroups": refused}


def main(arguments: Sequence[str] | None = None) -> None:
    """Print both tables, and their figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few sweeps of two sizes")
    parser.add_argument("--sweeps", type=int, default=2000, help="sweeps of each scene and size")
    options = parser.parse_args(arguments)
    begun = time.monotonic()
    figures = gate_figures(
        *((40, ((50, 1), (150, 5))) if options.quick else (options.sweeps, SIZES))
    )
    print(f"\n{time.monotonic() - begun:.0f} s")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
