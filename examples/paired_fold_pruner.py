"""`PairedFoldPruner` in plain Optuna, over a function in place of a network.

    python examples/paired_fold_pruner.py

A trial reports the score of each fold at step = fold. The pruner compares it with the best complete
trial on the same folds, which takes the difficulty of the folds out of the comparison, and stops
those that can hardly pass it any more. Nothing else of this project is needed.
"""

from __future__ import annotations

import numpy as np
import optuna

from sweep.pruners import PairedFoldPruner

NUM_FOLDS = 5


def fold_score(x: float, fold: int) -> float:
    """Best at x = 0.7; the folds differ more from each other than good values of x do."""
    difficulty = (0.2, 0.0, 0.1, 0.3, 0.05)[fold]
    noise = np.random.default_rng([int(x * 1e6), fold]).normal(0, 0.01)
    return 0.9 - (x - 0.7) ** 2 - difficulty + float(noise)


def objective(trial: optuna.Trial) -> float:
    """The mean over the folds, unless the trial is pruned before the last one."""
    x = trial.suggest_float("x", 0.0, 1.0)
    scores: list[float] = []
    for fold in range(NUM_FOLDS):
        scores.append(fold_score(x, fold))
        trial.report(scores[-1], step=fold)
        if trial.should_prune():
            raise optuna.TrialPruned
    return float(np.mean(scores))


def main() -> optuna.Study:
    """Search with 40 trials; of a full grid's 200 folds about half are needed."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=0),
        pruner=PairedFoldPruner(num_folds=NUM_FOLDS, false_prune=0.05),
    )
    study.optimize(objective, n_trials=40)
    num_folds = sum(len(trial.intermediate_values) for trial in study.trials)
    print(f"best x {study.best_params['x']:.3f}, mean {study.best_value:.3f}")
    print(f"{num_folds} of {40 * NUM_FOLDS} folds")
    return study


if __name__ == "__main__":
    main()
