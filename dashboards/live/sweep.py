"""`/s/NAME`: one sweep, while it runs and afterwards."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from dashboards.live import figures, progress
from dashboards.live.board import View, board
from dashboards.live.ledgers import Ledgers, OpenSweep
from dashboards.live.page import Page, answer, status_line, sweep_url
from dashboards.live.registry import promote_url
from dashboards.live.settings import Settings
from dashboards.live.stopped import stopped
from dashboards.live.tracking import Tracking
from dashboards.report import pictures, sections, sentences
from dashboards.report.markup import Markup, join, tag
from dashboards.report.pictures import Picture
from dashboards.report.provenance import provenance
from dashboards.text import duration
from sweep.analysis.phrases import note_text
from sweep.ledger.lease import Driver
from sweep.records import SweepState
from sweep.util.words import count

#: Groups of figures by name: each is asked for when it comes into view.
GROUPS: dict[str, Callable[[OpenSweep], list[Picture]]] = {
    "comparisons": lambda one: pictures.comparisons(one.projection, one.found, one.points),
    "training": lambda one: [
        *pictures.cases(one.projection, one.found, None),
        *pictures.training(one.projection, one.found),
    ],
    "stopped": lambda one: pictures.stopped(one.projection),
    "search": lambda one: pictures.search(one.projection, one.found),
    "cost": lambda one: pictures.cost(one.projection, one.points),
}


def routes(ledgers: Ledgers, settings: Settings) -> list[BaseRoute]:
    """Where this page and its figures are."""
    tracking = Tracking(settings.home.tracking_uri)

    def page(request: Request) -> Response:
        """The page, or the part of it that is new."""
        with ledgers.opened(request.path_params["name"]) as one:
            view, now = View.of(request.query_params), datetime.now(UTC)
            is_away, driver, minute = tracking.is_away(), None, ""
            if one.projection.sweep_state is SweepState.RUNNING:
                # What is said of the driver, and of its silence, changes without an entry.
                driver, minute = one.follower.driver(), now.strftime("%H%M")
            etag = one.etag("sweep", request.url.query, driver, minute, is_away)
            return answer(
                request,
                etag,
                lambda: Page(
                    title=f"{one.name}: ptxsweep",
                    body=_body(one, view, driver, now, is_away),
                    is_live=True,
                ),
            )

    def group(request: Request) -> Response:
        """The figures of one group."""
        key = request.path_params["group"]
        if key not in GROUPS:
            raise HTTPException(404)
        with ledgers.opened(request.path_params["name"]) as one:
            etag = one.etag("figures", key)
            if request.headers.get("if-none-match") == etag:
                return Response(status_code=304, headers={"ETag": etag})
            return figures.answer_figures(request, etag, GROUPS[key](one))

    return [Route("/s/{name}", page), Route("/s/{name}/figures/{group}", group)]


def status(one: OpenSweep, *more: object, is_away: bool) -> Markup:
    """The first line of every page of a sweep."""
    phantom = " (phantom)" if one.projection.header.is_phantom else ""
    return status_line(
        tag("a", f"{one.name}{phantom}", href=sweep_url(one.name)),
        str(one.projection.sweep_state)
        + (f" ({why})" if (why := one.projection.sweep_reason) is not None else ""),
        tag("a", "promotion", href=promote_url(one.name)),
        f"ledger revision {one.revision:,}",
        *more,
        "live from the ledger, MLflow cannot be reached" if is_away else None,
        at=one.follower.last_at,
    )


def _body(
    one: OpenSweep, view: View, driver: Driver | None, now: datetime, is_away: bool
) -> Markup:
    projection, found = one.projection, one.found
    reckoned = one.once("overview", lambda: progress.overview(projection))
    pace = one.once("pace", lambda: progress.Pace.of(projection.trials))
    lead, *rest = found.verdict.sentences
    head = join(
        (
            status(one, is_away=is_away),
            one.once("banners", lambda: sections.banners(projection, found, is_live=True)),
            tag("h1", f"Sweep {one.name}"),
            tag("p", lead, class_="lead"),
            tag("p", " ".join(rest)) if rest else None,
            sections.tiles(found, one.confirmation),
            tag(
                "p",
                one.once("bar", lambda: progress.bar(projection, reckoned)),
                " · ",
                one.once("counts", lambda: progress.counts(projection)),
            ),
            _sentence(one.once("left", lambda: progress.time_left(projection, reckoned))),
            *(tag("p", note_text(note)) for note in projection.notes),
        )
    )
    chapters = {
        "Now": join(
            (
                progress.running(one.name, projection, pace),
                progress.alarms(one, pace, driver, one.follower.last_at, now),
            )
        ),
        f"Verdict{' so far' if found.is_open else ''}": one.once("verdict", lambda: _verdict(one)),
        "Trials": join((board(one, view), _figures(one, "comparisons"))),
        "Why the others stopped": join(
            (
                one.once("stopped", lambda: stopped(one.name, projection)),
                _figures(one, "stopped") if any(t.judged for t in projection.trials) else None,
            )
        ),
        "What matters": join(
            (
                one.once("searched", lambda: sections.searched(projection)),
                _figures(one, "search"),
            )
        ),
        f"{sentences.subject(found).capitalize()} in training": _figures(one, "training"),
        "What it cost": join(
            (
                tag("p", sentences.effort(found)),
                tag("p", one.once("cost", lambda: _cost(one))),
                _figures(one, "cost"),
            )
        ),
        "Where the numbers come from": provenance(one.name, projection, {}),
    }  # fmt: skip
    parts = (tag("section", tag("h2", title), part) for title, part in chapters.items())
    return join((head, *parts))


def _sentence(text: str | None) -> Markup | None:
    return None if text is None else tag("p", f"{text[0].upper()}{text[1:]}.", class_="left")


def _verdict(one: OpenSweep) -> Markup:
    found = one.found
    return join(
        (
            tag("p", " ".join(found.verdict.cautions)) if found.verdict.cautions else None,
            sections.resampled(found),
            _numbers(one) if found.rows else tag("p", "No fold is finished: there are no numbers."),
        )
    )


def _numbers(one: OpenSweep) -> Markup:
    found = one.found
    title = f"{sentences.subject(found).capitalize()} in {count(len(found.rows), 'metric')}"
    return tag(
        "details", tag("summary", title), sections.metrics_table(found, found.rows), id="numbers"
    )


def _cost(one: OpenSweep) -> str:
    trials = one.projection.trials
    whole = sum(trial.total_seconds for trial in trials)
    stopped_seconds = sum(trial.unfinished_seconds for trial in trials)
    return (
        f"Folds took {duration(whole)} of workers' time in all, {duration(stopped_seconds)} of it "
        f"in folds that were not finished, over {count(len(trials), 'trial')}."
    )


def _figures(one: OpenSweep, group: str) -> Markup:
    return figures.place(
        group,
        sweep_url(one.name, "figures", group),
        trials=sweep_url(one.name, "t", ""),
        num_trials=len(one.projection.trials),
    )
