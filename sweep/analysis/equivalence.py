"""Whether two configurations are as good as each other, which a large p-value does not say.

Two one-sided tests (Schuirmann, Journal of Pharmacokinetics and Biopharmaceutics 15, 1987): a
difference is equivalent within a margin if it is shown to lie above minus the margin and below it.
The margin is what makes no difference in practice, chosen before the folds are looked at. The
tests take the error of the paired test beside which they stand, corrected for overlapping training
parts and for the number of differences looked at.
"""

from __future__ import annotations

import math
from enum import StrEnum

from scipy.special import stdtr

from sweep.analysis.statistics import PairedDifference
from sweep.errors import UsageError

#: Of a metric between 0 and 1.
MARGIN = 0.01
_ALPHA = 0.05


class Word(StrEnum):
    """What the folds show of a difference."""

    BETTER = "better"
    WORSE = "worse"
    EQUIVALENT = "equivalent"
    UNDECIDED = "undecided"


def equivalence_p(difference: PairedDifference, margin: float) -> float:
    """P-value of both one-sided tests; NaN for one fold.

    Args:
        difference: From `sweep.analysis.statistics.paired_difference`.
        margin: Above 0, in the metric's unit.

    Raises:
        UsageError: The margin is not above 0.
    """
    if not 0 < margin < math.inf:
        raise UsageError(f"margin: found {margin:g}, expected a number above 0")
    room = margin - abs(difference.mean)
    if math.isnan(difference.error):
        return math.nan
    if difference.error == 0:
        return 0.0 if room > 0 else 1.0
    single = float(stdtr(difference.num_folds - 1, -room / difference.error))
    return min(1.0, difference.num_compared * single)


def word_of(difference: PairedDifference, margin: float, *, maximize: bool) -> Word:
    """What the folds show: a difference, none that matters, or neither.

    A difference that is shown is said, however small it is.

    Args:
        difference: This minus the reference, in the metric's own sign.
        margin: As for `equivalence_p`.
        maximize: Whether the metric is better when higher.
    """
    if difference.low > 0 or difference.high < 0:
        return Word.BETTER if (difference.low > 0) is maximize else Word.WORSE
    p_value = equivalence_p(difference, margin)
    return Word.EQUIVALENT if p_value < _ALPHA else Word.UNDECIDED
