"""Panels, the vendored library, and colours that can be read."""

from __future__ import annotations

import hashlib
from importlib.resources import files

import pytest
from plotly.offline import get_plotlyjs_version

from dashboards import theme
from dashboards.plot import panels, rounded

#: Of npm's plotly.js-cartesian-dist-min 4.1.1.
SHA256 = "79542150855a52c567260e3137095dbe2b744e6d702a5cabe67da246942fba7a"


def test_the_vendored_library_is_the_published_one_in_plotlys_own_version() -> None:
    vendor = files("dashboards").joinpath("vendor")
    library = vendor.joinpath("plotly-cartesian.min.js").read_bytes()
    assert hashlib.sha256(library).hexdigest() == SHA256
    assert f"v{get_plotlyjs_version()}\n".encode() in library[:200]
    assert "</script" not in library.decode().lower()
    assert "MIT" in vendor.joinpath("plotly-cartesian.LICENSE.txt").read_text(encoding="utf-8")


def test_panels_stand_row_by_row_and_in_one_column_where_it_is_narrow() -> None:
    plot = panels(["a", "b", "c"], columns=2, row_px=100, gap=0.1)
    assert plot.layout["xaxis2"]["domain"] == pytest.approx([0.55, 1.0])
    assert plot.layout["yaxis3"]["domain"][0] == pytest.approx(0.0)
    assert plot.layout["yaxis"]["domain"] == plot.layout["yaxis2"]["domain"]
    assert plot.narrow["xaxis2"]["domain"] == [0, 1]
    tops = [plot.narrow[f"yaxis{n}"]["domain"][1] for n in ("", "2", "3")]
    assert tops == sorted(tops, reverse=True)
    assert plot.narrow["height"] > plot.layout["height"]


def test_a_name_stands_in_the_legend_once() -> None:
    plot = panels(["a", "b"], columns=2, row_px=100)
    plot.add(0, x=[1], y=[1], name="same")
    plot.add(1, x=[1], y=[1], name="same")
    plot.add(1, x=[1], y=[1])
    assert [trace.get("showlegend", True) for trace in plot.finished().data] == [True, False, False]


def test_numbers_are_as_long_as_a_picture_can_show() -> None:
    assert rounded([0.123456, None, float("nan"), 12345.6]) == [0.1235, None, None, 12350.0]


def luminance(color: str) -> float:
    """Relative luminance (WCAG 2.2)."""
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("ground", ["#ffffff", "#fafbfc", *(c for _, c in theme.DIVERGING)])
def test_text_can_be_read_on_every_ground(ground: str) -> None:
    on = luminance(ground) + 0.05
    assert on / (luminance(theme.INK) + 0.05) >= 4.5
    if ground in ("#ffffff", "#fafbfc"):
        assert on / (luminance(theme.MUTED) + 0.05) >= 4.5
