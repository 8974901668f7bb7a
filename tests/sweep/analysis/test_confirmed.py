"""The score of the best trials on fresh folds, chosen fold by fold on the other folds."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from projections import folds, projection

from sweep.analysis.confirmed import confirmed_score, cross_selected
from sweep.ledger.projection import Projection
from sweep.records import State, SweepState


def finished(*rows: tuple[float, ...]) -> Projection:
    made = projection(num_folds=len(rows[0]))
    for scores in rows:
        made.end(folds(made, scores), State.COMPLETE, None, "then")
    for trial in made.trials:
        trial.settings = {"learning_rate": float(trial.number)}
    made.sweep_state = SweepState.FINISHED
    return made


def test_each_fold_is_scored_by_the_choice_of_the_others() -> None:
    """By hand: folds 0 and 2 are scored by the second trial, fold 1 by the first."""
    assert cross_selected([[0.9, 0.2, 0.3], [0.5, 0.7, 0.4]]) == pytest.approx(
        (0.5 + 0.2 + 0.4) / 3
    )
    assert cross_selected([[0.4, 0.6]]) == pytest.approx(0.5)


def test_the_choice_among_equal_trials_adds_nothing() -> None:
    rng = np.random.default_rng(7)
    drawn = rng.normal(size=(4000, 4, 5))
    best = np.mean([rows.mean(1).max() for rows in drawn])
    crossed = np.mean([cross_selected(rows.tolist()) for rows in drawn])
    assert best > 0.4
    assert abs(crossed) < 0.03


def test_both_scores_stand_side_by_side() -> None:
    search = finished((0.5, 0.5), (0.7, 0.9), (0.6, 0.8))
    fresh = finished((0.5, 0.5), (0.6, 0.62), (0.7, 0.72))
    fresh.trials[1].settings, fresh.trials[2].settings = (
        search.trials[1].settings,
        search.trials[2].settings,
    )
    found = confirmed_score("s.confirm", search, fresh)
    assert (found.trial, found.searched_trial, found.num_trials) == (2, 2, 3)
    assert found.search_score == pytest.approx(0.8)
    assert found.confirmed_score == pytest.approx(0.71)
    assert "0.7100 on fresh folds (s.confirm, 3 trials), the search said 0.8000" in found.sentence
    fresh.sweep_state = SweepState.INTERRUPTED
    open_ = confirmed_score("s.confirm", search, fresh)
    assert open_.confirmed_score is None
    assert open_.sentence == "Not confirmed yet: s.confirm is interrupted."


def test_a_trial_without_a_number_on_a_fold_is_nobodys_choice() -> None:
    fresh = finished((math.nan, 0.9), (0.4, 0.5), (0.6, 0.7))
    assert confirmed_score("c", fresh, fresh).confirmed_score == pytest.approx(0.65)


def test_a_metric_that_is_better_when_lower_keeps_its_sign() -> None:
    fresh = finished((-0.2, -0.4), (-0.9, -0.8))
    fresh.header = dataclasses.replace(fresh.header, maximize=False)
    assert confirmed_score("c", fresh, fresh).confirmed_score == pytest.approx(0.3)
