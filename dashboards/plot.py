"""A figure as plotly.js takes it: plain traces and a plain layout, with panels beside each other.

`plotly.graph_objects` checks and copies every value; that was two thirds of a report's time. What a
figure needs of it is a grid of panels, which also has to stand in one column on a narrow screen.
`Plot.figure` gives what plotly itself makes of it.
"""

from __future__ import annotations

import html
import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dashboards import theme

#: Room between panels in pixels, for tick labels and titles.
GAP_PX = 64
_LEGEND_ROW_PX = 20


@dataclass(kw_only=True)
class Plot:
    """A figure under construction, and what plotly.js is given.

    Attributes:
        data: Traces.
        layout: Layout of a page that is wide enough for all columns.
        narrow: What of the layout differs where the panels stand in one column.
        names: Legend entries so far.
    """

    data: list[dict[str, Any]] = field(default_factory=list)
    layout: dict[str, Any] = field(default_factory=dict)
    narrow: dict[str, Any] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)

    @property
    def height(self) -> int:
        """Height in pixels where the page is wide."""
        return int(self.layout["height"])

    def add(self, panel: int = 0, **trace: Any) -> None:
        """Add a trace to a panel; a name that the legend has already is not repeated."""
        number = "" if panel == 0 else str(panel + 1)
        trace = {"type": "scatter", "xaxis": f"x{number}", "yaxis": f"y{number}", **trace}
        name = trace.get("name")
        if name is None or name in self.names:
            trace["showlegend"] = False
        elif trace.get("showlegend", True):
            self.names.append(name)
        if name is not None:
            trace.setdefault("legendgroup", name)
        if "text" in trace.get("mode", ""):
            trace.setdefault("cliponaxis", False)  # else a label beside a mark at the edge is cut
        self.data.append(trace)

    def x(self, panel: int = 0, **settings: Any) -> None:
        """Change the horizontal axis of a panel; `title` may be a string."""
        self._axis("x", panel, settings)

    def y(self, panel: int = 0, **settings: Any) -> None:
        """Change the vertical axis of a panel; `title` may be a string."""
        self._axis("y", panel, settings)

    def vertical(self, at: float, panel: int = 0, **line: Any) -> None:
        """A line across a panel at a horizontal value."""
        number = "" if panel == 0 else str(panel + 1)
        self.layout["shapes"].append(
            {"type": "line", "xref": f"x{number}", "yref": f"y{number} domain", "x0": at, "x1": at,
             "y0": 0, "y1": 1, "layer": "below", "line": line}
        )  # fmt: skip

    def horizontal(self, at: float, panel: int = 0, **line: Any) -> None:
        """A line across a panel at a vertical value."""
        number = "" if panel == 0 else str(panel + 1)
        self.layout["shapes"].append(
            {"type": "line", "xref": f"x{number} domain", "yref": f"y{number}", "x0": 0, "x1": 1,
             "y0": at, "y1": at, "layer": "below", "line": line}
        )  # fmt: skip

    def text(self, text: str, panel: int = 0, *, domain: str = "", **place: Any) -> None:
        """A text in a panel; `domain` names the axes ("x", "y", "xy") that count from 0 to 1."""
        number = "" if panel == 0 else str(panel + 1)
        refs = {f"{a}ref": f"{a}{number}" + (" domain" if a in domain else "") for a in "xy"}
        font = {"size": 12, "color": theme.INK}
        self.layout["annotations"].append(
            {"text": text, "showarrow": False, "font": font, **refs, **place}
        )

    def _axis(self, letter: str, panel: int, settings: dict[str, Any]) -> None:
        axis = self.layout[f"{letter}axis{'' if panel == 0 else panel + 1}"]
        if isinstance(title := settings.get("title"), str):
            settings["title"] = {**axis["title"], "text": title}
        axis.update(settings)

    def figure(self) -> Any:
        """The same as a `plotly.graph_objects.Figure`, for notebooks and other viewers."""
        import plotly.graph_objects as go

        return go.Figure(self.data, self.layout)

    def finished(self) -> Plot:
        """Room for the legend on a wide page, by its entries; called last.

        A page's script makes other room where the width is another.
        """
        rows = math.ceil(sum(len(name) + 8 for name in self.names) / 130)
        room = 12 + _LEGEND_ROW_PX * rows if self.names else 0
        for layout in (self.layout, self.narrow):
            layout["height"] += room
            layout["margin"] = {**layout["margin"], "b": layout["margin"]["b"] + room}
        self.layout["showlegend"] = bool(self.names)
        return self


