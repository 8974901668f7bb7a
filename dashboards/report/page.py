"""The report of a sweep: one HTML file that needs nothing else, least of all a network.

Plotly's script is inside it once, and its content security policy forbids every load, so a report
in an archive shows in ten years what it shows today, and opening it tells no server. The tables
hold all numbers of the figures, for readers without scripts and for print.
"""

from __future__ import annotations

import importlib.metadata
import json
import platform
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path

from dashboards.figures.thresholds import ThresholdsInfo
from dashboards.plot import Plot, as_json
from dashboards.queries import OperatingPoints, leader_of
from dashboards.report import sections, sentences
from dashboards.report.evidence import Confirmation, Verdict
from dashboards.report.findings import Findings, find
from dashboards.report.held_out import held_out
from dashboards.report.markup import Markup, join, tag, turn_button
from dashboards.report.pictures import Picture, pictures
from dashboards.report.provenance import provenance
from dashboards.report.trials import trials_table
from ptxcore.atomic_file import whole_file
from ptxcore.metrics import CONVENTIONS
from sweep.analysis.phrases import note_text
from sweep.ledger import Ledger
from sweep.ledger.projection import Projection

#: Nothing may be loaded: scripts, styles and pictures are all inside the file.
_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src data: blob:; base-uri 'none'; form-action 'none'"
)
_PICTURES = "The sweep in pictures"


def write_report(
    ledger: Ledger,
    path: Path,
    *,
    operating_points: OperatingPoints | None = None,
    confirmation: Confirmation | None = None,
    verdict: Verdict | None = None,
    predictions: Markup | None = None,
    curves: ThresholdsInfo | None = None,
    confirmed: str | None = None,
    written_at: datetime | None = None,
) -> Path:
    """Write the report of a sweep, whatever state it is in.

    The file appears whole or not at all.

    Args:
        ledger: Ledger of the sweep; no lease is needed.
        path: Path of the HTML file; its folder is made.
        operating_points: Operating points by complete trial, see
            `dashboards.queries.OperatingPoints`; without them scores stand at the fixed threshold
            of the settings.
        confirmation: The winner on cases that the search never scored.
        verdict: Verdict of the promotion gate.
        predictions: Pictures of single cases, see `dashboards.report.predictions.gallery`.
        curves: What thresholds would give the winner, or the leader, and its calibration.
        confirmed: What fresh folds say of the best trials, in a sentence; None if they were not
            trained again.
        written_at: Shown in the report; now when None.

    Returns:
        The path.
    """
    html = report_html(
        ledger.name,
        ledger.projection,
        operating_points=operating_points,
        confirmation=confirmation,
        verdict=verdict,
        predictions=predictions,
        curves=curves,
        confirmed=confirmed,
        written_at=written_at,
    )
    with whole_file(path) as draft:
        draft.write_text(html, encoding="utf-8")
    return path


def report_html(
    name: str,
    projection: Projection,
    *,
    operating_points: OperatingPoints | None = None,
    confirmation: Confirmation | None = None,
    verdict: Verdict | None = None,
    predictions: Markup | None = None,
    curves: ThresholdsInfo | None = None,
    confirmed: str | None = None,
    written_at: datetime | None = None,
) -> str:
    """The report as text; see `write_report`."""
    found = find(projection, operating_points)
    written = (written_at or datetime.now(UTC)).strftime("%Y-%m-%d %H:%M %Z").strip()
    drawn = pictures(projection, found, operating_points, curves)
    chapters = {
        **_evidence(projection, found, confirmation, verdict, confirmed),
        _PICTURES: join((_no_script(), *_figures(drawn))),
        "What it sees": predictions,
        "What was searched": sections.searched(projection),
        "All trials": tag("div", trials_table(projection), class_="all"),
        "Where the numbers come from": provenance(name, projection, _versions()),
    }
    shown = {title: content for title, content in chapters.items() if content is not None}
    body = tag(
        "main",
        turn_button(),
        sections.banners(projection, found),
        _top(name, written, found, confirmation, [note_text(note) for note in projection.notes]),
        _contents(shown, drawn),
        *(_chapter(title, content) for title, content in shown.items()),
    )
    phantom = " (phantom)" if projection.header.is_phantom else ""
    plots = {picture.key: picture.plot for picture in drawn if picture.plot is not None}
    return page_of(f"{name}{phantom}: ptxsweep report", body, plots)


def page_of(title: str, body: Markup, plots: Mapping[str, Plot]) -> str:
    """A page that needs nothing else; text first, so that it is read while scripts still load.

    Args:
        title: Title of the window.
        body: With an element "plot-KEY" for each figure.
        plots: Figures by key.
    """
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        Markup(f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="referrer", content="no-referrer"),
        # An empty icon inside the page keeps browsers from asking a server for one.
        tag("link", rel="icon", href="data:,"),
        tag("title", title),
        tag("style", Markup(_own("report", "report.css"))),
        tag("script", Markup(_own("report", "theme.js"))),  # before anything is painted
    )
    # In a script only "</script" and "<!--" mean something, and JSON can write both otherwise.
    found = json.dumps(as_json(plots), ensure_ascii=False, separators=(",", ":"))
    scripts = (
        tag("script", Markup(found.replace("<", "\\u003c")), type="application/json", id="plots"),
        tag("script", Markup(_own("vendor", "plotly-cartesian.min.js"))),
        tag("script", Markup(_own("report", "layout.js") + _own("report", "report.js"))),
    )
    return f"<!DOCTYPE html>\n{tag('html', head, tag('body', body, *scripts), lang='en')}\n"


