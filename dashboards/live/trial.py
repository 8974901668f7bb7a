"""`/s/NAME/t/N`: one trial beside the default and the leader."""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlencode

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Route

from dashboards.figures import epochs, fold_curves, groups, overfitting
from dashboards.live import figures, gallery
from dashboards.live.gallery import Drawer
from dashboards.live.ledgers import Ledgers, OpenSweep
from dashboards.live.page import Page, answer, sweep_url
from dashboards.live.settings import Settings
from dashboards.live.sweep import status
from dashboards.live.tracking import Tracking
from dashboards.queries import fold_scores, fold_states, fold_usage, label, leader_of, metric_of
from dashboards.report import sections, sentences
from dashboards.report.findings import GROUPS, SHOWN, MetricRow, metric_row
from dashboards.report.markup import Markup, join, table, tag
from dashboards.report.pictures import Picture
from dashboards.text import (
    duration,
    in_sentence,
    listed,
    memory,
    metric_name,
    score,
    setting,
    signed,
)
from ptxcore.metrics import bounds
from sweep.analysis.cohort import overlap_ratio
from sweep.analysis.phrases import reach, state_text
from sweep.analysis.standing import compare_folds, num_compared
from sweep.ledger.projection import Trial
from sweep.util.words import count

#: What a fold took, by name: heading, and how it is written.
USAGE: dict[str, tuple[str, Callable[[float], str]]] = {
    "cpu_seconds": ("processor time", duration),
    "peak_memory_bytes": ("memory at most", memory),
    "gpu_memory_bytes": ("GPU memory at most", memory),
    "seconds_per_image": ("seconds an image", score),
}


def routes(ledgers: Ledgers, settings: Settings, drawer: Drawer) -> list[BaseRoute]:
    """Where this page, its figures and the pictures of its cases are."""
    tracking = Tracking(settings.home.tracking_uri)

    def page(request: Request) -> Response:
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
        with ledgers.opened(request.path_params["name"]) as one:
            trial = _trial(one, request)
            etag = one.etag("trial figures", trial.number)
            if request.headers.get("if-none-match") == etag:
                return Response(status_code=304, headers={"ETag": etag})
            return figures.answer_figures(request, etag, _pictures(one, trial))

    def cases(request: Request) -> Response:
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
        "Fold by fold": _folds(one, trial, others, names),
        "In numbers": _numbers(one, trial),
        "Epoch by epoch": figures.place(
            "trial",
            sweep_url(one.name, "t", number, "figures"),
            trials=sweep_url(one.name, "t", ""),
            num_trials=len(projection.trials),
        ),
        "What it sees": gallery.place(one, trial),
        "Tries": _tries(trial),
        "What it took": _usage(trial),
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
    differ: list[list[str]] = []
    same: list[list[str]] = []
    for name, value in trial.settings.items():
        row = [name, setting(value), *(setting(other.settings.get(name, "–")) for other in others)]
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


def _folds(one: OpenSweep, trial: Trial, others: Sequence[Trial], names: dict[int, str]) -> Markup:
    projection = one.projection
    own = fold_scores(projection, trial)
    theirs = {other.number: fold_scores(projection, other) for other in others}
    states = fold_states(trial, projection.num_folds)
    rows: list[list[object]] = []
    for fold in range(projection.num_folds):
        row: list[object] = [f"fold {fold}"]
        row.append(score(own.get(fold)) if states[fold] == "scored" else states[fold] or "–")
        for values in theirs.values():
            difference = own.get(fold, math.nan) - values.get(fold, math.nan)
            row += [score(values.get(fold)), signed(difference)]
        rows.append(row)
    head = ["", label(trial)]
    for number in theirs:
        head += [names[number], "difference"]
    said = []
    for number, values in theirs.items():
        found = compare_folds(
            own,
            values,
            test_train_ratio=overlap_ratio(projection.header),
            num_compared=num_compared(projection, number),
        )
        if found is None:
            said.append(f"No fold is shared with {names[number]}.")
            continue
        found = found.within(*bounds(metric_of(projection)))
        text = f"Beside {names[number]}: {signed(found.mean)} on "
        text += count(found.num_folds, "shared fold")
        if not math.isnan(found.low):
            text += f" ({reach(found, is_default=number == 0)})"
        said.append(f"{text}.")
    return join(
        (
            table(head, rows, label="Scores by fold", numeric=range(1, len(head))),
            *(tag("p", text) for text in said),
        )
    )