def panels(
    titles: Sequence[str] = ("",),
    *,
    columns: int = 1,
    row_px: int,
    notes: Sequence[str] = (),
    widths: Sequence[float] = (),
    gap: float = 0.08,
    shared_y: bool = False,
    bottom: int = 48,
) -> Plot:
    """An empty grid of panels, filled row by row; in one column where the page is narrow.

    Args:
        titles: Title of each panel, text.
        columns: Panels beside each other.
        row_px: Height of one panel in pixels.
        notes: Below each title, smaller.
        widths: Shares of the columns; equal ones unless given.
        gap: Room between two columns as a share of the width.
        shared_y: Whether panels of a row have the same vertical axis, labelled once.
        bottom: Pixels for the horizontal axis of the last row.
    """
    rows = max(1, math.ceil(len(titles) / columns))
    shares = widths or (1.0,) * columns
    free = 1.0 - gap * (columns - 1)
    # Narrow panels wrap what stands above them.
    lines = [textwrap.wrap(note, 20 if widths else 60) for note in notes]
    top = (22 if any(titles) else 0) + 18 * max(map(len, lines), default=0) + 8
    between = GAP_PX + (top if any(titles) else 0) - 8
    layout: dict[str, Any] = {**theme.layout(), "annotations": [], "shapes": []}
    narrow: dict[str, Any] = {}
    for target, count in ((layout, rows), (narrow, len(titles))):
        target["height"] = count * row_px + (count - 1) * between + top + bottom
        target["margin"] = {"l": 10, "r": 16, "t": top, "b": bottom}
    plot = Plot(layout=layout, narrow=narrow)
    for panel, title in enumerate(titles):
        number = "" if panel == 0 else str(panel + 1)
        row, column = divmod(panel, columns)
        left = sum(shares[:column]) / sum(shares) * free + gap * column
        right = left + shares[column] / sum(shares) * free
        layout[f"xaxis{number}"] = theme.axis(anchor=f"y{number}", domain=[left, min(right, 1.0)])
        layout[f"yaxis{number}"] = theme.axis(
            anchor=f"x{number}", domain=_span(row, rows, row_px, between)
        )
        narrow[f"xaxis{number}"] = {"domain": [0, 1]}
        narrow[f"yaxis{number}"] = {"domain": _span(panel, len(titles), row_px, between)}
        if shared_y and column:
            first = panel - column
            layout[f"yaxis{number}"]["matches"] = f"y{'' if first == 0 else first + 1}"
            layout[f"yaxis{number}"]["showticklabels"] = False
            narrow[f"yaxis{number}"]["showticklabels"] = True
        if title:
            # The last of several narrow panels would write over the edge.
            is_last = bool(widths) and column == columns - 1
            _head(plot, panel, title, lines[panel] if panel < len(lines) else (), is_last=is_last)
    return plot


def _head(plot: Plot, panel: int, title: str, lines: Sequence[str], *, is_last: bool) -> None:
    """What stands above a panel: its title, and smaller the lines of its note."""
    words = plain(title)
    if lines:
        note = "<br>".join(map(plain, lines))
        words += f'<br><span style="font-size:12px;color:{theme.MUTED}">{note}</span>'
    side = "right" if is_last else "left"
    plot.text(
        words, panel, domain="xy", x=float(is_last), y=1, xanchor=side, yanchor="bottom",
        align=side, yshift=4, font={"size": 14, "color": theme.INK},
    )  # fmt: skip


def _span(row: int, rows: int, row_px: int, between: int) -> list[float]:
    """Domain of a row, counted from the top."""
    whole = rows * row_px + (rows - 1) * between
    top = 1.0 - row * (row_px + between) / whole
    return [max(0.0, top - row_px / whole), top]


def note(text: str) -> Plot:
    """A figure that says why there is none."""
    plot = panels(row_px=60, bottom=8)
    plot.text(plain(text), domain="xy", x=0.5, y=0.5, font={"size": 14, "color": theme.MUTED})
    plot.x(visible=False)
    plot.y(visible=False)
    return plot.finished()


def plain(text: object) -> str:
    """Text for a figure: plotly reads a few HTML tags, and a name must not be one."""
    return html.escape(str(text), quote=False)


def rounded(values: Iterable[float | None], digits: int = 4) -> list[float | None]:
    """Numbers with as many significant digits as a picture can show; None for NaN."""
    return [
        None if value is None or not math.isfinite(value) else float(f"{value:.{digits}g}")
        for value in values
    ]


def as_json(plots: Mapping[str, Plot]) -> dict[str, Any]:
    """The figures of a page as plain values."""
    return {
        key: {
            "data": plot.data,
            "layout": plot.layout,
            "narrow": plot.narrow,
            "names": plot.names,
        }
        for key, plot in plots.items()
    }
