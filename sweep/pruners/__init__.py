"""Who stops: real Optuna pruners by name, asked about epochs and about folds."""

from sweep.pruners._judge import PrunerJudge
from sweep.pruners._make import PRUNERS, make_pruner

__all__ = ["PRUNERS", "PrunerJudge", "make_pruner"]
