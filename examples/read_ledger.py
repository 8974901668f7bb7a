"""Read a sweep with plain Optuna and pandas: the ledger is an Optuna study.

    python examples/read_ledger.py HOME NAME

`load_sweep` gives the same in the project's own types. A ledger is only ever read like this: one
driver writes it, and holds a lease for that.
"""

from __future__ import annotations

import sys
from pathlib import Path

import optuna
import pandas as pd

from sweep import Home, load_sweep

#: An epoch's value is stored at step fold * 10,000 + epoch.
STEPS_PER_FOLD = 10_000


def folds_and_epochs(storage: str, name: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """One row a finished fold, and one row an epoch, in the metric's own sign."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.load_study(study_name=name, storage=storage)
    folds, epochs = [], []
    for trial in study.trials:
        for key, row in trial.user_attrs.items():
            if key.startswith("fold:") and key.endswith(":score"):
                fold = int(key.split(":")[1])
                place = {"trial": trial.number, "fold": fold, "score": row["score"]}
                folds.append({**place, "seconds": row["seconds"], **row["metrics"], **trial.params})
        for step, value in trial.intermediate_values.items():
            fold, epoch = divmod(step, STEPS_PER_FOLD)
            epochs.append({"trial": trial.number, "fold": fold, "epoch": epoch, "value": value})
    return pd.DataFrame(folds), pd.DataFrame(epochs)


def main(home: Home, name: str) -> pd.DataFrame:
    """Mean and SD of every trial, complete or not, beside what `load_sweep` says."""
    folds, epochs = folds_and_epochs(home.ledger_url, name)
    table = folds.groupby("trial")["score"].agg(["mean", "std", "count"])
    print(table.to_string())
    print(f"{len(epochs)} epochs of {len(folds)} folds")
    summary = load_sweep(home, name).summary
    print(f"{summary.metric}: {summary.state}, winner {summary.best}")
    return table


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python examples/read_ledger.py HOME NAME")
    main(Home.from_environment(Path(sys.argv[1])), sys.argv[2])
