"""Who stops: real Optuna pruners by name, asked about epochs and about folds."""

from sweep.search.pruners._bergman import BergmanPruner
from sweep.search.pruners._judge import PrunerJudge
from sweep.search.pruners._make import PRUNERS, make_pruner
from sweep.search.pruners._paired_folds import PairedFoldPruner
from sweep.search.pruners._same_epoch import SameEpochPruner

__all__ = [
    "PRUNERS",
    "BergmanPruner",
    "PairedFoldPruner",
    "PrunerJudge",
    "SameEpochPruner",
    "make_pruner",
]
