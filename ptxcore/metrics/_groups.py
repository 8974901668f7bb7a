"""Metrics of a part of the cases: by the size of the true mask, and by view."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ptxcore.metrics._summary import summarize
from ptxcore.types import CaseTable, Rule

SIZES = ("q1", "q2", "q3", "q4")
VIEWS = ("ap", "pa", "unknown")
#: Where every case is positive, these say all; the rest would repeat them.
_BY_SIZE = ("dice", "case_sensitivity")
_BY_VIEW = ("dice", "dice_positive", "case_sensitivity", "case_specificity", "dice_all_empty")


def size_quartiles(areas: ArrayLike) -> NDArray[np.float64]:
    """The areas that part positive cases into four equal groups.

    Args:
        areas: Shape (N,): pixels of true masks on the original grid; empty ones (0) are left out.

    Returns:
        The three quartiles in pixels, float64 of shape (3,), interpolated linearly; NaN
        without a positive case.
    """
    positive = np.asarray(areas, dtype=np.float64)
    positive = positive[positive > 0]
    if not len(positive):
        return np.full(3, np.nan)
    edges: NDArray[np.float64] = np.quantile(positive, (0.25, 0.5, 0.75))
    return edges


def summarize_groups(
    table: CaseTable, rule: Rule | None = None, *, quartiles: NDArray[np.float64]
) -> dict[str, float]:
    """Main metrics by quartile of mask size and by view.

    Args:
        table: Counts of N cases on the original mask grid.
        rule: Without one, `Rule()`: threshold 0.5.
        quartiles: Quartiles from `size_quartiles`, of a set that is the same for all tables that
            are compared. A mask on an edge belongs to the smaller group.

    Returns:
        "dice_size_q1" (the smallest masks) to "case_sensitivity_size_q4", "dice_view_ap" and so
        on, each with its "num_cases_...". A metric without a case to speak of is left out.
        A view that is neither AP nor PA is "unknown".

    Raises:
        SettingsError: The rule is not valid.
    """
    found: dict[str, float] = {}
    for name, part in case_groups(table, quartiles).items():
        metrics = _BY_SIZE if name.startswith("size_") else _BY_VIEW
        found |= _named(table, part, rule, metrics, name)
    return found


def case_groups(table: CaseTable, quartiles: NDArray[np.float64]) -> dict[str, NDArray[np.bool_]]:
    """Which cases belong to which group: "size_q1" to "size_q4" of positive ones, "view_ap", ...

    Args:
        table: Counts of N cases on the original mask grid.
        quartiles: As for `summarize_groups`.

    Returns:
        By name of the group, bool of shape (N,).
    """
    areas = table.truth.sum(1)
    size = np.searchsorted(quartiles, areas)
    views = np.full(len(areas), "") if table.views is None else table.views
    view = np.where(views == "AP", 0, np.where(views == "PA", 1, 2))
    of_size = {f"size_{name}": (areas > 0) & (size == number) for number, name in enumerate(SIZES)}
    return of_size | {f"view_{name}": view == number for number, name in enumerate(VIEWS)}


def _named(
    table: CaseTable, part: NDArray[np.bool_], rule: Rule | None, names: tuple[str, ...], group: str
) -> dict[str, float]:
    rows = CaseTable(
        case_ids=table.case_ids[part],
        truth=table.truth[part],
        background=table.background[part],
        case_logits=None if table.case_logits is None else table.case_logits[part],
    )
    values = summarize(rows, rule)
    # "dice_view_ap_all_empty" is the baseline of "dice_view_ap".
    found = {_in_group(name, group): values[name] for name in names if values[name] == values[name]}
    return found | {f"num_cases_{group}": values["num_cases"]}


def _in_group(name: str, group: str) -> str:
    metric = name.removesuffix("_all_empty")
    return f"{metric}_{group}{name.removeprefix(metric)}"
