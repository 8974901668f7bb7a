"""The table of trials: sorted, filtered and cut into pages here, so that 1,000 cost what 25 do."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from starlette.datastructures import QueryParams

from dashboards.live.ledgers import OpenSweep
from dashboards.live.page import sweep_url
from dashboards.queries import fold_scores, label, ordered, varied
from dashboards.report.markup import Markup, breakable, join, table, tag
from dashboards.report.trials import mean_text
from dashboards.text import duration, metric_name, setting, signed, span
from ptxcore.metrics import bounds
from sweep.analysis.cohort import overlap_ratio
from sweep.analysis.phrases import correction, state_text
from sweep.analysis.standing import compare_folds, num_compared
from sweep.ledger.projection import Projection, Trial
from sweep.records import State
from sweep.util.words import count

ROWS = 25
ORDERS = {
    "score": "best first",
    "number": "in order of proposal",
    "seconds": "longest first",
    "epochs": "most epochs first",
}


@dataclass(frozen=True, kw_only=True)
class View:
    """What of the table is shown, as the address says it; what makes no sense is left out.

    Attributes:
        order: One of `ORDERS`.
        state: Only trials in this state; all where it is empty.
        words: Only trials whose row has all these words.
        against: Number of the trial that differences are taken to.
        page: Page, from 1.
        selected: Numbers of selected trials.
    """

    order: str = "score"
    state: str = ""
    words: str = ""
    against: int = 0
    page: int = 1
    selected: tuple[int, ...] = ()

    @classmethod
    def of(cls, query: QueryParams) -> View:
        """The view that an address asks for."""
        order, state = query.get("sort", "score"), query.get("state", "")
        return cls(
            order=order if order in ORDERS else "score",
            state=state if state in tuple(State) else "",
            words=query.get("q", "")[:200],
            against=_number(query.get("against"), 0),
            page=max(1, _number(query.get("page"), 1)),
            selected=tuple(
                dict.fromkeys(n for text in query.getlist("sel") if (n := _number(text, -1)) >= 0)
            ),
        )

    def query(self, **changed: object) -> str:
        """The address's query with some things changed; what is usual is left out."""
        values: dict[str, object] = {
            "sort": self.order if self.order != "score" else "",
            "state": self.state,
            "q": self.words,
            "against": self.against or "",
            "page": self.page if self.page > 1 else "",
            **changed,
        }
        pairs = [(key, str(value)) for key, value in values.items() if value != ""]
        pairs += [("sel", str(number)) for number in self.selected]
        return f"?{urlencode(pairs)}"


def _number(text: str | None, otherwise: int) -> int:
    return int(text) if text and text.isdecimal() and len(text) < 9 else otherwise


def board(one: OpenSweep, view: View) -> Markup:
    """The controls, the table, and the pages.

    Args:
        one: The sweep.
        view: What of it.
    """
    name, projection = one.name, one.projection
    if not projection.trials:
        return tag("p", "No trial was proposed yet.")
    reference = projection.trials[view.against if view.against < len(projection.trials) else 0]
    names = one.once("varied", lambda: varied(projection))
    chosen = _sorted(one, view.order)
    if view.state or view.words:
        chosen = [trial for trial in chosen if _is_shown(trial, view, names)]
    num_pages = max(1, math.ceil(len(chosen) / ROWS))
    page = min(view.page, num_pages)
    shown = chosen[(page - 1) * ROWS : page * ROWS]
    winner = one.found.standing.leader
    against = fold_scores(projection, reference)
    number = one.once(
        f"compared with {reference.number}", lambda: num_compared(projection, reference.number)
    )
    rows = [
        _row(name, projection, trial, against, reference, names, view, number) for trial in shown
    ]
    said = correction(number, is_default=reference.is_default)
    head = ("trial", "state", "mean ± SD", "folds", f"− {label(reference)}", f"95%, {said}",
            "trained", *map(breakable, names))  # fmt: skip
    cells = table(
        head,
        rows,
        label="Trials",
        numeric=range(2, len(head)),
        row_classes=["winner" if trial.number == winner else None for trial in shown],
        row_ids=[f"trial-{trial.number}" for trial in shown],
    )
    text = (
        f"{metric_name(projection.header.metric)}, {ORDERS[view.order]}. In brackets: means of "
        f"fewer than {count(projection.num_folds, 'fold')}, which cannot win. Differences are "
        "taken on the folds that both have; intervals are those of complete trials."
    )
    form = tag(
        "form",
        cells,
        tag("p", tag("button", "Compare those selected"), " at most six"),
        action="/compare",
        id="select",
    )
    return join(
        (_controls(one, view), tag("p", text, class_="small"), form,
         _pages(view, page, num_pages, len(chosen)))
    )  # fmt: skip