def figure_page(title: str, plot: Plot) -> str:
    """A page of one figure, as `page_of` makes it."""
    place = tag("div", class_="plot", id="plot-figure", role="img", aria_label=title)
    return page_of(title, tag("main", tag("h1", title), place), {"figure": plot})


def _own(folder: str, name: str) -> str:
    return files("dashboards").joinpath(folder, name).read_text(encoding="utf-8")


def _slug(title: str) -> str:
    return re.sub(r"[^a-z]+", "-", title.lower()).strip("-")


def _chapter(title: str, content: Markup) -> Markup:
    return tag("section", tag("h2", title), content, id=_slug(title))


def _contents(titles: Iterable[str], drawn: Sequence[Picture]) -> Markup:
    """Links to every chapter and every figure."""
    figures = tag(
        "ul", *(tag("li", tag("a", one.title, href=f"#figure-{one.key}")) for one in drawn)
    )
    chapters = (
        tag(
            "li",
            tag("a", title, href=f"#{_slug(title)}"),
            figures if title == _PICTURES else None,
        )
        for title in titles
    )
    return tag("nav", tag("ul", *chapters), class_="contents", aria_label="Contents")


def _top(
    name: str,
    written: str,
    found: Findings,
    confirmation: Confirmation | None,
    notes: Sequence[str],
) -> Markup:
    lead, *rest = found.verdict.sentences
    return tag(
        "header",
        tag("h1", f"Sweep {name}"),
        tag("p", lead, class_="lead"),
        tag("p", " ".join(rest)) if rest else None,
        sections.tiles(found, confirmation),
        tag("p", sentences.effort(found)),
        None if found.cohort is None else tag("p", f"Cases: {found.cohort}."),
        *(tag("p", f"{note[:1].upper()}{note[1:]}") for note in notes),
        tag("p", f"Written {written}.", class_="meta"),
    )


def _evidence(
    projection: Projection,
    found: Findings,
    confirmation: Confirmation | None,
    verdict: Verdict | None,
    confirmed: str | None,
) -> dict[str, Markup | None]:
    table = None
    if found.rows:
        table = join(
            (
                sections.metrics_table(found, found.rows),
                tag(
                    "p",
                    "Mean ± sample SD over the held folds, each scored once on the original mask "
                    "grid. Intervals widen the folds' spread because their training parts overlap "
                    f"(Nadeau and Bengio 2003, with {found.overlap}); differences are taken fold "
                    "by fold, and since they "
                    "are of the best of many, their intervals are corrected for the number of "
                    "trials looked at, stopped and parked ones included. “All empty” is "
                    "what predicting nothing would score. “Threshold” says which cases chose "
                    "it: none needed, fixed beforehand, or the other folds (never the "
                    "scored ones). Distances are measured once per held fold, at the fixed "
                    "threshold, and trust the pixel spacing that the images state.",
                    class_="small",
                ),
            )
        )
    subject = sentences.subject(found)
    numbers = join(
        (
            tag("p", sentences.objective(found)),
            table,
            sections.told_apart(found),
            _choices(projection),
            tag(
                "details",
                tag("summary", "What each metric counts, and what empty masks do"),
                sections.conventions(found, CONVENTIONS),
            ),
        )
    )
    return {
        "Is it true?": join(
            (
                tag("p", " ".join(found.verdict.cautions)),
                sections.resampled(found),
                None if confirmed is None else tag("p", confirmed),
                None
                if confirmed is not None and confirmation is None
                else held_out(confirmation, verdict, subject=subject),
            )
        ),
        f"{subject.capitalize()} in numbers": numbers if found.rows else None,
    }


def _choices(projection: Projection) -> Markup | None:
    leader = leader_of(projection)
    return None if leader is None else sections.choices_table(projection, leader)


def _figures(drawn: Sequence[Picture]) -> list[Markup]:
    """Two halves beside each other, every other figure alone."""
    shown: list[Markup] = []
    left = list(drawn)
    while left:
        picture = left.pop(0)
        if picture.half and left and left[0].half:
            shown.append(tag("div", _figure(picture), _figure(left.pop(0)), class_="pair"))
        else:
            shown.append(_figure(picture))
    return shown


def _figure(picture: Picture) -> Markup:
    if picture.plot is None:
        return tag(
            "div", tag("h3", picture.title), tag("p", picture.text), id=f"figure-{picture.key}"
        )
    plot = tag(
        "div",
        class_="plot",
        id=f"plot-{picture.key}",
        role="img",
        aria_label=picture.title,
        style=f"min-height:{picture.plot.height}px",
    )
    return tag(
        "figure",
        tag("figcaption", tag("b", picture.title), picture.text),
        plot,
        picture.after,
        id=f"figure-{picture.key}",
    )


def _no_script() -> Markup:
    return tag(
        "noscript",
        tag("p", "The figures need scripts; the tables hold the same numbers.", class_="banner"),
    )


def _versions() -> Mapping[str, str]:
    names = ("torch", "monai", "optuna", "ray", "mlflow", "pydicom", "numpy")
    found = {"python": platform.python_version()}
    for name in names:
        found[name] = importlib.metadata.version(name)
    return found
