"""`/registry`: who is champion, who waits, what the hold-out is still worth, and the history."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from dashboards.live.page import Page, plain, status_line, sweep_url
from dashboards.live.settings import Settings
from dashboards.report.markup import Markup, join, table, tag
from dashboards.text import score
from sweep.errors import TrackingError
from sweep.util.sqlite import missing_file
from sweep.util.words import count

if TYPE_CHECKING:
    from sweep.promotion.overview import RegisteredModel, RegisteredVersion

#: Events of a history that are shown before a reader asks for all.
_NEWEST = 12
_HEAD = (
    *("alias", "version", "from", "verdict", "approval", "Dice on the hold-out", "all empty"),
    "uses of the hold-out",
)


def routes(settings: Settings) -> list[BaseRoute]:
    """Where this page is."""

    def index(request: Request) -> Response:
        """All registered models."""
        models, problem = _listed(settings)
        body = registry_page(models, problem)
        return plain(request, Page(title="Registry: ptxsweep", body=body))

    return [Route("/registry", index)]


def _listed(settings: Settings) -> tuple[list[RegisteredModel], str | None]:
    """The registered models; from the ledger alone where MLflow is away, and then why."""
    from sweep.promotion.overview import models_of_ledger, registered_models

    home = settings.home
    try:
        if missing_file(home.tracking_uri) is None:
            return registered_models(home), None
        problem = "MLflow's database is not there"
    except TrackingError as error:
        problem = str(error)
    known = models_of_ledger(home)
    return known, problem if known else None


def registry_page(models: Sequence[RegisteredModel], problem: str | None) -> Markup:
    """The page.

    Args:
        models: Registered models of the home.
        problem: Why MLflow's half is missing; None if it is there.
    """
    waiting = sum(model.challenger is not None for model in models)
    asked = "nothing waits" if not waiting else f"{count(waiting, 'model')} waiting for a decision"
    parts: list[Markup] = [
        status_line(count(len(models), "registered model"), asked),
        tag("h1", "Registry"),
    ]
    if problem is not None:
        parts.append(
            tag(
                "p",
                tag("strong", "MLflow cannot be reached. "),
                f"This is what the ledger knows; versions and scores are missing. ({problem})",
                class_="banner",
            )
        )
    if not models:
        parts.append(
            tag(
                "p", "No model is registered. ", tag("code", "ptxsweep promote NAME"), " makes one."
            )
        )
    parts += [_model(model) for model in models]
    return join(parts)


def _model(model: RegisteredModel) -> Markup:
    named = [version for version in model.versions if version.aliases]
    rest = [version for version in model.versions if not version.aliases]
    return tag(
        "section",
        tag("h2", model.name),
        _champion(model),
        _waiting(model),
        None
        if model.unfinished is None
        else tag(
            "p",
            f"A {model.unfinished['kind']} was cut off; the next command that changes the "
            "champion ends it.",
            class_="banner",
        ),
        _versions(f"Versions of {model.name} in use", named) if named else None,
        _worn(named),
        None
        if not rest
        else tag(
            "details",
            tag("summary", f"{count(len(rest), 'more version')} without an alias"),
            _versions(f"Other versions of {model.name}", rest),
        ),
        timeline(model.history, num_shown=_NEWEST),
        id=f"model-{model.name}",
    )


def _champion(model: RegisteredModel) -> Markup:
    if model.champion is None:
        return tag("p", "There is no champion yet.", class_="lead")
    found = [one for one in model.versions if one.number == model.champion]
    origin = f", trial #{found[0].trial} of {found[0].sweep}" if found and found[0].sweep else ""
    return tag("p", f"Version {model.champion} is champion{origin}.", class_="lead")


def _waiting(model: RegisteredModel) -> Markup | None:
    if model.challenger is None:
        return None
    asked = model.request
    by = "" if asked is None else f", asked for by {asked['name'] or asked['by']}"
    at = "" if asked is None else f" on {moment(asked['at'])}"
    return tag(
        "p",
        tag("strong", f"Version {model.challenger} waits for a decision"),
        f"{by}{at}. ",
        tag("a", "See the evidence and decide", href=promote_url(model.name)),
        class_="notice",
    )


def _versions(label: str, versions: Sequence[RegisteredVersion]) -> Markup:
    rows = [
        (
            ", ".join(one.aliases) or "–",
            one.number,
            _origin(one),
            _verdict(one),
            _approval(one.approval),
            score(one.holdout_dice),
            score(one.holdout_dice_all_empty),
            meter(one.holdout_uses),
        )
        for one in versions
    ]
    notes = [tag("li", note) for one in versions for note in _notes(one)]
    shown = table(_HEAD, rows, label=label, numeric=(1, 5, 6))
    return join((shown, tag("ul", *notes, class_="small") if notes else None))


def _notes(version: RegisteredVersion) -> Iterator[str]:
    """What would make a row of a table too tall."""
    if version.verdict == "forced" and version.reasons:
        yield f"Version {version.number} is against the gate: {'; '.join(version.reasons)}."
    is_waiting = "challenger" in version.aliases
    if version.approval is not None and version.approval["problem"] and not is_waiting:
        problem = str(version.approval["problem"])
        yield f"Version {version.number}: {problem}."


def _origin(version: RegisteredVersion) -> Markup:
    if version.sweep is None:
        return Markup("–")
    link = tag("a", version.sweep, href=sweep_url(version.sweep))
    return join((link, "" if version.trial is None else f" trial #{version.trial}"))


def _verdict(version: RegisteredVersion) -> Markup:
    if version.verdict == "forced":
        return tag("strong", "against the gate", class_="bad")
    return tag("span", version.verdict, class_="good" if version.verdict == "passed" else None)


def _approval(approval: Mapping[str, Any] | None) -> str:
    """A home without approvers asks for none."""
    if approval is None:
        return "not asked for"
    return "none" if approval["problem"] else f"by {approval['by']}, {str(approval['at'])[:10]}"


def meter(num_uses: int) -> Markup:
    """How far a hold-out is worn out by its uses.

    Args:
        num_uses: Uses of the same cases so far.
    """
    from sweep.promotion.spending import MAX_USES

    words = f"{num_uses} of {MAX_USES}"
    bar = tag(
        "meter",
        min=0,
        max=MAX_USES,
        low=MAX_USES // 2,
        high=MAX_USES - 1,
        optimum=0,
        value=min(num_uses, MAX_USES),
        aria_label=f"uses of the hold-out: {words}",
    )
    return join((bar, tag("span", f" {words}")))


def _worn(versions: Sequence[RegisteredVersion]) -> Markup | None:
    if not versions:
        return None
    from sweep.promotion.spending import MAX_USES, TOTAL_ERROR

    return tag(
        "p",
        f"Both empty count as a Dice of 1. A hold-out wears out: all its uses together share one "
        f"{TOTAL_ERROR:.0%} chance of promoting a model that is no better, so each further use "
        f"asks for more, and after {MAX_USES} uses a promotion is refused until there are new "
        "cases.",
        class_="small",
    )


def timeline(
    events: Sequence[Mapping[str, Any]], *, num_shown: int, title: str = "History"
) -> Markup | None:
    """What happened to a model, the newest first; None if nothing did.

    Args:
        events: From `RegisteredModel.history`, oldest first.
        num_shown: Events before a reader asks for all.
        title: Heading.
    """
    if not events:
        return None
    items = [_event(event) for event in reversed(events)]
    older = items[num_shown:]
    return join(
        (
            tag("h3", title),
            tag("ol", *items[:num_shown], class_="timeline"),
            None
            if not older
            else tag(
                "details",
                tag("summary", f"{count(len(older), 'older event')}"),
                tag("ol", *older, class_="timeline"),
            ),
        )
    )


def _event(event: Mapping[str, Any]) -> Markup:
    from sweep.promotion.move import happened

    _, *words = happened(event)
    at, kind = str(event["at"]), str(event["kind"])
    return tag(
        "li",
        tag("span", moment(at), class_="at"),
        " ",
        tag("strong", kind),
        f": {'; '.join(words)}",
        class_=f"event {kind}" if kind.isalpha() else "event",
    )


def moment(at: str) -> str:
    """An ISO 8601 time in UTC for people, to the minute."""
    return f"{at[:16].replace('T', ' ')} UTC"


def promote_url(name: str, *parts: object) -> str:
    """Address of the page on which a model's challenger, or a sweep's winner, is decided about."""
    return "/".join(["", "promote", quote(name, safe=""), *(quote(str(part)) for part in parts)])