def _sorted(one: OpenSweep, order: str) -> list[Trial]:
    projection = one.projection
    if order == "number":
        return list(projection.trials)
    if order == "seconds":
        return sorted(projection.trials, key=lambda trial: (-trial.total_seconds, trial.number))
    if order == "epochs":
        return sorted(projection.trials, key=lambda trial: (-trial.num_epochs, trial.number))
    return one.once("ordered", lambda: ordered(projection))


def _is_shown(trial: Trial, view: View, names: list[str]) -> bool:
    if view.state and str(trial.state) != view.state:
        return False
    words = view.words.lower().split()
    if not words:
        return True
    text = " ".join(
        (label(trial), state_text(trial.state, trial.reason),
         *(f"{name}={setting(trial.parameters[name])}" for name in names
           if name in trial.parameters))
    ).lower()  # fmt: skip
    return all(word in text for word in words)


def _row(
    name: str,
    projection: Projection,
    trial: Trial,
    against: Mapping[int, float],
    reference: Trial,
    names: list[str],
    view: View,
    number: int,
) -> tuple[object, ...]:
    values = fold_scores(projection, trial)
    difference, interval = _difference(projection, trial, values, against, reference, number)
    select = tag(
        "input",
        type="checkbox",
        name="t",
        value=f"{name}:{trial.number}",
        data_number=trial.number,
        checked=trial.number in view.selected,
        aria_label=f"Select {label(trial)}",
    )
    state = state_text(trial.state, trial.reason)
    if trial.running_fold is not None:
        epoch = max(trial.epochs.get(trial.running_fold, {}), default=0)
        state = f"running fold {trial.running_fold}, epoch {epoch}"
    return (
        join((select, " ", tag("a", label(trial), href=sweep_url(name, "t", trial.number)))),
        state,
        mean_text(trial, values),
        f"{len(trial.folds)}/{projection.num_folds}",
        difference,
        interval,
        duration(trial.total_seconds) if trial.log else "–",
        *(setting(trial.parameters[n]) if n in trial.parameters else "–" for n in names),
    )


def _difference(
    projection: Projection,
    trial: Trial,
    values: Mapping[int, float],
    against: Mapping[int, float],
    reference: Trial,
    number: int,
) -> tuple[str, str]:
    """A trial minus another on shared folds, and its corrected interval if both are complete."""
    if trial is reference:
        return "–", "–"
    found = compare_folds(
        values,
        against,
        test_train_ratio=overlap_ratio(projection.header),
        num_compared=number,
    )
    if found is None:
        return "–", "–"
    found = found.within(*bounds(projection.header.metric))
    is_whole = trial.state is State.COMPLETE and reference.state is State.COMPLETE
    if not is_whole or math.isnan(found.low):
        return signed(found.mean), "–"
    return signed(found.mean), span(found)


def _controls(one: OpenSweep, view: View) -> Markup:
    projection = one.projection
    states = one.once("states", lambda: {str(trial.state) for trial in projection.trials})
    shown = [("", "all states"), *((state, state) for state in map(str, State) if state in states)]
    return tag(
        "form",
        tag("label", "Filter ", tag("input", type="search", name="q", value=view.words, id="q")),
        tag("label", "Order ", _select("sort", ORDERS.items(), view.order)),
        tag("label", "State ", _select("state", shown, view.state)),
        tag(
            "label",
            "Differences to # ",
            tag(
                "input", type="number", name="against", value=view.against, min=0,
                max=len(projection.trials) - 1,
            ),
        ),
        *(tag("input", type="hidden", name="sel", value=number) for number in view.selected),
        tag("button", "Show"),
        class_="controls",
    )  # fmt: skip


def _select(name: str, options: object, chosen: str) -> Markup:
    pairs = list(options)  # type: ignore[call-overload]
    return tag(
        "select",
        *(tag("option", text, value=value, selected=value == chosen) for value, text in pairs),
        name=name,
    )


def _pages(view: View, page: int, num_pages: int, num_chosen: int) -> Markup:
    first = (page - 1) * ROWS + 1
    said = f"{first:,} to {min(page * ROWS, num_chosen):,} of {count(num_chosen, 'trial')}"
    if not num_chosen:
        said = "No trial is like that."
    before = tag("a", "Before", href=view.query(page=page - 1 if page > 2 else ""), rel="prev")
    after = tag("a", "After", href=view.query(page=page + 1), rel="next")
    return tag(
        "p",
        said,
        " ",
        before if page > 1 else None,
        " ",
        after if page < num_pages else None,
        class_="pages",
    )
