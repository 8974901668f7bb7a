"""Tables of folds x epochs x cases, from the data sets that come with scikit-learn and the phantom.

    python tests/benchmarks/make_curves.py FOLDER [NAME ...] [--folds 10] [--epochs 60]

writes `<data set>_<learner>_e.npz` (`_e60`, `_k10` where asked for) with `scores` [1, 40, K] (mean
over the held cases), `fit_s`, `curves` [1, 40, K, E] (the same mean over the monitor split after
each epoch), `held` [1, 40, K, E] (over the held fold after each epoch), `cases` [1, 40, C] (each
case's value at the end of the fold that holds it), `case_folds` [1, C] and `params` (JSON). A value
is 1 - Brier score / 2 of a case, or its soft Dice where a case is an image. A fold is scored with
the weights of its best epoch on the monitor. A minute or less a table of five folds and twelve
epochs on one core; files that exist are left alone. Those in `tests/data/curves` are without `held`
and `cases`.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from sklearn import datasets
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.linear_model import SGDClassifier
from sklearn.model_selection import KFold
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler

from ptxcore.data.phantom import draw, order_cases

NUM_CONFIGURATIONS, NUM_FOLDS, NUM_EPOCHS, MONITOR_SHARE = 40, 5, 12, 0.15
#: Trees that boosting ends with, whatever the epochs.
_NUM_TREES = 24
_SIZE_PX, _NUM_IMAGES, _PIXELS_AN_IMAGE = 64, 80, 100

Array = NDArray[Any]
#: Inputs of each case (rows of one case), targets of its rows.
Cases = tuple[list[Array], list[Array]]


def log_uniform(generator: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(generator.uniform(np.log(low), np.log(high))))


def load(name: str) -> Cases:
    if name == "phantom":
        return _phantom()
    x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    chosen = np.random.default_rng(0).permutation(len(y))[:600]
    return [x[one][None] for one in chosen], [y[one][None] for one in chosen]


def _phantom() -> Cases:
    """Pixels of drawn radiographs with their surroundings; a case is an image."""
    inputs, targets = [], []
    for order in order_cases(_NUM_IMAGES, 1.0, seed=0):
        pixels, mask = draw(order, _SIZE_PX)
        image = np.asarray(pixels, np.float64)
        blurred = [ndimage.gaussian_filter(image, sigma) for sigma in (1.0, 3.0, 8.0)]
        edges = ndimage.gaussian_gradient_magnitude(image, 1.5)
        rows, columns = np.mgrid[: image.shape[0], : image.shape[1]]
        parts = [image, *blurred, edges, rows, abs(columns - columns.mean())]
        inputs.append(np.stack(parts, -1).reshape(-1, len(parts)))
        targets.append(np.asarray(mask, int).reshape(-1))
    return inputs, targets


# Learners: draw the settings, then yield `predict_proba` after each of a number of epochs.


def draw_mlp(g: np.random.Generator) -> dict[str, Any]:
    return {
        "hidden_layer_sizes": [int(log_uniform(g, 4, 48))],
        "learning_rate_init": log_uniform(g, 3e-4, 1e-1),
        "alpha": log_uniform(g, 1e-6, 3),
        "batch_size": int(log_uniform(g, 8, 64)),
        "solver": str(g.choice(["adam", "sgd"])),
    }


def train_mlp(
    settings: dict[str, Any], x: Array, y: Array, classes: Array, num_epochs: int
) -> Iterator[Any]:
    model = MLPClassifier(**settings, random_state=0)
    for _ in range(num_epochs):
        model.partial_fit(x, y, classes=classes)
        yield model.predict_proba


def draw_sgd(g: np.random.Generator) -> dict[str, Any]:
    return {
        "alpha": log_uniform(g, 1e-6, 1e-1),
        "eta0": log_uniform(g, 1e-4, 1),
        "penalty": str(g.choice(["l2", "l1", "elasticnet"])),
        "learning_rate": str(g.choice(["constant", "invscaling", "optimal"])),
        "average": bool(g.integers(2)),
    }


def train_sgd(
    settings: dict[str, Any], x: Array, y: Array, classes: Array, num_epochs: int
) -> Iterator[Any]:
    model = SGDClassifier(**settings, loss="log_loss", random_state=0)
    for _ in range(num_epochs):
        model.partial_fit(x, y, classes=classes)
        yield model.predict_proba


def draw_boosting(g: np.random.Generator) -> dict[str, Any]:
    return {
        "learning_rate": log_uniform(g, 1e-2, 1),
        "max_depth": int(g.integers(1, 5)),
        "subsample": float(g.uniform(0.3, 1)),
        "max_features": float(g.uniform(0.1, 1)),
        "min_samples_leaf": int(log_uniform(g, 1, 30)),
    }


def train_boosting(
    settings: dict[str, Any], x: Array, y: Array, classes: Array, num_epochs: int
) -> Iterator[Any]:
    model = GradientBoostingClassifier(**settings, random_state=0, warm_start=True, n_estimators=1)
    for epoch in range(1, num_epochs + 1):
        model.set_params(n_estimators=max(1, round(_NUM_TREES * epoch / num_epochs)))
        model.fit(x, y)
        yield model.predict_proba


Train = Callable[[dict[str, Any], Array, Array, Array, int], Iterator[Any]]
LEARNERS: dict[str, tuple[Callable[[np.random.Generator], dict[str, Any]], Train]] = {
    "mlp": (draw_mlp, train_mlp),
    "sgd": (draw_sgd, train_sgd),
    "boosting": (draw_boosting, train_boosting),
}
NAMES = (
    "breast_cancer_mlp", "wine_mlp", "digits_mlp", "iris_mlp", "breast_cancer_sgd", "digits_sgd",
    "wine_sgd", "breast_cancer_boosting", "wine_boosting", "digits_boosting", "phantom_mlp",
    "phantom_sgd",
)  # fmt: skip


def values_of(predict: Any, cases: Cases, scaler: StandardScaler, classes: Array) -> Array:
    """One value a case, higher is better."""
    x, y = cases
    sizes = [len(rows) for rows in x]
    found = predict(scaler.transform(np.concatenate(x)))
    truth = np.concatenate(y)[:, None] == classes
    if max(sizes) == 1:
        return 1 - ((found - truth) ** 2).sum(1) / 2
    starts = np.cumsum([0, *sizes[:-1]])
    both = np.add.reduceat(found[:, 1] * truth[:, 1], starts)
    whole = np.add.reduceat(found[:, 1] + truth[:, 1], starts)
    return (2 * both + 1) / (whole + 1)


def make(name: str, num_folds: int, num_epochs: int) -> dict[str, Any]:
    data_set, learner = name.rsplit("_", 1)
    cases = load(data_set)
    draw, train = LEARNERS[learner]
    generator = np.random.default_rng([len(data_set), len(learner)])
    params = [draw(generator) for _ in range(NUM_CONFIGURATIONS)]
    num_cases, classes = len(cases[0]), np.unique(np.concatenate(cases[1]))
    scores = np.zeros((1, NUM_CONFIGURATIONS, num_folds), np.float32)
    seconds = np.zeros_like(scores)
    curves, held = (np.zeros((*scores.shape, num_epochs), np.float32) for _ in range(2))
    by_case = np.zeros((1, NUM_CONFIGURATIONS, num_cases), np.float32)
    case_folds = np.zeros((1, num_cases), np.int16)
    splitter = KFold(num_folds, shuffle=True, random_state=100)
    for fold, (rest, test) in enumerate(splitter.split(np.arange(num_cases))):
        case_folds[0, test] = fold
        order = np.random.default_rng(fold).permutation(rest)
        cut = int(MONITOR_SHARE * len(order))
        monitor, training = order[:cut], order[cut:]
        x, y = (np.concatenate([part[one] for one in training]) for part in cases)
        scaler = StandardScaler().fit(x)
        if len(x) > _PIXELS_AN_IMAGE * len(training):
            chosen = np.random.default_rng(fold).choice(
                len(x), _PIXELS_AN_IMAGE * len(training), replace=False
            )
            x, y = x[chosen], y[chosen]
        x = scaler.transform(x)
        watched, scored = (
            ([cases[0][one] for one in part], [cases[1][one] for one in part])
            for part in (monitor, test)
        )
        for number, settings in enumerate(params):
            begin, best = time.process_time(), -np.inf
            for epoch, predict in enumerate(train(settings, x, y, classes, num_epochs)):
                level = float(values_of(predict, watched, scaler, classes).mean())
                now = values_of(predict, scored, scaler, classes)
                curves[0, number, fold, epoch], held[0, number, fold, epoch] = level, now.mean()
                if level > best:
                    best, by_case[0, number, test] = level, now
            scores[0, number, fold] = by_case[0, number, test].mean()
            seconds[0, number, fold] = time.process_time() - begin
    return {
        "scores": scores,
        "fit_s": seconds,
        "curves": curves,
        "held": held,
        "cases": by_case,
        "case_folds": case_folds,
        "params": json.dumps(params),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Tables of folds x epochs x cases")
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="*", default=NAMES)
    parser.add_argument("--folds", type=int, default=NUM_FOLDS)
    parser.add_argument("--epochs", type=int, default=NUM_EPOCHS)
    given = parser.parse_args()
    warnings.simplefilter("ignore")  # epochs are few on purpose
    ending = "_e" if given.epochs == NUM_EPOCHS else f"_e{given.epochs}"
    ending += "" if given.folds == NUM_FOLDS else f"_k{given.folds}"
    for name in given.names:
        path = given.folder / f"{name}{ending}.npz"
        if path.exists():
            continue
        begin = time.process_time()
        whole = path.with_suffix(".part.npz")
        np.savez_compressed(whole, **make(name, given.folds, given.epochs))
        whole.rename(path)
        print(f"{path.name}: {time.process_time() - begin:.0f} s", flush=True)


if __name__ == "__main__":
    main()