def _rows(one: OpenSweep, trial: Trial, names: Sequence[str]) -> list[MetricRow]:
    rival = one.projection.default
    found = [metric_row(one.projection, trial, rival, name, one.points) for name in names]
    return [row for row in found if row is not None]


def _numbers(one: OpenSweep, trial: Trial) -> Markup:
    rows = _rows(one, trial, SHOWN)
    if not rows:
        return tag("p", "No fold is finished, so it has no numbers.")
    head = ("metric", "mean ± SD", "95% interval", "all empty", "default", "− default", "threshold")
    cells = [
        (
            metric_name(row.metric),
            sentences.plus_minus(row.winner),
            sentences.span((row.winner.low, row.winner.high)),
            score(row.all_empty),
            "–" if row.rival is None else sentences.plus_minus(row.rival),
            "–" if row.difference is None else signed(row.difference.mean),
            row.threshold,
        )
        for row in rows
    ]
    text = (
        "Means over the finished folds. “All empty” is what predicting nothing would score on "
        "them. Means of fewer folds do not compare with those of all."
    )
    return join(
        (
            table(head, cells, label="Metrics", numeric=range(1, 6)),
            tag("p", text, class_="small"),
            sections.choices_table(one.projection, trial),
        )
    )


def _tries(trial: Trial) -> Markup | None:
    if not trial.log:
        return None
    rows = [
        (
            f"fold {one.fold}",
            f"{one.attempt}",
            f"{one.started_at[:19].replace('T', ' ')}",
            duration(one.seconds),
            one.outcome,
            one.reason or "–",
        )
        for one in trial.log
    ]
    head = ("fold", "try", "began (UTC)", "took", "outcome", "why")
    return table(head, rows, label="Tries at folds", numeric=(1, 3))


def _usage(trial: Trial) -> Markup | None:
    """Processor time and memory by fold, where the ledger has them."""
    known = [name for name in USAGE if fold_usage(trial, name)]
    if not known:
        return None
    rows = [
        (
            f"fold {fold}",
            duration(score.seconds),
            *(USAGE[name][1](score.usage.get(name, math.nan)) for name in known),
        )
        for fold, score in sorted(trial.folds.items())
    ]
    head = ("", "trained", *(USAGE[name][0] for name in known))
    text = "Of the try that finished the fold, beside whatever else its host did."
    return join(
        (
            table(head, rows, label="What each fold took", numeric=range(1, len(head))),
            tag("p", text, class_="small"),
        )
    )


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
    curves = fold_curves.fold_curves_info(one.projection, trial)
    if curves.panels:
        drawn.append(
            Picture(
                key="curves",
                title="Training",
                text="Thick lines are means over the finished folds, bands one SD to each side, "
                "thin lines the monitor of single folds; crosses are the held fold.",
                plot=fold_curves.fold_curves(curves),
            )
        )
    info = overfitting.overfitting_info(trial)
    if info is not None:
        drawn.append(
            Picture(
                key="overfitting",
                title="Overfitting",
                text=overfitting.sentence(info),
                plot=overfitting.overfitting(info),
            )
        )
    parts = groups.groups_info(_rows(one, trial, GROUPS))
    if parts.panels:
        drawn.append(
            Picture(
                key="groups",
                title="By size of the mask and by view",
                text=groups.sentence(),
                plot=groups.groups(parts, name=label(trial), rival="default"),
            )
        )
    return drawn
