"""`/compare?t=first:7&t=second:12`: trials of any sweeps on the same folds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import ExitStack
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from dashboards.live import figures
from dashboards.live.cases import cases_of, cases_plot, cases_table
from dashboards.live.ledgers import Ledgers, OpenSweep
from dashboards.live.page import Page, answer, plain, status_line, sweep_url
from dashboards.live.settings import Settings
from dashboards.live.together import MAX_TRIALS, Side, Together, named, names_of, sides_of, together
from dashboards.plot import plain as plain_text
from dashboards.report import sentences
from dashboards.report.markup import Markup, join, table, tag
from dashboards.report.pictures import Picture
from dashboards.text import duration, metric_name, score, setting, signed, span
from ptxcore.metrics import bounds, convention
from sweep.analysis.cohort import overlap_ratio
from sweep.analysis.operating_point import rule_text
from sweep.analysis.phrases import reach, state_text
from sweep.analysis.statistics import corrected_interval
from sweep.util.numbers import all_finite
from sweep.util.words import count


def routes(ledgers: Ledgers, settings: Settings) -> list[BaseRoute]:
    """Where this page and its figure are."""

    def page(request: Request) -> Response:
        """The trials that the address names beside each other."""
        query = request.query_params
        texts = [text for text in query.getlist("t") if text]
        if not texts:
            return plain(request, Page(title="Compare: ptxsweep", body=_ask()))
        wanted = names_of(texts)
        with ExitStack() as stack:
            held = _hold(ledgers, stack, [name for name, _ in wanted])
            sides = sides_of(ledgers, wanted)
            etag = f'"{"".join(one.etag(request.url.query) for one in held.values())}"'
            etag = etag.replace('""', "-")
            return answer(
                request,
                etag,
                lambda: Page(
                    title="Compare: ptxsweep",
                    body=_body(held, together(sides, query.get("metric") or None)),
                    is_live=True,
                ),
            )

    def drawn(request: Request) -> Response:
        """Their figures."""
        wanted = names_of(request.query_params.getlist("t"))
        with ExitStack() as stack:
            held = _hold(ledgers, stack, [name for name, _ in wanted])
            both = together(sides_of(ledgers, wanted), None)
            etag = "-".join(one.etag("cases")[1:-1] for one in held.values())
            return figures.answer_figures(request, f'"{etag}"', _pictures(held, both))

    return [Route("/compare", page), Route("/compare/figures", drawn)]


def _hold(ledgers: Ledgers, stack: ExitStack, names: list[str]) -> dict[str, OpenSweep]:
    """Sweeps, always in one order, so that two requests never wait for each other."""
    return {name: stack.enter_context(ledgers.opened(name)) for name in sorted(set(names))}


def _ask() -> Markup:
    return join(
        (
            status_line("compare"),
            tag("h1", "Compare trials"),
            tag("p", "Select trials in the table of a sweep and press c, or name them here."),
            _form((), None, ()),
        )
    )


def _form(keys: tuple[str, ...], metric: str | None, metrics: tuple[str, ...]) -> Markup:
    """Trials as an address names them; one more can be written."""
    options = [tag("option", "objective", value="", selected=metric is None)]
    options += [tag("option", name, value=name, selected=name == metric) for name in metrics]
    more = tag("input", name="t", placeholder="sweep:number", aria_label="Another trial")
    return tag(
        "form",
        *(tag("input", type="hidden", name="t", value=key) for key in keys),
        tag("label", "Add a trial ", more) if len(keys) < MAX_TRIALS else None,
        tag("label", "Metric ", tag("select", *options, name="metric")) if metrics else None,
        tag("button", "Show"),
        action="/compare",
        class_="controls",
    )


def _body(held: dict[str, OpenSweep], both: Together) -> Markup:
    names = named(both)
    keys = tuple(side.key for side in both.sides)
    at = max((one.follower.last_at or "" for one in held.values()), default="") or None
    revisions = ", ".join(f"{name} {one.revision:,}" for name, one in held.items())
    first = names[keys[0]]
    note = " ".join(text for text in (convention(both.metric), f"{rule_text(both.rule)}.") if text)
    head = join(
        (
            status_line("compare", f"ledger revision {revisions}", at=at),
            tag("h1", f"{metric_name(both.metric)} of {count(len(keys), 'trial')}"),
            tag("p", _lead(both, names), class_="lead"),
            *_said(both, names),
            _form(keys, None if both.is_objective else both.metric, both.metrics),
        )
    )
    chapters = {
        "The trials": _trials(both, names),
        "Configuration": _configuration(both, names),
        f"Fold by fold, against {first}": join(
            (_folds(both, names), tag("p", note, class_="small"))
        ),
        "Case by case": _cases(held, both, names),
    }
    parts = (tag("section", tag("h2", title), part) for title, part in chapters.items())
    return join((head, *parts))


def _lead(both: Together, names: Mapping[str, str]) -> str:
    if len(both.sides) == 1:
        return f"{names[both.sides[0].key]} alone: add another trial."
    whole = []
    for side in both.sides[1:]:
        found = both.difference(side)
        first, own = names[both.sides[0].key], names[side.key]
        if found is None:
            whole.append(f"{own} and {first} share no fold")
        elif math.isnan(found.low):
            whole.append(f"{own} is {signed(found.mean)} from {first} on one fold")
        else:
            apart = found.low > 0 or found.high < 0
            verb = "apart from" if apart else "not told apart from"
            whole.append(f"{own} is {signed(found.mean)} from {first}, {verb} it by the folds")
    return "; ".join(whole) + "."


def _said(both: Together, names: Mapping[str, str]) -> list[Markup]:
    said = []
    for side in both.sides[1:]:
        found = both.difference(side)
        if found is not None and not math.isnan(found.low):
            text = f"{names[side.key]} − {names[both.sides[0].key]}: {signed(found.mean)} on "
            text += f"{count(found.num_folds, 'shared fold')} "
            text += f"({reach(found, is_default=both.is_default)})."
            said.append(tag("p", text))
    return said


def _link(side: Side, name: str) -> Markup:
    return tag("a", name, href=sweep_url(side.sweep, "t", side.trial.number))


def _trials(both: Together, names: Mapping[str, str]) -> Markup:
    rows = []
    for side in both.sides:
        others = [("t", other.key) for other in both.sides if other is not side]
        without = tag("a", "without it", href=f"/compare?{urlencode(others)}")
        rows.append(
            (
                _link(side, names[side.key]),
                state_text(side.trial.state, side.trial.reason),
                _mean(both, side),
                f"{side.trial.num_epochs:,}",
                duration(side.trial.total_seconds) if side.trial.log else "–",
                without if others else "",
            )
        )
    head = ("trial", "state", "mean ± SD", "epochs", "trained", "")
    return table(head, rows, label="Trials", numeric=range(2, 5))


def _mean(both: Together, side: Side) -> str:
    values = both.values(side)
    if not values or not all_finite(values.values()):
        return "–"
    ratio = overlap_ratio(side.projection.header)
    found = corrected_interval(list(values.values()), test_train_ratio=ratio)
    text = sentences.plus_minus(found.within(*bounds(both.metric)))
    return text if len(values) == side.projection.num_folds else f"({text})"


def _configuration(both: Together, names: Mapping[str, str]) -> Markup:
    settings = dict.fromkeys(name for side in both.sides for name in side.trial.settings)
    differ: list[list[str]] = []
    same: list[list[str]] = []
    for name in settings:
        row = [name, *(setting(side.trial.settings.get(name, "–")) for side in both.sides)]
        (same if len(set(row[1:])) == 1 else differ).append(row)
    head = ("setting", *(_link(side, names[side.key]) for side in both.sides))
    numeric = range(1, len(head))
    rest = tag(
        "details",
        tag("summary", f"{count(len(same), 'setting')} the same in all"),
        table(head, same, label="Settings that are the same", numeric=numeric),
    )
    shown = table(head, differ, label="Settings that differ", numeric=numeric)
    return join((shown if differ else tag("p", "No setting differs."), rest if same else None))


def _folds(both: Together, names: Mapping[str, str]) -> Markup:
    values = {side.key: both.values(side) for side in both.sides}
    first = both.sides[0].key
    rows: list[list[object]] = []
    for fold in range(max(side.projection.num_folds for side in both.sides)):
        row: list[object] = [f"fold {fold}", score(values[first].get(fold))]
        for side in both.sides[1:]:
            own = values[side.key].get(fold, math.nan)
            row += [score(own), signed(own - values[first].get(fold, math.nan))]
        rows.append(row)
    head: list[object] = ["", names[first]]
    total: list[object] = ["shared folds", ""]
    for side in both.sides[1:]:
        head += [names[side.key], "difference"]
        found = both.difference(side)
        reached = found is not None and not math.isnan(found.low)
        total += [
            span(found) if found and reached else "–",
            "–" if found is None else signed(found.mean),
        ]
    if len(both.sides) > 1:
        rows.append(total)
    return table(
        head,
        rows,
        label="Scores by fold",
        numeric=range(1, len(head)),
        row_classes=[None] * (len(rows) - 1) + ["objective" if len(both.sides) > 1 else None],
    )


def _cases(held: dict[str, OpenSweep], both: Together, names: Mapping[str, str]) -> Markup:
    if len(both.sides) < 2:
        return tag("p", "There is one trial alone.")
    first, second = both.sides[:2]
    folders = [held[side.sweep].folder for side in (first, second)]
    found = cases_of(first.trial, second.trial, folders)
    if found is None:
        return tag("p", "The tables of cases of the first two trials are not in this home.")
    keys = urlencode([("t", side.key) for side in both.sides[:2]])
    return join(
        (
            cases_table(found, (names[first.key], names[second.key])),
            figures.place("cases", f"/compare/figures?{keys}", trials="", num_trials=0),
        )
    )


def _pictures(held: dict[str, OpenSweep], both: Together) -> list[Picture]:
    if len(both.sides) < 2:
        return []
    first, second = both.sides[:2]
    folders = [held[side.sweep].folder for side in (first, second)]
    found = cases_of(first.trial, second.trial, folders)
    if found is None or not (found.share > 0).any():
        return []
    names = named(both)
    shown = (plain_text(names[first.key]), plain_text(names[second.key]))
    text = (
        f"Dice of every case with a mask, {found.threshold}. Above the line the second is better."
    )
    plot = cases_plot(found, shown)
    return [Picture(key="cases", title="One against the other", text=text, plot=plot)]
