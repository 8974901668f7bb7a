"""Hypothesis strategies, shared by all tests."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

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


@st.composite
def masks(draw: st.DrawFn, max_side: int = 24) -> NDArray[np.bool_]:
    """A mask of any shape up to `max_side`: empty, full, noise or runs."""
    shape = draw(st.tuples(st.integers(1, max_side), st.integers(1, max_side)))
    share = draw(st.sampled_from([0.0, 0.02, 0.5, 0.98, 1.0]))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return np.asarray(generator.random(shape) < share)


@st.composite
def split_masks(draw: st.DrawFn) -> list[NDArray[np.bool_]]:
    """One to four masks of one shape that may overlap, as the rows of one image do."""
    first = draw(masks())
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return [first] + [
        np.asarray(generator.random(first.shape) < 0.3) for _ in range(draw(st.integers(0, 3)))
    ]


@st.composite
def patient_groups(draw: st.DrawFn) -> list[list[tuple[int, str]]]:
    """Patients with one to six images each; an image is (pixels of its mask, view)."""
    image = st.tuples(
        st.one_of(st.just(0), st.integers(1, 4000)), st.sampled_from(["AP", "PA", "PA", ""])
    )
    return draw(st.lists(st.lists(image, min_size=1, max_size=6), min_size=1, max_size=60))
