"""What the case heads of several networks say together, of cases that most have trained on.

Calls of cases are chosen on out-of-fold cases, each predicted by the one network that has not
trained on it. Deployed is the mean of all. Its logits spread less, since the noise of single
networks averages out: a threshold that a quarter of the ill cases pass in one network may be passed
by none in the mean. How far heads agree is seen on cases that two of them have not trained on, and
tells the spread of any number of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptxcore.types import LOGIT_RANGE, CaseTable

#: Classes within which logits are compared: the spread between them is no disagreement.
ILL, HEALTHY = "ill case", "healthy case"


@dataclass
class Agreement:
    """Pairs of logits of two case heads, by class; `correlations` is what they come to."""

    _pairs: dict[str, list[tuple[float, float]]] = field(
        default_factory=lambda: {ILL: [], HEALTHY: []}
    )

    def add(self, first: float, second: float, *, is_ill: bool) -> None:
        """Two heads on a case that neither has trained on.

        Args:
            first: Logit of one.
            second: The other's.
            is_ill: Whether the case has a true mask.
        """
        self._pairs[ILL if is_ill else HEALTHY].append((first, second))

    @property
    def num_ill(self) -> int:
        """Pairs on cases with a true mask."""
        return len(self._pairs[ILL])

    @property
    def num_healthy(self) -> int:
        """Pairs on others."""
        return len(self._pairs[HEALTHY])

    def correlations(self) -> dict[str, float]:
        """Intraclass correlation of two heads in each class that was seen, in [0, 1].

        Fisher's (Statistical Methods for Research Workers, 1925, section 38), about the mean of
        both, so that a head that always says more disagrees; below 0 is 0. NaN of a class in which
        nothing varies.
        """
        return {name: _intraclass(pairs) for name, pairs in self._pairs.items() if pairs}

    def to_stored(self) -> dict[str, Any]:
        """Plain JSON values: the number of pairs of a class, and correlations, None for NaN."""
        return {
            "num_ill": self.num_ill,
            "num_healthy": self.num_healthy,
            "correlations": {
                name: None if np.isnan(value) else value
                for name, value in self.correlations().items()
            },
        }


def _intraclass(pairs: list[tuple[float, float]]) -> float:
    both = np.clip(np.array(pairs, dtype=np.float64), *LOGIT_RANGE)
    beside = both - both.mean()
    variance = float((beside**2).mean())
    if variance <= 1e-12:
        return float("nan")
    return float(np.clip(beside.prod(axis=1).mean() / variance, 0, 1))


def averaged(
    table: CaseTable, correlations: Mapping[str, float], num_networks: int
) -> CaseTable | None:
    """The table with the case logits that the mean of more heads would have given, by class.

    The mean of a class is the same for the mean of heads as for one. Its variance is
    r + (1 - r) / M of that of one, with the correlation r of two and their number M, as of any
    equally correlated variables. Logits move towards the mean of their class by the root of that,
    as they would if they were normally distributed. Pixels stay those of one network: theirs lie in
    few places of few cases, where networks agree or do not, and no common shift tells which.

    Args:
        table: Out-of-fold counts of one network each, with logits of case heads.
        correlations: From `Agreement.correlations`.
        num_networks: M, at least 1.

    Returns:
        None where the table has a class of which no correlation is known.
    """
    assert table.case_logits is not None, "moves logits of case heads"
    positive = table.truth.sum(1) > 0
    # As the mean takes them: none beyond the range.
    logits = np.clip(table.case_logits.astype(np.float64), *LOGIT_RANGE)
    for name, kind in ((ILL, positive), (HEALTHY, ~positive)):
        if not kind.any():
            continue
        known = correlations.get(name, np.nan)
        if not np.isfinite(known):
            return None
        logits[kind] = _moved(logits[kind], (known + (1 - known) / num_networks) ** 0.5)
    return replace(table, case_logits=logits)


def _moved(logits: NDArray[np.float64], share: float) -> NDArray[np.float64]:
    mean = logits.mean()
    return np.asarray(mean + (logits - mean) * share)
