"""Which trials stop: real Optuna pruners, each in one file with its arguments.

To add one, put a file here with a `PrunerSpec` that has a `name` and builds it (`_bergman` is the
shortest to copy): every file of this folder is imported, and search spaces know it by that name.
"""

from sweep.pruners._base import NoPruner, PrunerPair, PrunerSpec, level_of, pruner_spec
from sweep.pruners._bergman import BergmanPruner
from sweep.pruners._paired_cases import PairedCasePruner
from sweep.pruners._paired_folds import PairedFoldPruner
from sweep.pruners._same_epoch import SameEpochPruner
from sweep.util.strict import import_all

__all__ = [
    "BergmanPruner",
    "NoPruner",
    "PairedCasePruner",
    "PairedFoldPruner",
    "PrunerPair",
    "PrunerSpec",
    "SameEpochPruner",
    "level_of",
    "pruner_spec",
]

import_all(__name__)
