"""Two one-sided tests, against a published example and in simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from sweep.analysis.equivalence import Word, equivalence_p, word_of
from sweep.analysis.statistics import paired_difference
from sweep.errors import UsageError


def spread(number: int, mean: float, sd: float) -> list[float]:
    """Numbers of that mean and sample SD."""
    values = np.arange(number) - (number - 1) / 2
    return list(mean + values * sd / values.std(ddof=1))


def test_the_published_example() -> None:
    """That of TOSTone in the package TOSTER (Lakens, Social Psychological and Personality Science
    8, 2017): mean 0.54, SD 1.2, N = 100 against 0.5, bounds of 0.3 SD; t = 3.33 and -2.67.
    """
    found = paired_difference(spread(100, 0.54, 1.2), [0.5] * 100, test_train_ratio=0.0)
    assert found.error == pytest.approx(0.12)
    assert equivalence_p(found, 0.36) == pytest.approx(stats.t.sf(2.67, 99), rel=0.02)
    assert word_of(found, 0.36, maximize=True) is Word.EQUIVALENT
    assert word_of(found, 0.20, maximize=True) is Word.UNDECIDED


def test_words() -> None:
    base = [0.5, 0.4, 0.6, 0.45, 0.55]
    ahead = paired_difference([s + 0.02 + 1e-4 * i for i, s in enumerate(base)], base)
    assert word_of(ahead, 0.01, maximize=True) is Word.BETTER
    assert word_of(ahead, 0.01, maximize=False) is Word.WORSE
    assert word_of(ahead, 0.05, maximize=True) is Word.BETTER  # said, however little it matters
    same = paired_difference(base, base)
    assert word_of(same, 0.01, maximize=True) is Word.EQUIVALENT
    one = paired_difference([0.5], [0.5])
    assert math.isnan(equivalence_p(one, 0.01))
    assert word_of(one, 0.01, maximize=True) is Word.UNDECIDED
    with pytest.raises(UsageError, match="margin: found 0, expected a number above 0"):
        equivalence_p(same, 0.0)


@pytest.mark.parametrize("number", [1, 8])
def test_what_differs_by_the_margin_is_rarely_called_equivalent(
    number: int, rng: np.random.Generator
) -> None:
    """Errors of folds are correlated as Nadeau and Bengio assume, by 1/5."""
    called = 0
    for _ in range(2000):
        luck = rng.normal() * math.sqrt(0.2) + rng.normal(size=5) * math.sqrt(0.8)
        found = paired_difference(list(0.01 + 0.002 * luck), [0.0] * 5, num_compared=number)
        called += equivalence_p(found, 0.01) < 0.05
    assert called / 2000 <= 0.06 / number
