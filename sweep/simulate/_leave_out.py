"""Which policy would have been taken for a table by what the other tables say of it."""

from __future__ import annotations

from collections.abc import Sequence

from sweep.errors import UsageError
from sweep.simulate._replay import ReplayResult
from sweep.simulate._report import Outcome, mean_outcome

#: Mean regret on the other tables up to which a policy counts as good enough.
MAX_REGRET = 0.02


def leave_one_out(
    by_arm: Sequence[Sequence[ReplayResult]], *, max_regret: float = MAX_REGRET
) -> list[int]:
    """Choose a policy for each table without looking at it.

    Of those with a mean regret on the other tables of at most `max_regret` the one that costs
    the fewest epochs there; where none is that good, the one of the lowest regret. A figure of the
    chosen ones is one of policies that were not tuned on what they are judged by.

    Args:
        by_arm: Results by policy, then by table.
        max_regret: At least 0.

    Returns:
        Index of the policy for each table.

    Raises:
        UsageError: There are fewer than two tables.
    """
    num_tables = len(by_arm[0])
    if num_tables < 2:
        raise UsageError(f"found {num_tables} table, expected two at least to leave one out")
    return [_best(by_arm, table, max_regret) for table in range(num_tables)]


def _best(by_arm: Sequence[Sequence[ReplayResult]], left_out: int, max_regret: float) -> int:
    means: list[Outcome] = [
        mean_outcome([one.outcome for place, one in enumerate(results) if place != left_out])
        for results in by_arm
    ]
    good = [arm for arm, mean in enumerate(means) if mean.regret <= max_regret]
    if good:
        return min(good, key=lambda arm: means[arm].cost_epochs)
    return min(range(len(means)), key=lambda arm: (means[arm].regret, means[arm].cost_epochs))
