"""Many promotions in a row on one hold-out, and the score of a confirmed winner.

    python tests/benchmarks/evidence_spending.py [--rows 2000]

A row is twenty sweeps that are promoted one after another on the same cases; all models are equal,
and one that passes is the champion of the next. A row errs if any passes. Beside the confidence as
it is spent stand 95% for each, and points as the gate once had them. Other ways to spend are held
against each other by the share of truly better models that pass.

A confirmation trains the three best of a search, and the default, on other folds. Networks are
equal but for the luck of their training (two folds of a trial correlated by 1/5).
The bias of a score is its mean difference to the true Dice of the networks that it scored, and to
that of their configuration, whose luck is chosen too. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

sys.path.append(str(Path(__file__).parent))

from evidence_world import BASE, CASE, PATIENT, PREVALENCE, Cases, Model, Values, worth

from sweep.analysis.confirmed import cross_selected
from sweep.promotion.assess import dice_intervals, paired_interval
from sweep.promotion.gate_file import load_gate
from sweep.promotion.spending import MAX_USES, TOTAL_ERROR, confidence_of

#: Cases of the hold-out and images a patient.
SIZES = ((150, 1), (400, 1), (400, 5), (1000, 1))
#: Uses at which power is measured.
USES = (1, 2, 5, 10, 20)
GAINS = (worth(BASE.dice + 0.02, 0.12), worth(BASE.dice + 0.05, 0.05))
#: Cases of the search, and trials.
#: And SD of the true Dice of a fold's network by the luck of its training.
SEARCHES = ((300, 8, 0.005), (850, 8, 0.005), (850, 40, 0.005), (850, 40, 0.01))
NUM_FOLDS, TOP = 5, 3
GATE = load_gate()
#: What a use may err, by the way to spend: ours, by squares, the rest evenly, all evenly.
WAYS: dict[str, Callable[[int], float]] = {
    "1/(i(i+1))": lambda use: (1 - confidence_of(use)) / 2,
    "6/(pi i)^2": lambda use: TOTAL_ERROR * 6 / (math.pi * use) ** 2,
    "half, then evenly": lambda use: TOTAL_ERROR / 2 / (1 if use == 1 else MAX_USES - 1),
    "evenly": lambda use: TOTAL_ERROR / MAX_USES,
}


def passes(own: Values, default: Values, champion: Values, cases: Cases, sure: float) -> bool:
    """Whether a winner passes the comparisons of the usual gate at a confidence."""
    if own.mean() <= champion.mean():  # then no interval of the lead begins above 0
        return False
    gate, of = GATE, (cases.is_positive, cases.groups, sure)
    if not paired_interval(own, champion, *of)[0] > gate.min_lead:
        return False
    alone = dice_intervals(own, *of)
    return (
        paired_interval(own, default, *of)[0] > -gate.max_loss
        and alone["gain"][0] > gate.min_gain
        and alone["dice_positive"][0] > gate.min_dice_positive
    )


def passed_on_points(own: Values, default: Values, champion: Values, cases: Cases) -> bool:
    """The rules as they were, but for the upper end against the default, which seldom refused."""
    mean = own.mean()
    return bool(
        mean >= champion.mean()
        and mean >= default.mean() - 0.02
        and mean > 1 - cases.is_positive.mean()
    )


def rows_figures(num_cases: int, images: int, num_rows: int) -> dict[str, Any]:
    """Share of rows in which an equal model passes, and what the last champion seems to be worth.

    Args:
        num_cases: Cases of the hold-out.
        images: Images a patient.
        num_rows: How many rows.
    """
    judges: dict[str, Callable[..., bool]] = {
        "spent": lambda use, *models: passes(*models, confidence_of(use)),
        "95% each": lambda use, *models: passes(*models, 0.95),
        "points": lambda use, *models: passed_on_points(*models),
    }
    found = {name: {"false": 0, "above": 0.0} for name in judges}
    for row in range(num_rows):
        rng = np.random.default_rng([num_cases, images, row])
        cases = Cases.draw(rng, num_cases, images)

        def equal(rng: np.random.Generator = rng, cases: Cases = cases) -> Values:
            return BASE.draw(cases.levels(rng), cases.is_positive)

        first = equal()
        champions, has_erred = dict.fromkeys(judges, first), dict.fromkeys(judges, False)
        for use in range(1, MAX_USES + 1):
            own, default = equal(), equal()
            for name, judge in judges.items():
                if judge(use, own, default, champions[name], cases):
                    champions[name], has_erred[name] = own, True
        for name in judges:
            found[name]["false"] += has_erred[name]
            found[name]["above"] += float(champions[name].mean()) - _truth(cases)
    return {
        name: {
            "false promotion in a row": round(one["false"] / num_rows, 4),
            "last champion's Dice above the truth": round(one["above"] / num_rows, 4),
        }
        for name, one in found.items()
    }


def _truth(cases: Cases) -> float:
    """True Dice of an equal model where this share of cases is positive."""
    share = float(cases.is_positive.mean())
    return share * BASE.positive + (1 - share) * (1 - BASE.alarms)


def power_figures(num_cases: int, images: int, num_samples: int) -> dict[str, Any]:
    """Share of truly better models whose lead over the champion is shown, by use and way to spend.

    Args:
        num_cases: Cases of the hold-out.
        images: Images a patient.
        num_samples: Samples of each kind.
    """
    figures: dict[str, Any] = {}
    for better in GAINS:
        told = {way: dict.fromkeys(USES, 0) for way in WAYS}
        for sample in range(num_samples):
            rng = np.random.default_rng([num_cases, images, sample])
            cases = Cases.draw(rng, num_cases, images)
            own, champion = (
                model.draw(cases.levels(rng), cases.is_positive) for model in (better, BASE)
            )
            low = partial(paired_interval, own, champion, cases.is_positive, cases.groups)
            for way, error in WAYS.items():
                for use in USES:
                    told[way][use] += low(1 - 2 * error(use))[0] > 0
        figures[f"+{better.dice - BASE.dice:.2f}"] = {
            way: {str(use): round(number / num_samples, 3) for use, number in by_use.items()}
            for way, by_use in told.items()
        }
    return figures


def confirmed_figures(
    num_cases: int, num_trials: int, luck: float, num_sweeps: int
) -> dict[str, float]:
    """Bias of the search's score, of the best score on fresh folds, and of the confirmed score.

    Args:
        num_cases: Cases of the search.
        num_trials: Trials of the search, all equal, the default among them.
        luck: SD of the true Dice of a fold's network.
        num_sweeps: How many sweeps.
    """
    found: dict[str, list[float]] = {}
    for sweep in range(num_sweeps):
        rng = np.random.default_rng([num_cases, num_trials, sweep])
        cases = Cases.draw(rng, num_cases, 1)
        searched, true_searched = _cross_validated(rng, cases, num_trials, luck)
        order = np.argsort(-searched.mean(1))
        best = order[0]
        num_fresh = len({0, *order[:TOP].tolist()})
        fresh, true_fresh = _cross_validated(rng, cases, num_fresh, luck)
        chosen = int(fresh.mean(1).argmax())
        confirmed = cross_selected(fresh.tolist())
        truth = _truth(cases)
        for name, said, true in (
            ("search", float(searched[best].mean()), float(true_searched[best].mean())),
            ("best on fresh folds", float(fresh[chosen].mean()), float(true_fresh[chosen].mean())),
            ("confirmed", confirmed, float(true_fresh[chosen].mean())),
        ):
            found.setdefault(name, []).append(said - true)
            found.setdefault(f"{name}, to the configuration", []).append(said - truth)
    return {name: round(float(np.mean(values)), 4) for name, values in found.items()}


def _cross_validated(
    rng: np.random.Generator, cases: Cases, num_trials: int, luck: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Dice of equal trials on the held folds, and the true Dice of their networks: (trials, k)."""
    number = len(cases.is_positive)
    fold_of = np.empty(number, dtype=np.int64)
    for is_positive in (False, True):  # stratified, one image a patient
        where = np.flatnonzero(cases.is_positive == is_positive)
        fold_of[rng.permutation(where)] = np.arange(len(where)) % NUM_FOLDS
    shared = math.sqrt(1 / NUM_FOLDS) * rng.standard_normal((num_trials, 1))
    single = math.sqrt(1 - 1 / NUM_FOLDS) * rng.standard_normal((num_trials, NUM_FOLDS))
    alarms = np.clip(BASE.alarms - luck * (shared + single) / (1 - PREVALENCE), 0, 1)
    own = rng.standard_normal((num_trials, number)) * math.sqrt(1 - PATIENT - CASE)
    level = ndtr(cases.shared + own)
    hits = Model(alarms=0.0, misses=BASE.misses)
    sick = hits.draw(level, np.ones_like(level, dtype=bool))
    dice = np.where(cases.is_positive, sick, level >= alarms[:, fold_of])
    truth = _by_fold(np.where(cases.is_positive, BASE.positive, 1 - alarms[:, fold_of]), fold_of)
    return _by_fold(dice, fold_of), truth


