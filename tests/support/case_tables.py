"""Case tables drawn by Hypothesis, and what a table says pixel by pixel."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from ptxcore.metrics import build_table
from ptxcore.types import NUM_LOGIT_BINS, CaseTable, Rule

_rows = hnp.arrays(np.int64, 6, elements=st.integers(0, 30))


@st.composite
def case_tables(
    draw: st.DrawFn, *, max_cases: int = 8, prefix: str = "case", has_case_head: bool = False
) -> CaseTable:
    """One to `max_cases` cases, some without truth, pixels in six bins that the draw chooses."""
    num_cases = draw(st.integers(1, max_cases))
    bins = draw(st.lists(st.integers(0, NUM_LOGIT_BINS - 1), min_size=6, max_size=6, unique=True))
    rows = []
    for _ in range(num_cases):
        truth = np.zeros(NUM_LOGIT_BINS, dtype=np.int64)
        background = np.zeros(NUM_LOGIT_BINS, dtype=np.int64)
        if draw(st.booleans()):
            truth[bins] = draw(_rows)
        background[bins] = draw(_rows)
        background[draw(st.integers(0, NUM_LOGIT_BINS - 1))] += 1  # an image has pixels
        rows.append((truth, background))
    case_logits = None
    if has_case_head:
        each = st.floats(-9, 9, width=32)
        case_logits = draw(st.lists(each, min_size=num_cases, max_size=num_cases))
    ids = [f"{prefix}-{number}" for number in range(num_cases)]
    return build_table(ids, rows, case_logits=case_logits)


thresholds = st.floats(0.001, 0.999)


@st.composite
def rules(draw: st.DrawFn) -> Rule:
    bottom, top = sorted((draw(thresholds), draw(thresholds)))
    return Rule(top=top, min_area=draw(st.floats(0, 0.9)), bottom=bottom)


def pixels(table: CaseTable, case: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Bins and truth of every pixel of a case."""
    every_bin = np.arange(NUM_LOGIT_BINS)
    inside = np.repeat(every_bin, table.truth[case])
    outside = np.repeat(every_bin, table.background[case])
    truth = np.repeat([True, False], [len(inside), len(outside)])
    return np.concatenate([inside, outside]), truth


def logits_in(bins: NDArray[np.int64]) -> NDArray[np.float32]:
    """The logits at the centres of bins."""
    return ((bins + 0.5) / 16 - 8).astype(np.float32)
