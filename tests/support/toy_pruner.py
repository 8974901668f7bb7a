"""A pruner in one file, as somebody outside of the package would add it."""

from __future__ import annotations

from typing import Literal

from optuna.pruners import BasePruner
from optuna.study import Study
from optuna.trial import FrozenTrial
from pydantic import Field

from sweep.pruners import PrunerPair, PrunerSpec


class FloorPruner(BasePruner):
    """Stops a trial whose last fold scored below a floor."""

    def __init__(self, floor: float) -> None:
        self.floor = floor

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        step = trial.last_step
        return step is not None and trial.intermediate_values[step] < self.floor


class FloorSpec(PrunerSpec):
    """Stops a trial below `floor`."""

    name: Literal["floor"]
    floor: float = Field(default=0.5, ge=0, le=1)

    def build(self) -> PrunerPair:
        return PrunerPair(fold=FloorPruner(self.floor), is_paired=True)
