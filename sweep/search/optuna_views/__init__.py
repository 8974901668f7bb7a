"""Projections of the ledger as Optuna studies: what samplers and pruners are allowed to see.

The raw study misleads both: to Optuna a parked trial is still RUNNING, so TPE's constant liar
counts the most promising ones as bad, and its steps mix folds with epochs. Three views instead:

* `epoch_view`: one fold; step = epoch. A trial that finished the fold is COMPLETE there. *
`fold_view`: step = fold. A parked trial is COMPLETE there, with the running mean of its folds. *
`sampler_study`: no steps; every trial with a finished fold is COMPLETE with its running mean,
complete or not.

The first two are asked after every epoch, so they are read-only and reuse the trials that did not
change: one Optuna trial is built per decision. (Optuna's in-memory storage, filled anew each time,
would cost a deep copy of the whole sweep.) The sampler needs a study that it can add a trial to
and is asked once per trial, so it gets Optuna's in-memory storage.

Values are in the metric's own sign, under the study's direction.
"""

from sweep.search.optuna_views._storage import MARKS_NOTE, VIEW_NAME
from sweep.search.optuna_views._views import OptunaView, epoch_view, fold_view, sampler_study

__all__ = ["MARKS_NOTE", "VIEW_NAME", "OptunaView", "epoch_view", "fold_view", "sampler_study"]