def _by_fold(values: NDArray[np.float64], fold_of: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.stack([values[:, fold_of == fold].mean(1) for fold in range(NUM_FOLDS)], axis=1)


def show_rows(num_cases: int, images: int, found: dict[str, Any]) -> None:
    """One line for each way to judge."""
    print(f"\n{MAX_USES} promotions of equal models in a row, {num_cases} cases x {images}")
    for name, one in found.items():
        print(f"  {name:12}" + "".join(f"  {key} {value:.4f}" for key, value in one.items()))


def show_power(num_cases: int, images: int, found: dict[str, Any]) -> None:
    """One line for each way to spend."""
    print(f"\na lead is shown at use {USES}, {num_cases} cases x {images}")
    for gain, ways in found.items():
        for way, by_use in ways.items():
            print(f"  {gain} {way:20}" + "".join(f"{value:8.3f}" for value in by_use.values()))


def show_confirmed(name: str, found: dict[str, float]) -> None:
    """One line for each score."""
    print(f"\nbias of Dice, {name}")
    for score, bias in found.items():
        print(f"  {score:44}{bias:+.4f}")


def spending_figures(num_rows: int, sizes: Sequence[tuple[int, int]] = SIZES) -> dict[str, Any]:
    """Rows of promotions, and power of ways to spend, by size; printed as tables."""
    figures: dict[str, Any] = {"rows": {}, "power": {}}
    for size in sizes:
        name = f"{size[0]}x{size[1]}"
        show_rows(*size, figures["rows"].setdefault(name, rows_figures(*size, num_rows)))
        show_power(*size, figures["power"].setdefault(name, power_figures(*size, num_rows // 4)))
    return figures


def confirmation_figures(num_sweeps: int) -> dict[str, dict[str, float]]:
    """Bias of scores, by search; printed as tables."""
    figures = {}
    for num_cases, num_trials, luck in SEARCHES:
        name = f"{num_trials} equal trials, {num_cases} cases, luck {luck}"
        figures[name] = confirmed_figures(num_cases, num_trials, luck, num_sweeps)
        show_confirmed(name, figures[name])
    return figures


def main(arguments: Sequence[str] | None = None) -> None:
    """Print all tables, and their figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=2000)
    number = parser.parse_args(arguments).rows
    print(json.dumps(spending_figures(number) | {"confirmed": confirmation_figures(number)}))


if __name__ == "__main__":
    main()
