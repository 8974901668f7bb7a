from __future__ import annotations

import math

import projections as hand
import pytest

from sweep.analysis.compare import compare
from sweep.analysis.statistics import paired_difference
from sweep.errors import UsageError
from sweep.ledger.projection import Projection
from sweep.records import State

SCORES = {0: (0.50, 0.40, 0.60), 1: (0.55, 0.47, 0.63), 2: (0.49, 0.42, 0.60)}


@pytest.fixture
def swept() -> Projection:
    made = hand.projection()
    for number, scores in SCORES.items():
        hand.folds(made, scores, {"x": 0.5 + number / 10, "y": 1})
        made.end(number, State.COMPLETE, None, "then")
    hand.folds(made, (0.9,), {"x": 0.0, "y": 1})
    made.end(3, State.ABANDONED, None, "then")
    return made


def test_differences_on_the_same_folds(swept: Projection) -> None:
    found = compare(swept)
    assert (found.metric, found.reference, found.num_left_out) == ("dice", 0, 1)
    assert [one.number for one in found.trials] == [0, 1, 2]
    assert found.trials[0].difference is None
    assert found.trials[0].changed == {}
    assert math.isnan(found.trials[0].p_adjusted)
    better = found.trials[1]
    assert better.changed == {"x": pytest.approx(0.6)}
    # Trial 3 was looked at too: had its other folds gone well, it would stand here.
    assert better.difference == paired_difference(SCORES[1], SCORES[0], num_compared=3)
    assert better.difference.mean == pytest.approx(0.05)
    assert better.p_adjusted == better.difference.p_value
    assert found.correction == "corrected for 3 trials"


def test_no_interval_contradicts_its_p() -> None:
    """Tested as if it were the only one, each of the first two is ahead with p 0.02."""
    default = (0.50, 0.40, 0.60, 0.45, 0.55)
    ahead = [(0.02, 0.06, 0.05, 0.03, 0.05), (0.05, 0.03, 0.06, 0.02, 0.05), (0.0, 0.01, 0, 0, 0)]
    made = hand.projection(num_folds=5)
    for gains in ((0.0,) * 5, *ahead):
        scores = [score + gain for score, gain in zip(default, gains, strict=True)]
        made.end(hand.folds(made, scores), State.COMPLETE, None, "then")
        alone = paired_difference(scores, default)
        assert (alone.low > 0) == (alone.p_value < 0.05) == (gains in ahead[:2])
    for one in compare(made).trials[1:]:
        assert one.difference is not None
        assert one.difference.low < 0 < one.difference.high
        assert one.p_adjusted > 0.05


def test_another_reference_stands_first(swept: Projection) -> None:
    found = compare(swept, reference=2)
    assert [one.number for one in found.trials] == [2, 0, 1]
    # A reference that may have been chosen by its scores makes every pair a comparison.
    assert found.trials[1].difference == paired_difference(SCORES[0], SCORES[2], num_compared=6)
    assert found.correction == "corrected for 6 pairs of trials"


def test_a_minimised_metric_keeps_its_own_sign() -> None:
    made = hand.projection(num_folds=2, maximize=False)
    for scores in ((-0.5, -0.4), (-0.3, -0.2)):  # scores are higher is better: losses turned round
        hand.folds(made, scores)
        made.end(len(made.trials) - 1, State.COMPLETE, None, "then")
    found = compare(made)
    assert found.trials[0].values == (0.5, 0.4)
    assert found.trials[1].difference is not None
    assert found.trials[1].difference.mean == pytest.approx(-0.2)


def test_refusals(swept: Projection) -> None:
    with pytest.raises(UsageError, match="found trial 3, expected one of the complete trials: 0, "):
        compare(swept, reference=3)
    with pytest.raises(UsageError, match="found 'iou', expected one that trial 0 has"):
        compare(swept, metric="iou")


def test_intervals_end_where_the_metric_does(swept: Projection) -> None:
    """Those of t, of three folds of a share, reach beyond 0 and 1."""
    wide = hand.projection()
    for scores in ((0.0, 0.9, 1.0), (1.0, 0.1, 0.9)):
        hand.folds(wide, scores)
        wide.end(len(wide.trials) - 1, State.COMPLETE, None, "then")
    first, second = compare(wide).trials
    assert (first.interval.low, first.interval.high) == (0.0, 1.0)
    assert second.difference is not None
    assert (second.difference.low, second.difference.high) == (-1.0, 1.0)
    narrow = compare(swept).trials[1]
    assert narrow.difference is not None
    assert 0 < narrow.interval.low < narrow.interval.high < 1
    assert -1 < narrow.difference.low < narrow.difference.high < 1
