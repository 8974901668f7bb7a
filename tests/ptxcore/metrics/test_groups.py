"""Metrics by mask size and by view, by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ptxcore.metrics import (
    build_table,
    concatenate,
    load_table,
    save_table,
    size_quartiles,
    summarize_groups,
)
from ptxcore.types import CaseTable


def table_of(*cases: tuple[int, int, str]) -> CaseTable:
    """Cases of (true pixels, of them found, view) with 100 pixels and no false ones."""
    rows = []
    for area, hit, _ in cases:
        truth, background = np.zeros((2, 256), dtype=np.int64)
        truth[255], truth[0], background[0] = hit, area - hit, 100 - area
        rows.append((truth, background))
    return build_table(
        [f"case-{number}" for number in range(len(cases))],
        rows,
        views=[view for *_, view in cases],
        surfaces=[(1.0, 0.5, 9.0)] * len(cases),
    )


CASES = table_of(
    (0, 0, "PA"), (1, 1, "AP"), (2, 0, "AP"), (3, 3, "PA"), (4, 2, "PA"), (5, 5, ""), (0, 0, "LL")
)


def test_quartiles_leave_empty_masks_out() -> None:
    assert size_quartiles([0, 1, 2, 3, 4, 5, 0]).tolist() == [2, 3, 4]
    assert np.isnan(size_quartiles([0, 0])).all()


def test_groups_by_hand() -> None:
    found = summarize_groups(CASES, quartiles=size_quartiles([1, 2, 3, 4, 5]))
    assert [found[f"num_cases_size_q{n}"] for n in (1, 2, 3, 4)] == [2, 1, 1, 1]
    dice = [found[f"dice_size_q{n}"] for n in (1, 2, 3, 4)]
    assert dice == pytest.approx([0.5, 1, 2 / 3, 1])
    assert found["case_sensitivity_size_q1"] == 0.5
    assert [found[f"num_cases_view_{v}"] for v in ("ap", "pa", "unknown")] == [2, 3, 2]
    assert found["dice_view_pa"] == pytest.approx((1 + 1 + 2 / 3) / 3)
    assert found["dice_positive_view_pa"] == pytest.approx((1 + 2 / 3) / 2)
    assert found["dice_view_pa_all_empty"] == pytest.approx(1 / 3)
    assert "case_specificity_view_ap" not in found, "no such case"


def test_views_and_distances_stay_with_their_cases(tmp_path: Path) -> None:
    save_table(tmp_path / "a.npz", CASES)
    again = load_table(tmp_path / "a.npz")
    assert again.views is not None
    assert again.surfaces is not None
    assert again.views.tolist() == ["PA", "AP", "AP", "PA", "PA", "", "LL"]
    assert again.surfaces.tolist() == [[1.0, 0.5, 9.0]] * 7


def test_a_table_from_before_they_were_kept_is_read_without_them(tmp_path: Path) -> None:
    old = build_table(["old"], [(CASES.truth[0], CASES.background[0])])
    save_table(tmp_path / "a.npz", old)
    again = load_table(tmp_path / "a.npz")
    assert again.views is None
    assert concatenate([CASES, again]).surfaces is None
    found = summarize_groups(again, quartiles=size_quartiles([5]))
    assert found["num_cases_view_unknown"] == 1
