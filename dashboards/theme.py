"""Colours and layout that all figures share.

Colours are those of Okabe and Ito (2008), which stay apart under the three common kinds of colour
blindness; meaning is never carried by colour alone (fill, dash or a label says it too). Text stands
in INK or MUTED, on white or on a colour of DIVERGING: 4.5 to 1 at least (WCAG 2.2, 1.4.3).
"""

from __future__ import annotations

from typing import Any

INK = "#1f2933"
MUTED = "#5b6673"
GRID = "#e4e7eb"
WINNER = "#0072b2"  # blue
DEFAULT = "#d55e00"  # vermillion
OTHER = "#7b8794"  # slate
PALE = "#c3ccd5"
BASELINE = "#1f2933"
SECOND = "#009e73"  # bluish green
#: Folds by number; the last ones repeat, the number is written on hover as well.
FOLDS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#8a7a00", "#5b6673")
#: Lines of folds by number, with the colours: two folds of one colour have another dash.
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
#: Below, at and above a reference; readable without red or green, and light enough for dark text.
DIVERGING = ((0.0, "#f1a340"), (0.25, "#f8d4a3"), (0.5, "#f7f7f7"), (0.75, "#b5d5ec"),
             (1.0, "#67a9cf"))  # fmt: skip

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"


def layout() -> dict[str, Any]:
    """What every figure has; the caption beside it says what a title would."""
    return {
        "font": {"family": FONT, "size": 13, "color": INK},
        "paper_bgcolor": "#ffffff",
        "plot_bgcolor": "#ffffff",
        # At the bottom of the whole figure, where no axis title or panel title can meet it.
        "legend": {"orientation": "h", "yref": "container", "yanchor": "bottom", "y": 0, "x": 0},
        "hoverlabel": {"font": {"family": FONT, "size": 12}},
        "hovermode": "closest",
    }


def axis(**settings: Any) -> dict[str, Any]:
    """An axis of any panel."""
    title = {"font": {"size": 13, "color": MUTED}, "standoff": 8}
    return {"gridcolor": GRID, "zeroline": False, "automargin": True, "title": title, **settings}
