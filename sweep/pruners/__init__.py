"""Which trials stop: real Optuna pruners, each in one file with its arguments."""

from sweep.pruners._base import NoPruner, PrunerPair, PrunerSpec, pruner_spec
from sweep.pruners._bergman import BergmanPruner
from sweep.pruners._paired_folds import PairedFoldPruner
from sweep.pruners._same_epoch import SameEpochPruner
from sweep.util.strict import import_all

__all__ = [
    "BergmanPruner",
    "NoPruner",
    "PairedFoldPruner",
    "PrunerPair",
    "PrunerSpec",
    "SameEpochPruner",
    "pruner_spec",
]

import_all(__name__)
