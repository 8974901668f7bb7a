"""Figures of a page as JSON: its script asks for a group of them when it comes into view."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from dashboards.plot import as_json
from dashboards.report.markup import Markup, tag
from dashboards.report.pictures import Picture


def place(name: str, address: str, *, trials: str, num_trials: int) -> Markup:
    """Where a group of figures goes.

    Args:
        name: Name of the group, different from all others of the page.
        address: Where they are asked for.
        trials: Address of a trial's page, without its number; a click on a mark leads there.
        num_trials: Trials that have such a page.
    """
    return tag(
        "div",
        tag("p", "A script draws the figures when they come into view.", class_="small"),
        class_="figures",
        id=f"figures-{name}",
        data_figures=address,
        data_trials=trials,
        data_num_trials=num_trials,
        hx_morph_skip=True,
    )


def answer_figures(request: Request, etag: str, drawn: Sequence[Picture]) -> Response:
    """Figures with their words.

    Args:
        request: What was asked.
        etag: Changes whenever they would.
        drawn: Figures in order; those without a plot say why there is none.
    """
    plots = as_json({one.key: one.plot for one in drawn if one.plot is not None})
    listed = [
        {
            "key": one.key,
            "title": one.title,
            "text": one.text,
            "half": one.half,
            "plot": plots.get(one.key),
            "height": one.plot.height if one.plot is not None else 0,
        }
        for one in drawn
    ]
    return JSONResponse({"figures": listed}, headers={"ETag": etag})
