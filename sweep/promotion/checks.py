"""One question of the gate: what was found, what was expected, and whether it passed."""

from __future__ import annotations

import math
from dataclasses import dataclass

from sweep.promotion.confirmation import Confirmation

#: What is expected where there is nothing to ask.
NOTHING = "-"


@dataclass(frozen=True, kw_only=True)
class Check:
    """One question of the gate."""

    name: str
    passed: bool
    found: str
    expected: str

    def __str__(self) -> str:
        if self.expected == NOTHING:
            return f"{self.name}: {self.found}"
        return f"{self.name}: found {self.found}, expected {self.expected}"


def check(name: str, passed: bool, found: str, expected: str) -> Check:
    """A question that was answered.

    Args:
        name: Name of the question.
        passed: Whether what was found is what was expected.
        found: In words.
        expected: Likewise; `NOTHING` where there was nothing to ask.
    """
    return Check(name=name, passed=passed, found=found, expected=expected)


def bound(
    confirmation: Confirmation,
    name: str,
    key: str,
    found: str,
    margin: float,
    note: str = "",
    *,
    below: bool = False,
) -> Check:
    """Whether the lower end of an interval lies above a margin. NaN does not.

    Args:
        confirmation: Confirmation with the interval.
        name: Name of the question.
        key: A key of `Confirmation.intervals`.
        found: The number in words.
        margin: What the end is compared with.
        note: Said behind the interval.
        below: Whether the upper end must lie below the margin instead.
    """
    low, high = confirmation.intervals.get(key, (math.nan, math.nan))
    glue = "" if found.endswith("(") else ", "
    # A share has no sign, a difference has one.
    form = "+.4f" if key in ("gain", "difference", "challenge") else ".4f"
    end, side = ("an upper", "below") if below else ("a lower", "above")
    return check(
        name,
        high < margin if below else low > margin,
        f"{found}{glue}{confirmation.span(key, form)}{note})",
        f"{end} end {side} {margin:{form}}",
    )
