"""Projections of the ledger as Optuna studies: what samplers and pruners are allowed to see.

The raw study misleads both: to Optuna a parked trial is still RUNNING, so TPE's constant liar
counts the most promising ones as bad, and its steps mix folds with epochs. Three views instead:

* `epoch_view`: one fold; step = epoch. A trial that finished the fold is COMPLETE there. *
`fold_view`: step = fold. A parked trial is COMPLETE there, with the running mean of its folds. *
`SamplerView`: no steps; every trial with a finished fold is COMPLETE with its running mean,
complete or not.

All are read-only and reuse the trials that did not change: one Optuna trial is built per decision.
(Optuna's in-memory storage, filled anew each time, would cost a copy of the whole sweep.) To the
sampler's view a proposal is added, which is forgotten with the next.

Values are in the metric's own sign, under the study's direction.
"""

from sweep.search.optuna_views._storage import MARKS_NOTE, VIEW_NAME
from sweep.search.optuna_views._views import (
    OptunaView,
    SamplerView,
    epoch_view,
    fold_view,
    sampler_study,
)

__all__ = [
    "MARKS_NOTE",
    "VIEW_NAME",
    "OptunaView",
    "SamplerView",
    "epoch_view",
    "fold_view",
    "sampler_study",
]
