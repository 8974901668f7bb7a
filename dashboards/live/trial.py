"""`/s/NAME/t/N`: one trial beside the default and the leader."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Route

from dashboards.figures import epochs
from dashboards.live import figures, gallery, trial_numbers
from dashboards.live.gallery import Drawer
from dashboards.live.ledgers import Ledgers, OpenSweep
from dashboards.live.page import Page, answer, sweep_url
from dashboards.live.settings import Settings
from dashboards.live.sweep import status
from dashboards.live.tracking import Tracking
from dashboards.queries import label, leader_of, metric_of
from dashboards.report import pictures
from dashboards.report.findings import GROUPS
from dashboards.report.markup import Markup, breakable, join, table, tag
from dashboards.report.pictures import Picture
from dashboards.text import (
    duration,
    in_sentence,
    listed,
    score,
    setting,
)
from sweep.analysis.phrases import state_text
from sweep.ledger.projection import Trial
from sweep.util.words import count


def routes(ledgers: Ledgers, settings: Settings, drawer: Drawer) -> list[BaseRoute]:
    """Where this page, its figures and the pictures of its cases are."""
    tracking = Tracking(settings.home.tracking_uri)

    def page(request: Request) -> Response:
        """The page, or the part of it that is new."""
        with ledgers.opened(request.path_params["name"]) as one:
            trial = _trial(one, request)
            is_away = tracking.is_away()
            etag = one.etag("trial", trial.number, is_away)
            return answer(
                request,
                etag,
                lambda: Page(
                    title=f"{label(trial)} of {one.name}: ptxsweep",
                    body=_body(one, trial, is_away),
                    is_live=True,
                ),
            )

    def drawn(request: Request) -> Response:
        """Its figures."""
        with ledgers.opened(request.path_params["name"]) as one:
            trial = _trial(one, request)
            etag = one.etag("trial figures", trial.number)
            if request.headers.get("if-none-match") == etag:
                return Response(status_code=304, headers={"ETag": etag})
            return figures.answer_figures(request, etag, _pictures(one, trial))

    def cases(request: Request) -> Response:
        """Pictures of its cases, or that they are being drawn."""
        with ledgers.opened(request.path_params["name"]) as one:
            trial = _trial(one, request)
            if gallery.place(one, trial) is None:
                raise HTTPException(404, f"{label(trial)} is not complete, it has no pictures")
            return HTMLResponse(drawer.pictures(one, trial))

    return [
        Route("/s/{name}/t/{number}", page),
        Route("/s/{name}/t/{number}/figures", drawn),
        Route("/s/{name}/t/{number}/cases", cases),
    ]


def _trial(one: OpenSweep, request: Request) -> Trial:
    text, trials = request.path_params["number"], one.projection.trials
    if not text.isdecimal() or len(text) > 8 or int(text) >= len(trials):
        number = count(len(trials), "trial")
        raise HTTPException(404, f"found trial {text!r}, expected one of {number} from 0")
    return trials[int(text)]


def _body(one: OpenSweep, trial: Trial, is_away: bool) -> Markup:
    projection = one.projection
    leader, default = leader_of(projection), projection.default
    numbers = [other.number for other in (default, leader) if other is not None]
    others = [projection.trials[n] for n in dict.fromkeys(numbers) if n != trial.number]
    names = {other.number: _role(one, other) for other in others}
    role = _role(one, trial) if trial is leader or trial.is_default else None
    compare = [f"{one.name}:{number}" for number in (trial.number, *names)]
    number = trial.number
    around = (
        tag("a", "before", href=sweep_url(one.name, "t", number - 1), rel="prev")
        if number
        else None,
        tag("a", "next", href=sweep_url(one.name, "t", number + 1), rel="next")
        if number + 1 < len(projection.trials)
        else None,
    )
    head = join(
        (
            status(one, is_away=is_away),
            tag("h1", f"Trial {number} of ", tag("a", one.name, href=sweep_url(one.name))),
            tag("p", _headline(one, trial, role), class_="lead"),
            tag("p", _reason(trial)),
            tag(
                "p",
                tag("a", f"Compare with {listed(list(names.values()))}", href=_compare_url(compare))
                if others
                else None,
                *around,
                class_="pages",
            ),
        )
    )
    chapters = {
        "Configuration": join((_configuration(one, trial, others, names), _copy(trial))),
        "Fold by fold": trial_numbers.folds(one, trial, others, names),
        "In numbers": trial_numbers.numbers(one, trial),
        "Epoch by epoch": figures.place(
            "trial",
            sweep_url(one.name, "t", number, "figures"),
            trials=sweep_url(one.name, "t", ""),
            num_trials=len(projection.trials),
        ),
        "What it sees": gallery.place(one, trial),
        "Tries": trial_numbers.tries(trial),
        "What it took": trial_numbers.usage(trial),
    }
    parts = [tag("section", tag("h2", title), part) for title, part in chapters.items() if part]
    return join((head, *parts, _files(one, trial)))


def _role(one: OpenSweep, trial: Trial) -> str:
    leader = leader_of(one.projection)
    if trial is leader:
        word = "the winner" if one.found.winner is not None else "in the lead"
        return f"{word}, {label(trial)}"
    return label(trial)


def _headline(one: OpenSweep, trial: Trial, role: str | None) -> str:
    done, total = len(trial.folds), one.projection.num_folds
    subject = role or label(trial)
    if not done:
        return f"{subject[0].upper()}{subject[1:]}: no fold is finished"
    where = f"all {count(total, 'fold')}" if done == total else f"{done} of {count(total, 'fold')}"
    name = in_sentence(metric_of(one.projection))
    return f"{subject[0].upper()}{subject[1:]}: {name} {score(trial.mean_value)} on {where}"


def _reason(trial: Trial) -> str:
    spent = f"It took {duration(trial.total_seconds)} and {count(trial.num_epochs, 'epoch')}."
    if not trial.log:
        return "It was proposed and never started."
    text = state_text(trial.state, trial.reason)
    if trial.judged is not None:
        value, limit = trial.judged
        text += f" for {score(value)}, where it would have gone on with {score(limit)}"
    return f"{text[0].upper()}{text[1:]}. {spent}"


def _compare_url(trials: Sequence[str]) -> str:
    return f"/compare?{urlencode([('t', one) for one in trials])}"


def _configuration(
    one: OpenSweep, trial: Trial, others: Sequence[Trial], names: dict[int, str]
) -> Markup:
    """Settings that differ from those beside it, then the others."""
    differ: list[list[object]] = []
    same: list[list[object]] = []
    for name, value in trial.settings.items():
        row: list[object] = [
            breakable(name),
            setting(value),
            *(setting(other.settings.get(name, "–")) for other in others),
        ]
        (same if len(set(map(str, row[1:]))) == 1 and others else differ).append(row)
    head = ("setting", label(trial), *(names[other.number] for other in others))
    shown = table(head, differ, label="Configuration", numeric=range(1, len(head)))
    inactive = [n for n in trial.settings if n not in trial.parameters and _is_searched(one, n)]
    note = (
        tag("p", f"Does not apply here: {', '.join(inactive)}.", class_="small")
        if inactive
        else None
    )
    rest = tag(
        "details",
        tag("summary", f"{count(len(same), 'setting')} the same in all"),
        table(head, same, label="Settings that are the same", numeric=range(1, len(head))),
    )
    none = tag("p", "Its configuration is that of the trials beside it.")
    return join((shown if differ else none, note, rest if same else None))


def _is_searched(one: OpenSweep, name: str) -> bool:
    return any(name in trial.distributions for trial in one.projection.trials)


def _copy(trial: Trial) -> Markup:
    text = " ".join(
        f"--set {shlex.quote(f'{name}={_typed(value)}')}"
        for name, value in trial.parameters.items()
    )
    if not text:
        return Markup()
    return tag(
        "div",
        tag("pre", text, id="settings"),
        tag("button", "Copy as --set", type="button", data_copy="settings"),
        class_="copy",
    )


def _typed(value: Any) -> str:
    """A value as `--set` reads it again."""
    words = {True: "true", False: "false", None: "null"}
    if value is None or isinstance(value, bool):
        return words[value]
    return repr(value) if isinstance(value, float) else str(value)


def _files(one: OpenSweep, trial: Trial) -> Markup | None:
    """Where weights are."""
    weights = [fold.weights for fold in trial.folds.values() if fold.weights]
    said = (
        [f"Weights of {count(len(weights), 'fold')} are kept in {one.folder}."] if weights else []
    )
    return tag("p", " ".join(said), class_="small") if said else None


def _pictures(one: OpenSweep, trial: Trial) -> list[Picture]:
    drawn = []
    monitored = epochs.epochs_info(one.projection, trial)
    if monitored.folds:
        drawn.append(
            Picture(
                key="epochs",
                title="Among the others",
                text=epochs.sentence(monitored),
                plot=epochs.epochs(monitored),
            )
        )
    drawn += pictures.trained(one.projection, trial, "")
    return drawn + pictures.by_group(
        trial_numbers.rows_of(one, trial, GROUPS), name=label(trial), rival="default"
    )
