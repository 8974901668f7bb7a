"""The Dice that a perfect network reaches on a coarser grid, by filter, size and mask size."""

from __future__ import annotations

from dataclasses import dataclass

from dashboards import theme
from dashboards.plot import Plot, panels, plain
from ptxcore.data.studies.fidelity import Study

_DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot", "solid")
_SYMBOLS = ("circle", "square", "diamond", "cross", "x", "triangle-up", "triangle-down")


@dataclass(frozen=True, kw_only=True)
class CeilingLine:
    """One filter at one size.

    Attributes:
        size: Longer side of the coarse grid in pixels.
        method: Filter on the way down.
        back: Filter on the way up.
        dice: Mean over each quarter, the smallest masks first.
    """

    size: int
    method: str
    back: str
    dice: tuple[float, ...]


def ceiling_info(study: Study) -> tuple[CeilingLine, ...]:
    """The lines of a study, those at one size together."""
    return tuple(
        CeilingLine(size=row.size, method=row.method, back=row.back, dice=row.dice_quartiles)
        for row in study.rows
    )


def quarter_labels(edges_px: tuple[float, float, float]) -> list[str]:
    """What the four quarters hold, in pixels of the mask's own grid."""
    low, middle, high = (f"{edge:,.0f}" for edge in edges_px)
    return [f"up to {low}", f"to {middle}", f"to {high}", "larger"]


def ceiling_figure(study: Study) -> Plot:
    """A panel for each size; lines for the bilinear return, small open marks for the nearest."""
    info = ceiling_info(study)
    sizes = list(dict.fromkeys(line.size for line in info))
    methods = list(dict.fromkeys(line.method for line in info))
    labels = quarter_labels(study.quartile_edges_px)
    plot = panels(
        [f"{size} px" for size in sizes], columns=len(sizes), row_px=340, gap=0.03, shared_y=True
    )
    for line in info:
        place = methods.index(line.method)
        color = theme.FOLDS[place % len(theme.FOLDS)]
        is_smooth = line.back == "bilinear"
        plot.add(
            sizes.index(line.size), x=labels, y=list(line.dice),
            mode="lines+markers" if is_smooth else "markers",
            legendgroup=line.method, **({"name": line.method} if is_smooth else {}),
            line={"color": color, "dash": _DASHES[place % len(_DASHES)], "width": 2},
            marker={
                "color": color, "size": 7,
                "symbol": _SYMBOLS[place % len(_SYMBOLS)] + ("" if is_smooth else "-open"),
            },
            hovertemplate=(
                f"{plain(line.method)}, back {line.back}: %{{y:.4f}}<extra>%{{x}} px</extra>"
            ),
        )  # fmt: skip
    for panel in range(len(sizes)):
        plot.x(panel, title="mask size (px), a quarter of the masks each")
    plot.y(title="Dice of a perfect network")
    return plot.finished()
