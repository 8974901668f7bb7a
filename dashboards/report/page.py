"""The report of a sweep: one HTML file that needs nothing else, least of all a network.

Plotly's script is inside it once, and its content security policy forbids every load, so a report
in an archive shows in ten years what it shows today, and opening it tells no server. The tables
hold all numbers of the figures, for readers without scripts and for print.
"""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from dashboards import theme
from dashboards.figures import overfitting
from dashboards.figures.fold_curves import fold_curves, fold_curves_info
from dashboards.figures.fold_heatmap import fold_heatmap, fold_heatmap_info
from dashboards.figures.fold_heatmap import sentence as heatmap_sentence
from dashboards.figures.importance import importance, importance_info
from dashboards.figures.importance import sentence as importance_sentence
from dashboards.figures.leaderboard import leaderboard, leaderboard_info
from dashboards.figures.schedule import schedule, schedule_info
from dashboards.figures.schedule import sentence as schedule_sentence
from dashboards.figures.slices import sentence as slices_sentence
from dashboards.figures.slices import slices, slices_info
from dashboards.queries import OperatingPoints, label, leader_of
from dashboards.report import sections, sentences
from dashboards.report.evidence import Confirmation, Verdict
from dashboards.report.findings import Findings, find
from dashboards.report.held_out import held_out
from dashboards.report.markup import Markup, join, tag
from dashboards.report.predictions import PredictionsInfo, gallery
from dashboards.text import metric_name
from ptxcore.atomic_file import whole_file
from ptxcore.metrics import CONVENTIONS
from sweep.ledger import Ledger
from sweep.ledger.projection import Projection, Trial

#: Nothing may be loaded: scripts, styles and pictures are all inside the file.
_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src data: blob:; base-uri 'none'; form-action 'none'"
)


def write_report(
    ledger: Ledger,
    path: Path,
    *,
    operating_points: OperatingPoints | None = None,
    confirmation: Confirmation | None = None,
    verdict: Verdict | None = None,
    predictions: PredictionsInfo | None = None,
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
        predictions: Pictures of single cases.
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
    predictions: PredictionsInfo | None = None,
    written_at: datetime | None = None,
) -> str:
    """The report as text; see `write_report`."""
    found = find(projection, operating_points)
    written = (written_at or datetime.now(UTC)).strftime("%Y-%m-%d %H:%M %Z").strip()
    body = tag(
        "main",
        sections.banners(projection, found),
        _top(name, written, found, confirmation),
        _evidence(projection, found, confirmation, verdict),
        _figures(projection, found, operating_points),
        None if predictions is None else _chapter("What it sees", gallery(predictions)),
        _chapter("What was searched", sections.searched(projection)),
        _chapter("All trials", tag("div", sections.trials_table(projection), class_="all")),
        _chapter("Where the numbers come from", sections.provenance(projection, _versions())),
    )
    phantom = " (phantom)" if projection.header.is_phantom else ""
    return _page(f"{name}{phantom}: ptxsweep report", body)


def _page(title: str, body: Markup) -> str:
    style = Markup(files("dashboards.report").joinpath("report.css").read_text(encoding="utf-8"))
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        Markup(f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="referrer", content="no-referrer"),
        # An empty icon inside the page keeps browsers from asking a server for one.
        tag("link", rel="icon", href="data:,"),
        tag("title", title),
        tag("style", style),
        tag("script", Markup(get_plotlyjs())),
    )
    return f"<!DOCTYPE html>\n{tag('html', head, tag('body', body), lang='en')}\n"


def _chapter(title: str, *content: object) -> Markup:
    return tag("section", tag("h2", title), *content)


def _top(name: str, written: str, found: Findings, confirmation: Confirmation | None) -> Markup:
    lead, *rest = found.verdict.sentences
    return tag(
        "header",
        tag("h1", f"Sweep {name}"),
        tag("p", lead, class_="lead"),
        tag("p", " ".join(rest)) if rest else None,
        sections.tiles(found, confirmation),
        tag("p", sentences.effort(found)),
        None if found.cohort is None else tag("p", f"Cases: {found.cohort}."),
        tag("p", f"Written {written}.", class_="meta"),
    )


def _by_groups(found: Findings) -> Markup | None:
    if not found.groups:
        return None
    return join(
        (
            tag("h3", "By size of the mask and by view"),
            sections.metrics_table(found, found.groups),
            tag(
                "p",
                "Quarters are parted by the areas of the positive cases of all folds on the "
                "original grid; the hold-out has no part in them. Empty masks count as above; a "
                "fold without a case of a group is left out of its mean.",
                class_="small",
            ),
        )
    )


