"""The search score of a winner without the luck of having been chosen by it.

BBC-CV (Tsamardinos, Greasidou and Borboudakis, Machine Learning 107, 2018) bootstraps the choice
and not the training: cases are drawn with replacement, the trial that is best on them is chosen,
and is scored on those that were not drawn, which had no part in the choice. The mean over resamples
estimates what the chosen trial scores on other cases. It needs nothing but the predictions on held
folds that there are.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def bias_corrected(in_bag: NDArray[np.float64], out_of_bag: NDArray[np.float64]) -> float:
    """Mean score of the trial that each resample would have chosen, where it was not chosen.

    Args:
        in_bag: Score of each trial on the cases that were drawn, higher is better, shape
            (resamples, trials); NaN where a trial has none.
        out_of_bag: Likewise on those that were not.

    Returns:
        NaN where no resample has both.
    """
    known = np.isfinite(in_bag).any(1)
    chosen = np.where(np.isfinite(in_bag), in_bag, -np.inf)[known].argmax(1)
    found = out_of_bag[known][np.arange(len(chosen)), chosen]
    found = found[np.isfinite(found)]
    return float(found.mean()) if len(found) else float("nan")
