from __future__ import annotations

import numpy as np
import pytest
from case_tables import case_tables, rules
from hypothesis import given, settings
from hypothesis import strategies as st

from ptxcore.errors import SettingsError
from ptxcore.metrics import OBJECTIVES, build_table, resampled, summarize
from ptxcore.types import CaseTable, Rule


@settings(max_examples=40, deadline=None)
@given(table=case_tables(), rule=rules(), data=st.data())
def test_each_resample_is_a_table_of_its_own(
    table: CaseTable, rule: Rule, data: st.DataObject
) -> None:
    number = len(table.case_ids)
    drawn = data.draw(st.lists(st.integers(0, number - 1), min_size=1, max_size=2 * number))
    weights = np.array([np.bincount(drawn, minlength=number), np.ones(number)], dtype=float)
    rows = [(table.truth[place], table.background[place]) for place in drawn]
    alone = build_table([str(place) for place in range(len(drawn))], rows)
    for metric in OBJECTIVES:
        found = resampled(metric, table, rule, weights)
        expected = [summarize(one, rule)[metric] for one in (alone, table)]
        assert found == pytest.approx(expected, nan_ok=True), metric


def test_what_is_no_objective() -> None:
    table = build_table(["a"], [(np.ones(256, dtype=np.int64), np.ones(256, dtype=np.int64))])
    with pytest.raises(SettingsError, match="metric: found 'loss', expected an objective"):
        resampled("loss", table, Rule(), np.ones((1, 1)))
