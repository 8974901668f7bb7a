"""What the mean of several networks would say of cases that all but one of them have trained on.

A rule is chosen on out-of-fold cases, each predicted by the one network that has not trained on it.
Deployed is the mean of all. Its logits spread less, since the noise of single networks averages
out: a threshold that a quarter of the ill cases pass in one network may be passed by none in the
mean. How far networks agree is seen on cases that two of them have not trained on, and tells the
spread of any number of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptxcore.types import LOGIT_RANGE, NUM_LOGIT_BINS, CaseTable

#: Classes within which logits are compared: the spread between them is no disagreement.
TRUTH, BESIDE, HEALTHY = "truth", "beside the truth", "healthy image"
ILL_CASE, HEALTHY_CASE = "ill case", "healthy case"
_BIN = (LOGIT_RANGE[1] - LOGIT_RANGE[0]) / NUM_LOGIT_BINS
_CENTRES = LOGIT_RANGE[0] + (np.arange(NUM_LOGIT_BINS) + 0.5) * _BIN


@dataclass
class Agreement:
    """Sums over pairs of networks, by class; `correlations` is what they come to.

    Attributes:
        num_ill: Pairs on cases with a true mask.
        num_healthy: Pairs on others.
    """

    num_ill: int = 0
    num_healthy: int = 0
    _sums: dict[str, NDArray[np.float64]] = field(default_factory=dict)

    def add(
        self,
        first: tuple[NDArray[np.float32], float | None],
        second: tuple[NDArray[np.float32], float | None],
        truth: NDArray[np.bool_],
    ) -> None:
        """Two networks on a case that neither has trained on.

        Args:
            first: Logits of one, shape (H, W), and of its case head, None without one.
            second: The other's.
            truth: True mask, shape (H, W).
        """
        is_ill = bool(truth.any())
        self.num_ill += is_ill
        self.num_healthy += not is_ill
        parts = {TRUTH: truth, BESIDE: ~truth} if is_ill else {HEALTHY: ~truth}
        for name, chosen in parts.items():
            self._add(name, first[0][chosen], second[0][chosen])
        if first[1] is not None and second[1] is not None:
            name = ILL_CASE if is_ill else HEALTHY_CASE
            self._add(name, np.array([first[1]]), np.array([second[1]]))

    def correlations(self) -> dict[str, float]:
        """Intraclass correlation of two networks in each class that was seen, in [0, 1].

        Fisher's (Statistical Methods for Research Workers, 1925, section 38), about the mean of
        both, so that a network that always says more disagrees; below 0 is 0. NaN of a class in
        which nothing varies.
        """
        found = {}
        for name, (number, both, squares, product) in self._sums.items():
            mean = both / (2 * number)
            variance = squares / (2 * number) - mean**2
            shared = product / number - mean**2
            is_flat = variance <= 1e-12
            found[name] = float("nan") if is_flat else float(np.clip(shared / variance, 0, 1))
        return found

    def to_stored(self) -> dict[str, Any]:
        """Plain JSON values: the number of pairs of a kind, and correlations, None for NaN."""
        return {
            "num_ill": self.num_ill,
            "num_healthy": self.num_healthy,
            "correlations": {
                name: None if np.isnan(value) else value
                for name, value in self.correlations().items()
            },
        }

    def _add(self, name: str, first: NDArray[np.float32], second: NDArray[np.float32]) -> None:
        one, other = (
            np.clip(values, *LOGIT_RANGE).astype(np.float64) for values in (first, second)
        )
        sums = [one.size, (one + other).sum(), (one**2 + other**2).sum(), (one * other).sum()]
        self._sums[name] = self._sums.get(name, np.zeros(4)) + np.array(sums)


def averaged(
    table: CaseTable, correlations: Mapping[str, float], num_networks: int
) -> CaseTable | None:
    """The table as the mean of more networks would have given it, within each class.

    The mean of a class is the same for the mean of networks as for one. Its variance is
    r + (1 - r) / M of that of one, with the correlation r of two and their number M, as of any
    equally correlated variables. Logits move towards the mean of their class by the root of that,
    as they would if they were normally distributed.

    Args:
        table: Out-of-fold counts, of one network each.
        correlations: From `Agreement.correlations`.
        num_networks: M, at least 1.

    Returns:
        Distances between outlines, which no count tells, are left out. None where the table has a
        class of which no correlation is known.
    """
    ill = table.truth.sum(1) > 0
    needed = [TRUTH, BESIDE] * bool(ill.any()) + [HEALTHY] * bool(not ill.all())
    if table.case_logits is not None:
        needed += [ILL_CASE] * bool(ill.any()) + [HEALTHY_CASE] * bool(not ill.all())
    shares = {
        name: (known + (1 - known) / num_networks) ** 0.5
        for name in needed
        if np.isfinite(known := correlations.get(name, np.nan))
    }
    if len(shares) < len(needed):
        return None
    truth, background = table.truth.copy(), table.background.copy()
    # As the mean takes them: none beyond the range.
    cases = None if table.case_logits is None else np.clip(table.case_logits, *LOGIT_RANGE)
    for kind, beside, case in ((ill, BESIDE, ILL_CASE), (~ill, HEALTHY, HEALTHY_CASE)):
        if not kind.any():
            continue
        background[kind] = _moved(background[kind], shares[beside])
        if cases is not None:
            mean = cases[kind].mean()
            cases[kind] = mean + (cases[kind] - mean) * shares[case]
    if ill.any():
        truth[ill] = _moved(truth[ill], shares[TRUTH])
    return replace(table, truth=truth, background=background, case_logits=cases, surfaces=None)


def _moved(counts: NDArray[np.int64], share: float) -> NDArray[np.int64]:
    """Counts by bin of logits, shape (N, NUM_LOGIT_BINS), moved towards their common mean."""
    total = counts.sum(0)
    mean = float((total * _CENTRES).sum() / total.sum())
    centres = mean + (_CENTRES - mean) * share
    bins = np.clip(np.floor((centres - LOGIT_RANGE[0]) / _BIN), 0, NUM_LOGIT_BINS - 1).astype(int)
    moved = np.zeros_like(counts)
    np.add.at(moved.T, bins, counts.T)
    return moved
