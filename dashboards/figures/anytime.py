"""Regret of the leader against what was paid, policies side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dashboards import theme
from dashboards.plot import Plot, panels

Floats = NDArray[np.float64]
_DASHES = theme.DASHES


@dataclass(frozen=True, kw_only=True)
class AnytimeCurve:
    """One policy; all arrays are [G].

    Attributes:
        label: The policy.
        costs: Share paid for.
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


def anytime_figure(info: Sequence[AnytimeCurve], over: str = "folds") -> Plot:
    """Lines with bands from the 10th to the 90th percentile over seeds.

    Args:
        info: Curves.
        over: What the costs are shares of.
    """
    plot = panels(row_px=380)
    for index, curve in enumerate(info):
        color = theme.FOLDS[index % len(theme.FOLDS)]
        plot.add(
            x=np.concatenate([curve.costs, curve.costs[::-1]]).tolist(),
            y=np.concatenate([curve.high, curve.low[::-1]]).tolist(),
            fill="toself", fillcolor=color, opacity=0.12, mode="lines", line={"width": 0},
            hoverinfo="skip", legendgroup=curve.label,
        )  # fmt: skip
        plot.add(
            x=curve.costs.tolist(), y=curve.mean.tolist(), name=curve.label, mode="lines",
            line={"color": color, "dash": _DASHES[index % len(_DASHES)], "width": 2},
            hovertemplate="cost %{x:.3f}, regret %{y:.3f}<extra>" + curve.label + "</extra>",
        )  # fmt: skip
    plot.x(title=f"cost (share of all {over})", range=[0, 0.6])
    plot.y(title="regret (share of best minus median)", range=[0, 0.6])
    return plot.finished()
