"""Does the interval of BBC-CV's estimate hold the truth?

    python tests/benchmarks/evidence_bias_corrected.py [--sweeps 500]

Simulated searches with a known truth, five folds of one set of cases; a trial is one model on all
folds. Truth is the true Dice of the trial that won. Prints for each kind of search the bias of the
winner's score and of the estimate, and how often the interval that is printed holds the truth,
beside the plain percentiles of the resamples. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence

import numpy as np
from evidence_world import BASE, Cases, Model, worth
from numpy.typing import NDArray

from sweep.analysis.bias_corrected import bias_corrected

NUM_FOLDS, NUM_RESAMPLES = 5, 500
#: Cases, images a patient, trials.
SEARCHES = ((150, 1, 8), (300, 1, 8), (850, 1, 8), (850, 1, 40), (850, 5, 8), (2000, 1, 40))
Values = NDArray[np.float64]


def draw(rng: np.random.Generator, cases: Cases, folds: NDArray[np.int64]) -> Values:
    """How often each case is in each resample, as `sweep.analysis.resampling` draws them."""
    patient = np.asarray(cases.groups, dtype=np.int64)
    sick = np.bincount(patient, cases.is_positive) > 0
    times = np.empty((NUM_RESAMPLES, len(sick)))
    for fold in range(NUM_FOLDS):
        for kind in (False, True):
            own = np.flatnonzero((folds == fold) & (sick == kind))
            if len(own):
                even = np.full(len(own), 1 / len(own))
                times[:, own] = rng.multinomial(len(own), even, size=NUM_RESAMPLES)
    return np.asarray(times[:, patient])


def means(weights: Values, dice: Values, fold_of: NDArray[np.int64]) -> Values:
    """Mean over the folds of each trial's Dice on each resample, shape (resamples, trials)."""
    each = []
    for fold in range(NUM_FOLDS):
        own = fold_of == fold
        each.append(weights[:, own] @ dice[own] / weights[:, own].sum(1, keepdims=True))
    return np.asarray(np.mean(each, axis=0))


def searches(
    num_cases: int, images: int, models: Sequence[Model], num_sweeps: int
) -> dict[str, float]:
    """Biases and coverage over many searches of the same models."""
    errors, corrected, held, plain = [], [], [], []
    for sweep in range(num_sweeps):
        rng = np.random.default_rng([num_cases, images, len(models), sweep])
        cases = Cases.draw(rng, num_cases, images)
        patient = np.asarray(cases.groups, dtype=np.int64)
        folds = np.arange(patient[-1] + 1) % NUM_FOLDS  # the sick come first, so they are dealt
        fold_of = folds[patient]
        dice = np.stack(
            [model.draw(cases.levels(rng), cases.is_positive) for model in models], axis=1
        )
        # What a network is worth on such cases, their share of positive ones included.
        truths = [_truth(model, cases, fold_of) for model in models]
        scores = np.mean([dice[fold_of == fold].mean(0) for fold in range(NUM_FOLDS)], axis=0)
        best = int(scores.argmax())
        drawn = draw(rng, cases, folds)
        inside, outside = (means(one, dice, fold_of) for one in (drawn, (drawn == 0) * 1.0))
        sick = len(np.unique(patient[cases.is_positive]))
        found = bias_corrected(inside, outside, sick / NUM_FOLDS)
        errors.append(scores[best] - truths[best])
        corrected.append(found.score - truths[best])
        held.append(found.low <= truths[best] <= found.high)
        left_out = outside[np.arange(NUM_RESAMPLES), inside.argmax(1)]
        low, high = np.quantile(left_out, [0.025, 0.975])
        plain.append(low <= truths[best] <= high)
    return {
        "bias of the best": round(float(np.mean(errors)), 4),
        "bias of the estimate": round(float(np.mean(corrected)), 4),
        "coverage": round(float(np.mean(held)), 3),
        "coverage of percentiles": round(float(np.mean(plain)), 3),
    }


def _truth(model: Model, cases: Cases, fold_of: NDArray[np.int64]) -> float:
    share = np.mean([cases.is_positive[fold_of == fold].mean() for fold in range(NUM_FOLDS)])
    return float(share * model.positive + (1 - share) * (1 - model.alarms))


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a line for each kind of search, and all as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sweeps", type=int, default=500)
    num_sweeps = parser.parse_args(arguments).sweeps
    figures = {}
    for num_cases, images, num_trials in SEARCHES:
        gains = np.random.default_rng(0).normal(0, 0.01, num_trials)
        for kind, models in (
            ("equal trials", [BASE] * num_trials),
            ("trials of SD 0.01", [worth(BASE.dice + gain, 0.15) for gain in gains]),
        ):
            name = f"{num_trials} {kind}, {num_cases} cases x {images}"
            figures[name] = searches(num_cases, images, models, num_sweeps)
            print(f"{name:44}" + "".join(f"{value:9.4f}" for value in figures[name].values()))
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
