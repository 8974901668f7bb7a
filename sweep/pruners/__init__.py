"""Who stops: real Optuna pruners by name, asked about epochs and about folds."""

from sweep.pruners._bergman import BergmanPruner
from sweep.pruners._make import PRUNERS, make_pruner
from sweep.pruners._paired_folds import PairedFoldPruner
from sweep.pruners._same_epoch import SameEpochPruner
from sweep.search.pruner_judge import PrunerJudge

__all__ = [
    "PRUNERS",
    "BergmanPruner",
    "PairedFoldPruner",
    "PrunerJudge",
    "SameEpochPruner",
    "make_pruner",
]
