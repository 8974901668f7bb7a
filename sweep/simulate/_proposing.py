"""A sampler over a table: what it proposes becomes the nearest configuration not used yet.

The sampler is the one of live sweeps, seeded as there, and it sees the sweep as there: parked
trials stand at their current estimate. It knows of a configuration what the table has, and not
what it proposed itself, so its model is of what was scored.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution

from sweep.errors import UsageError
from sweep.ledger.projection import Projection
from sweep.policies import Rung
from sweep.search.optuna_views import SamplerView
from sweep.search.samplers import make_sampler
from sweep.simulate._layout import ReplayOrder
from sweep.simulate._missing import UNRECORDED
from sweep.simulate._table import Table

#: Positive numbers that span this factor vary on a logarithmic scale, as in the policies' model.
_LOG_FACTOR = 20


class Proposer:
    """Chooses the row of each new trial.

    Attributes:
        distributions: What may vary, by name of the param.
    """

    def __init__(
        self, table: Table, layout: ReplayOrder, name: str, seed: int, rung: Rung | None = None
    ) -> None:
        """Start with every row unused.

        Args:
            table: Its params are the space: a param that is a number everywhere varies over its
                range, any other over its values, of which "absent" is one.
            layout: Replay order: of equally near rows the first in its order is taken.
            name: Name of a sampler, see `sweep.search.samplers`.
            seed: Seed of the sweep, at least 0.
            rung: Where the sweep's policy compares trials first, see `SamplerView`.

        Raises:
            UsageError: There is no such sampler, or no param varies.
        """
        make_sampler(name, {}, seed, 0)  # refuses an unknown name before anything is replayed
        names = sorted({key for param in table.params for key in param} - {UNRECORDED})
        columns = {key: _column([param.get(key) for param in table.params]) for key in names}
        self._columns = {key: column for key, column in columns.items() if column is not None}
        if not self._columns:
            raise UsageError(
                f"{table.name}: sampler {name}: found no params that differ, expected some for "
                "each configuration; add params to the table or leave --sampler out"
            )
        self._name, self._seed, self._rung = name, seed, rung
        self._view: SamplerView | None = None
        self._unused = list(layout.order)
        self.distributions: dict[str, BaseDistribution] = {
            key: column.distribution for key, column in self._columns.items()
        }

    def next_row(self, projection: Projection) -> int:
        """The row of the next trial, which counts as used from now on.

        Args:
            projection: The sweep so far, its trials with `parameters` and `distributions`; the same
                one at every call.
        """
        if self._view is None:
            self._view = SamplerView(projection, looks=self._name != "random", rung=self._rung)
        sampler = make_sampler(self._name, {}, self._seed, len(projection.trials))
        trial = self._view.study(sampler).ask(self.distributions)
        squares = sum(
            column.squares(trial.params[key])[self._unused] for key, column in self._columns.items()
        )
        return self._unused.pop(int(np.argmin(squares)))

    def parameters(self, row: int) -> dict[str, Any]:
        """The params of a row as the sampler knows them."""
        return {key: column.values[row] for key, column in self._columns.items()}


@dataclass(frozen=True, kw_only=True)
class _Column:
    """One param of all rows.

    Attributes:
        values: Values of each row: numbers, or texts where some are no number.
        distribution: Distribution of the values.
    """

    values: Sequence[Any]
    distribution: BaseDistribution

    def squares(self, value: Any) -> NDArray[np.float64]:
        """[N] squared distances of all rows to a value, at most 1, as in the policies' model."""
        if not isinstance(self.distribution, FloatDistribution):
            return np.array([known != value for known in self.values], np.float64)
        low, high = self.distribution.low, self.distribution.high
        numbers = np.array([low, high, value, *self.values])
        low, high, at, *rows = np.log(numbers) if self.distribution.log else numbers
        found: NDArray[np.float64] = ((np.array(rows) - at) / (high - low)) ** 2
        return found


def _column(values: list[Any]) -> _Column | None:
    """A param by its values, None for an absent one; None where all are the same."""
    texts = [repr(value) for value in values]
    choices = sorted(set(texts))
    if len(choices) == 1:
        return None
    is_number = all(isinstance(value, int | float) and math.isfinite(value) for value in values)
    if not is_number or all(isinstance(value, bool) for value in values):
        return _Column(values=texts, distribution=CategoricalDistribution(choices))
    numbers = [float(value) for value in values]
    low, high = min(numbers), max(numbers)
    if low == high:  # 1 and 1.0
        return None
    log = low > 0 and high >= _LOG_FACTOR * low
    return _Column(values=numbers, distribution=FloatDistribution(low, high, log=log))
