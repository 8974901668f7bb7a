"""One choice of the settings that count in inference alone, common to all folds of a trial.

Overlap of windows, mirrored inference and whole images change no weights, so a fold is trained once
and scored with every choice. A trial's score is the mean over its finished folds at the choice
with the highest such mean, the first on a tie: the space lists the plain ones first. A choice of
its own for each fold would be chosen on the very cases it is scored on, and could not be deployed.

The choice can change with every finished fold, and then the earlier folds' scores change with it.
The projection does that when a fold is committed, so samplers, pruners, figures and confirmation
all read folds at the common choice, and a policy is told of revised scores in the same event.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from sweep.records import FoldScore
from sweep.util.numbers import mean_or


def common_choice(scores: Sequence[Sequence[float]]) -> int:
    """Place of the choice with the highest mean over folds, the first on a tie.

    Args:
        scores: Scores by fold, then by choice; higher is better. A choice with a score that is not
            finite is the worst.
    """
    means = [mean_or(own, -math.inf) for own in zip(*scores, strict=True)]
    return max(range(len(means)), key=lambda place: (means[place], -place))


def at_common(folds: Mapping[int, FoldScore]) -> dict[int, FoldScore]:
    """Finished folds of one trial, all at its common choice; as they are without choices."""
    if not folds or not all(fold.choices for fold in folds.values()):
        return dict(folds)
    choice = common_choice([[choice.score for choice in fold.choices] for fold in folds.values()])
    return {number: fold.with_choice(choice) for number, fold in folds.items()}


def values_by_choice(folds: Mapping[int, FoldScore]) -> list[dict[int, float]]:
    """Value of every finished fold by choice, in the space's order and the metric's own sign.

    Empty without choices.
    """
    numbers = sorted(folds)
    by_fold = [[choice.value for choice in folds[number].choices] for number in numbers]
    return [dict(zip(numbers, own, strict=True)) for own in zip(*by_fold, strict=True)]
