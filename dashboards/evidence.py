"""What the report is told about confirmation and the gate: plain values, no work of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Confirmation:
    """The winner on cases that the search never scored.

    Attributes:
        cases: What the cases were, such as "locked hold-out" or "second partition".
        num_cases: How many.
        num_positive: Of them with a pneumothorax.
        metrics: By name, scored with the rule that will be deployed.
        all_empty: Metrics of predicting nothing on the same cases.
        intervals: Low and high end by metric, for those that have one.
        num_uses: How often these cases were used to judge a winner, this time included; None if
            that is not known.
        passed: The gate's verdict, None while it was not asked.
        reasons: Why the gate decided so.
    """

    cases: str
    num_cases: int
    num_positive: int
    metrics: Mapping[str, float]
    all_empty: Mapping[str, float] = field(default_factory=dict)
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    num_uses: int | None = None
    passed: bool | None = None
    reasons: tuple[str, ...] = ()
