"""Which policy would have been taken for a table by what the other tables say of it."""

from __future__ import annotations

from collections.abc import Sequence

from sweep.errors import UsageError
from sweep.simulate._replay import ReplayResult
from sweep.simulate._report import Outcome, mean_outcome

#: Mean regret on the other tables up to which a policy counts as good enough.
MAX_REGRET = 0.02


def leave_one_out(
    by_arm: Sequence[Sequence[ReplayResult]],
    *,
    max_regret: float = MAX_REGRET,
    no_worse_than: Sequence[ReplayResult] | None = None,
) -> list[int]:
    """Choose a policy for each table without looking at it.

    Of those with a mean regret on the other tables of at most `max_regret` the one that costs
    the fewest epochs there; where none is that good, the one of the lowest regret. A figure of the
    chosen ones is one of policies that were not tuned on what they are judged by.

    Args:
        by_arm: Results by policy, then by table.
        max_regret: At least 0.
        no_worse_than: Results of a policy by table; its mean regret on the other tables takes the
            place of `max_regret`.

    Returns:
        Index of the policy for each table.

    Raises:
        UsageError: There are fewer than two tables.
    """
    num_tables = len(by_arm[0])
    if num_tables < 2:
        raise UsageError(f"found {num_tables} table, expected two at least to leave one out")
    return [
        _best(
            [_of_others(results, table) for results in by_arm],
            _of_others(no_worse_than, table).regret if no_worse_than is not None else max_regret,
        )
        for table in range(num_tables)
    ]


def _of_others(results: Sequence[ReplayResult], left_out: int) -> Outcome:
    return mean_outcome([one.outcome for place, one in enumerate(results) if place != left_out])


def _best(means: Sequence[Outcome], max_regret: float) -> int:
    good = [arm for arm, mean in enumerate(means) if mean.regret <= max_regret]
    if good:
        return min(good, key=lambda arm: means[arm].cost_epochs)
    return min(range(len(means)), key=lambda arm: (means[arm].regret, means[arm].cost_epochs))
