"""Hypothesis strategies, shared by all tests."""

from __future__ import annotations

import math
from typing import Any

from hypothesis import strategies as st

#: Scores of folds, with ties and with what a diverged network gives.
fold_scores = st.one_of(
    st.floats(-1, 1), st.sampled_from([math.nan, math.inf, -math.inf, 0.5, 0.5, 0.5])
)


@st.composite
def space_parameters(draw: st.DrawFn) -> dict[str, dict[str, Any]]:
    """`parameters` of a search space: two to five, each perhaps under a condition."""
    made: dict[str, dict[str, Any]] = {}
    for number in range(draw(st.integers(2, 5))):
        kind = draw(st.sampled_from(["float", "int", "categorical"]))
        if kind == "categorical":
            choices = draw(
                st.lists(
                    st.sampled_from([1, 2, 0.5, "a", "b", False, None]), min_size=1, unique=True
                )
            )
            one: dict[str, Any] = {"choices": choices, "default": draw(st.sampled_from(choices))}
        elif kind == "int":
            low, steps, step = draw(st.tuples(*[st.integers(1, 9)] * 3))
            default = low + step * draw(st.integers(0, steps))
            one = {"low": low, "high": low + steps * step, "step": step, "default": default}
        else:
            low, high = sorted(draw(st.tuples(*[st.floats(1e-6, 1e3)] * 2)))
            one = {"low": low, "high": high, "log": draw(st.booleans()), "default": high}
        parents = [name for name, other in made.items() if other["type"] == "categorical"]
        if parents and draw(st.booleans()):
            parent = draw(st.sampled_from(parents))
            one["when"] = {parent: [draw(st.sampled_from(made[parent]["choices"]))]}
        made[f"p{number}"] = {"type": kind, **one}
    return made
