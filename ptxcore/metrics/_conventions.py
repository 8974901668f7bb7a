"""What a number means by its name: which way is better, and what empty masks do in it."""

from __future__ import annotations

import math
import re

from ptxcore.metrics._groups import SIZES, VIEWS
from ptxcore.metrics._summary import CONVENTIONS, LOWER_IS_BETTER

_BASELINE = "_all_empty"
#: Scores of probabilities, not of masks.
_THRESHOLD_FREE = frozenset({"average_precision", "calibration_error", "loss"})
_GROUP = re.compile(
    rf"(.+)_(?:size_(?:{'|'.join(SIZES)})|view_(?:{'|'.join(VIEWS)}))((?:{_BASELINE})?)"
)


def better(metric: str) -> str | None:
    """Which way a metric is better.

    Args:
        metric: A name that `summarize`, `summarize_surfaces` or `summarize_groups` gives, or
            "loss".

    Returns:
        "higher" or "lower"; None for a count, for what predicting nothing gives, and for a name
        that is not known.
    """
    base, _ = _parts(metric)
    if base not in CONVENTIONS or base.startswith("num_") or base.endswith(_BASELINE):
        return None
    return "lower" if base in LOWER_IS_BETTER else "higher"


def needs_threshold(metric: str) -> bool:
    """Whether a metric is one of masks, so that it depends on the rule that makes them.

    Args:
        metric: Name, as for `better`; False for counts, for what predicting nothing gives, and for
            a name that is not known.
    """
    return better(metric) is not None and _parts(metric)[0] not in _THRESHOLD_FREE


def bounds(metric: str) -> tuple[float, float]:
    """The least and the largest value that a metric can have: shares in [0, 1], distances from 0.

    Args:
        metric: Name, as for `better`; "loss" and names that are not known have no bounds.
    """
    base, _ = _parts(metric)
    if base not in CONVENTIONS or base == "loss":
        return -math.inf, math.inf
    return 0.0, math.inf if base.startswith("num_") or "_mm" in base else 1.0


def convention(metric: str) -> str | None:
    """What a metric counts, and what it does with empty masks; None for an unknown name.

    Args:
        metric: Name, as for `better`.
    """
    base, is_group = _parts(metric)
    if base not in CONVENTIONS:
        return None
    return CONVENTIONS[base] + ", of this group of cases" * is_group


def _parts(metric: str) -> tuple[str, bool]:
    """The name without its group, and whether it has one."""
    found = _GROUP.fullmatch(metric)
    return (metric, False) if found is None else (found[1] + found[2], True)
