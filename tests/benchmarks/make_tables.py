"""Per-fold score tables with four partitions, from the data sets that come with scikit-learn.

    python tests/benchmarks/make_tables.py FOLDER [K ...]

writes one file for every data set and learner: `<data set>_<learner>_k<K>.npz` with `scores`
[4, 200, K] float32 (accuracy; R^2 for diabetes), `fit_s` [4, 200, K] float32 seconds and `params`
(JSON). Every configuration is scored on the same folds. 36 files for each K, about half an hour on
one core for K = 5 and 10; files that exist are left alone.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import datasets
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import ElasticNet, LogisticRegression
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, SVR
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

NUM_CONFIGURATIONS, NUM_PARTITIONS = 200, 4

Array = NDArray[Any]
Draw = Callable[[np.random.Generator], dict[str, Any]]


def log_uniform(generator: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(generator.uniform(np.log(low), np.log(high))))


def load(name: str) -> tuple[Array, Array, bool]:
    """Features, targets, and whether it is a regression."""
    generator = np.random.default_rng(0)
    if name == "diabetes":
        x, y = datasets.load_diabetes(return_X_y=True)
        return x, (y - y.mean()) / y.std(), True
    if name in ("digits", "digits_eights"):
        x, y = datasets.load_digits(return_X_y=True)
        if name == "digits":
            part = generator.permutation(len(y))[:400]
            return x[part], y[part], False
        part = np.flatnonzero((y == 8) | (y == 1) | (y == 9))
        return x[part], y[part], False
    x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    return x, y, False


def draw_knn(g: np.random.Generator) -> dict[str, Any]:
    return {
        "n_neighbors": int(log_uniform(g, 1, 60)),
        "weights": str(g.choice(["uniform", "distance"])),
        "p": int(g.integers(1, 3)),
    }


def draw_svm(g: np.random.Generator) -> dict[str, Any]:
    return {
        "C": log_uniform(g, 1e-2, 1e3),
        "gamma": log_uniform(g, 1e-4, 10),
        "kernel": str(g.choice(["rbf", "sigmoid", "linear"])),
        "max_iter": 20_000,  # a linear kernel with a large C does not end
    }


def draw_tree(g: np.random.Generator) -> dict[str, Any]:
    return {
        "max_depth": int(g.integers(1, 16)),
        "min_samples_leaf": int(log_uniform(g, 1, 40)),
        "max_features": float(g.uniform(0.1, 1)),
        "ccp_alpha": log_uniform(g, 1e-5, 1e-1),
        "random_state": 0,
    }


def draw_forest(g: np.random.Generator) -> dict[str, Any]:
    return {
        "n_estimators": int(log_uniform(g, 2, 20)),
        "max_depth": int(g.integers(1, 12)),
        "max_features": float(g.uniform(0.1, 1)),
        "min_samples_leaf": int(log_uniform(g, 1, 20)),
        "random_state": 0,
    }


def draw_linear(g: np.random.Generator) -> dict[str, Any]:
    return {"C": log_uniform(g, 1e-4, 1e3), "tol": log_uniform(g, 1e-4, 1e-1), "max_iter": 60}


def draw_elastic(g: np.random.Generator) -> dict[str, Any]:
    return {"alpha": log_uniform(g, 1e-4, 1), "l1_ratio": float(g.uniform(0, 1))}


def draw_network(g: np.random.Generator) -> dict[str, Any]:
    return {
        "hidden_layer_sizes": [int(log_uniform(g, 4, 48))],
        "learning_rate_init": log_uniform(g, 1e-3, 1e-1),
        "alpha": log_uniform(g, 1e-6, 1),
        "max_iter": 12,
        "random_state": 0,
    }


#: Learner: how to draw it, its classifier, its regressor.
LEARNERS: dict[str, tuple[Draw, Draw, Any, Any]] = {
    "knn": (draw_knn, draw_knn, KNeighborsClassifier, KNeighborsRegressor),
    "svm": (draw_svm, draw_svm, SVC, SVR),
    "tree": (draw_tree, draw_tree, DecisionTreeClassifier, DecisionTreeRegressor),
    "linear": (draw_linear, draw_elastic, LogisticRegression, ElasticNet),
    "mlp": (draw_network, draw_network, MLPClassifier, MLPRegressor),
    "rf": (draw_forest, draw_forest, RandomForestClassifier, RandomForestRegressor),
}
DATA_SETS = ("wine", "iris", "diabetes", "breast_cancer", "digits_eights", "digits")


def make(data_set: str, learner: str, num_folds: int) -> dict[str, Any]:
    x, y, is_regression = load(data_set)
    classify, regress, classifier, regressor = LEARNERS[learner]
    draw, build = (regress, regressor) if is_regression else (classify, classifier)
    generator = np.random.default_rng([DATA_SETS.index(data_set), len(learner), num_folds])
    params = [draw(generator) for _ in range(NUM_CONFIGURATIONS)]
    scores = np.zeros((NUM_PARTITIONS, NUM_CONFIGURATIONS, num_folds), np.float32)
    seconds = np.zeros_like(scores)
    for partition in range(NUM_PARTITIONS):
        splitter = KFold if is_regression else StratifiedKFold
        folds = splitter(num_folds, shuffle=True, random_state=100 + partition).split(x, y)
        for fold, (train, test) in enumerate(folds):
            scaler = StandardScaler().fit(x[train])
            x_train, x_test = scaler.transform(x[train]), scaler.transform(x[test])
            for number, given in enumerate(params):
                begin = time.perf_counter()
                model = build(**given).fit(x_train, y[train])
                score = float(model.score(x_test, y[test]))
                scores[partition, number, fold] = max(score, -1.0)
                seconds[partition, number, fold] = time.perf_counter() - begin
    return {"scores": scores, "fit_s": seconds, "params": json.dumps(params)}


def main() -> None:
    folder = Path(sys.argv[1])
    warnings.simplefilter("ignore")  # iterations are limited on purpose
    for num_folds in [int(text) for text in sys.argv[2:]] or [5, 10]:
        for learner in LEARNERS:
            for data_set in DATA_SETS:
                path = folder / f"{data_set}_{learner}_k{num_folds}.npz"
                if path.exists():
                    continue
                begin = time.perf_counter()
                arrays = make(data_set, learner, num_folds)
                whole = path.with_suffix(".part.npz")
                np.savez_compressed(whole, **arrays)
                whole.rename(path)
                print(f"{path.name}: {time.perf_counter() - begin:.0f} s", flush=True)


if __name__ == "__main__":
    main()
