"""Tables and sentences of the report."""

from __future__ import annotations

from synthetic_sweeps import projection_of, stamp

from dashboards.report.trials import trials_table
from sweep.analysis.summary import summarise_trial
from sweep.records import State


def test_a_trial_that_was_stopped_in_its_first_fold_took_time() -> None:
    """As much as `show` says."""
    projection = projection_of([[0.5, 0.6, 0.7], []])
    projection.start(1, 0, 1, stamp(10))
    projection.end(1, State.PRUNED, "pruned in fold 0, epoch 2", stamp(12))
    assert summarise_trial(projection.trials[1], projection).seconds == 120.0
    assert "2 min 00 s" in str(trials_table(projection))
