"""Colours and layout that all figures share.

Colours are those of Okabe and Ito (2008), which stay apart under the three common kinds of colour
blindness; meaning is never carried by colour alone (fill, dash or a label says it too).
"""

from __future__ import annotations

import html
from typing import Any

import plotly.graph_objects as go

INK = "#1f2933"
MUTED = "#5b6673"
GRID = "#e4e7eb"
WINNER = "#0072b2"  # blue
DEFAULT = "#d55e00"  # vermillion
OTHER = "#7b8794"  # slate
BASELINE = "#1f2933"
SECOND = "#009e73"  # bluish green
#: Folds by number; the last ones repeat, the number is written on hover as well.
FOLDS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#8a7a00", "#5b6673")
#: Below, at and above a reference; readable without red or green.
DIVERGING = ((0.0, "#b35806"), (0.25, "#f1a340"), (0.5, "#f7f7f7"), (0.75, "#67a9cf"),
             (1.0, "#2166ac"))  # fmt: skip

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
#: Of every figure in a page. The mode bar would lie over panel titles, and some of its buttons
#: lead outside; zooming by dragging and resetting by a double click work without it.
CONFIG: dict[str, Any] = {"displayModeBar": False, "responsive": True}


def dress(figure: go.Figure, *, height: int, legend: bool = True, top: int = 36) -> go.Figure:
    """Give a figure the common look; the caption beside it says what a title would.

    Args:
        figure: Changed in place, and returned.
        height: Height in pixels.
        legend: Whether it has one, below everything else.
        top: Pixels above the panels, for their titles.
    """
    figure.update_layout(
        template="plotly_white",
        font={"family": FONT, "size": 13, "color": INK},
        height=height,
        margin={"l": 10, "r": 16, "t": top, "b": 84 if legend else 16},
        showlegend=legend,
        # At the bottom of the whole figure, where no axis title or panel title can meet it.
        legend={"orientation": "h", "yref": "container", "yanchor": "bottom", "y": 0.0, "x": 0.0},
        hoverlabel={"font": {"family": FONT, "size": 12}},
        hovermode="closest",
    )
    title = {"font": {"size": 13, "color": MUTED}, "standoff": 8}
    figure.update_xaxes(gridcolor=GRID, zeroline=False, automargin=True, title=title)
    figure.update_yaxes(gridcolor=GRID, zeroline=False, automargin=True, title=title)
    # Panel titles of a grid of subplots are its first annotations.
    figure.update_annotations(font_size=14, selector={"yref": "paper", "showarrow": False})
    return figure


def plain(text: object) -> str:
    """Text for a figure: plotly reads a few HTML tags, and a name must not be one."""
    return html.escape(str(text), quote=False)


def note(text: str) -> go.Figure:
    """A figure that says why there is none."""
    figure = dress(go.Figure(), height=120, legend=False)
    figure.add_annotation(
        text=plain(text), showarrow=False, x=0.5, y=0.5, xref="paper", yref="paper",
        font={"size": 14, "color": MUTED},
    )  # fmt: skip
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False)
    return figure
