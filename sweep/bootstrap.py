"""How far a mean over cases may be off, when cases of one patient are alike.

The cluster bootstrap (Field and Welsh, J. R. Statist. Soc. B 69, 2007): patients are drawn with
replacement, each with all their cases, and the percentiles of the resampled means are the
interval's ends. Drawing cases instead would pretend that two images of a patient are two patients.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sweep.errors import UsageError

NUM_RESAMPLES = 2000


def grouped_interval(
    values: NDArray[np.float64],
    groups: Sequence[str],
    *,
    seed: int = 0,
    num_resamples: int = NUM_RESAMPLES,
    confidence: float = 0.95,
) -> tuple[float, float]:
    """Percentile interval of the mean over cases.

    Args:
        values: One per case, shape (N,); NaN for a case that does not count.
        groups: The patient of each case.
        seed: Same seed, same interval.
        num_resamples: Bootstrap samples.
        confidence: In (0, 1).

    Returns:
        Lower and upper end; NaN twice if no case counts.

    Raises:
        UsageError: There is not one group per value, or the confidence is out of range.
    """
    if len(groups) != len(values):
        raise UsageError(f"groups: found {len(groups)}, expected one for each of {len(values)}")
    if not 0 < confidence < 1:
        raise UsageError(f"confidence: found {confidence}, expected a value in (0, 1)")
    counts = np.isfinite(values)
    if not counts.any():
        return np.nan, np.nan
    _, member_of = np.unique(np.asarray(groups), return_inverse=True)
    num_groups = int(member_of.max()) + 1
    sums = np.bincount(member_of, np.where(counts, values, 0.0), num_groups)
    sizes = np.bincount(member_of, counts, num_groups)
    rng = np.random.default_rng(seed)
    even = np.full(num_groups, 1 / num_groups)
    drawn = rng.multinomial(num_groups, even, size=num_resamples)
    size = drawn @ sizes
    means = (drawn @ sums)[size > 0] / size[size > 0]
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)