def _evidence(
    projection: Projection,
    found: Findings,
    confirmation: Confirmation | None,
    verdict: Verdict | None,
) -> Markup:
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
                _by_groups(found),
            )
        )
    return join(
        (
            _chapter(
                "Is it true?",
                tag("p", " ".join(found.verdict.cautions)),
                held_out(confirmation, verdict, subject=sentences.subject(found)),
            ),
            _chapter(
                f"{sentences.subject(found).capitalize()} in numbers",
                tag("p", sentences.objective(found)),
                table,
                _choices(projection),
                tag("h3", "Empty masks"),
                sections.conventions(found, CONVENTIONS),
            )
            if found.rows
            else None,
        )
    )


def _choices(projection: Projection) -> Markup | None:
    leader = leader_of(projection)
    return None if leader is None else sections.choices_table(projection, leader)


def _figures(
    projection: Projection, found: Findings, operating_points: OperatingPoints | None
) -> Markup:
    board = leaderboard_info(projection, operating_points=operating_points)
    heat = fold_heatmap_info(projection)
    parts = [
        _figure(
            "leaderboard",
            "Leaderboard",
            sections.leaderboard_sentence(found, projection.num_folds)
            + sections.counted(board.num_omitted, board.num_unscored),
            leaderboard(board),
        ),
        _figure(
            "folds",
            "Trials × folds",
            heatmap_sentence(heat) + sections.counted(heat.num_omitted, heat.num_unscored),
            fold_heatmap(heat),
        ),
    ]
    if not any(trial.folds for trial in projection.trials):
        parts = [tag("p", "No fold is finished yet.")]
    leader = leader_of(projection)
    if leader is not None:
        curves = fold_curves_info(projection, leader)
        if curves.panels:
            parts.append(
                _figure(
                    "curves",
                    f"Training of {sentences.subject(found)}, {label(leader)}",
                    "Thick lines are means over the folds (dotted once some have stopped early), "
                    "bands one SD to each side, thin lines single folds. The monitor cases lie "
                    "inside the training part and choose the epoch; crosses are the held "
                    "fold, scored once with the weights of that epoch. Dice and IoU count both "
                    "empty as 1 and stand at the fixed threshold of the settings.",
                    fold_curves(curves),
                )
            )
        parts += _overfitting(leader)
    times = schedule_info(projection)
    if times.bars:
        parts.append(
            _figure("schedule", "What ran when", schedule_sentence(times), schedule(times))
        )
    matters, slice_plot = importance_info(projection), slices_info(projection)
    if slice_plot.slices:
        parts.append(
            _figure(
                "slices",
                f"{metric_name(found.metric)} against each parameter",
                slices_sentence(slice_plot),
                slices(slice_plot),
            )
        )
    title, text = "Which parameters matter", importance_sentence(matters)
    parts.append(
        tag("div", tag("h3", title), tag("p", text))
        if matters.reason
        else _figure("importance", title, text, importance(matters))
    )
    return _chapter("The sweep in pictures", _no_script(), *parts)


def _overfitting(leader: Trial) -> list[Markup]:
    info = overfitting.overfitting_info(leader)
    if info is None:
        return []
    title, text = f"Overfitting of {info.trial}", overfitting.sentence(info)
    picture = _figure("overfitting", title, text, overfitting.overfitting(info))
    return [picture, sections.diagnosis_table(info)]


def _figure(key: str, title: str, text: str, figure: go.Figure) -> Markup:
    plot = figure.to_html(
        full_html=False, include_plotlyjs=False, div_id=f"plot-{key}", config=theme.CONFIG
    )
    return tag(
        "figure",
        tag("figcaption", tag("b", title), text),
        tag("div", Markup(plot), class_="plot", role="img", aria_label=f"{title}. {text}"),
        id=f"figure-{key}",
    )


def _no_script() -> Markup:
    return tag(
        "noscript",
        tag("p", "The figures need scripts; the tables hold the same numbers.", class_="banner"),
    )


def _versions() -> Mapping[str, str]:
    names = ("torch", "monai", "optuna", "ray", "mlflow", "plotly", "pydicom", "numpy")
    found = {"python": platform.python_version()}
    for name in names:
        found[name] = importlib.metadata.version(name)
    return found
