"""Regret of the leader against what was paid, policies side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from dashboards import theme

Floats = NDArray[np.float64]
_DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")


@dataclass(frozen=True, kw_only=True)
class AnytimeCurve:
    """One policy; all arrays are [G].

    Attributes:
        label: The policy.
        costs: Share of all folds paid for.
        mean: Mean regret over tables and seeds.
        low: 10th percentile over seeds of the mean over tables.
        high: 90th percentile likewise.
    """

    label: str
    costs: Floats
    mean: Floats
    low: Floats
    high: Floats


def anytime_info(curves: Mapping[str, tuple[Floats, Sequence[Floats]]]) -> tuple[AnytimeCurve, ...]:
    """Reduce replays.

    Args:
        curves: Curves by policy: [G] costs, and for each table [seeds, G] regrets, NaN before the
            first score; costs at which some replay has no score yet are left out, as are replays
            without any (their partition has no best); so is a policy without replays.
    """
    found = []
    for label, (costs, tables) in curves.items():
        regrets = np.stack(tables)
        is_judged = np.asarray(~np.isnan(regrets).all(axis=2))
        known = ~np.isnan(regrets[is_judged]).any(axis=0)
        kept = is_judged.any(axis=0)
        if not kept.any():
            continue
        per_seed = np.mean(regrets[:, kept], axis=0, where=is_judged[:, kept, None])
        low, high = np.quantile(per_seed[:, known], [0.1, 0.9], axis=0)
        found.append(
            AnytimeCurve(
                label=label,
                costs=costs[known],
                mean=per_seed[:, known].mean(axis=0),
                low=low,
                high=high,
            )
        )
    return tuple(found)


def anytime_figure(info: Sequence[AnytimeCurve]) -> go.Figure:
    """Lines with bands from the 10th to the 90th percentile over seeds."""
    figure = go.Figure()
    for index, curve in enumerate(info):
        color = theme.FOLDS[index % len(theme.FOLDS)]
        figure.add_scatter(
            x=np.concatenate([curve.costs, curve.costs[::-1]]),
            y=np.concatenate([curve.high, curve.low[::-1]]),
            fill="toself",
            fillcolor=color,
            opacity=0.12,
            line={"width": 0},
            hoverinfo="skip",
            legendgroup=curve.label,
            showlegend=False,
        )
        figure.add_scatter(
            x=curve.costs,
            y=curve.mean,
            name=curve.label,
            legendgroup=curve.label,
            line={"color": color, "dash": _DASHES[index % len(_DASHES)], "width": 2},
            hovertemplate="cost %{x:.3f}, regret %{y:.3f}<extra>" + curve.label + "</extra>",
        )
    figure.update_xaxes(title_text="cost (share of all folds)", range=[0, 0.6])
    figure.update_yaxes(title_text="regret (share of best minus median)", range=[0, 0.6])
    return theme.dress(figure, height=460)
