"""What a trial's page has in numbers: fold by fold, metric by metric, its tries, what it took."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from dashboards.live.ledgers import OpenSweep
from dashboards.queries import fold_scores, fold_states, fold_usage, label, metric_of
from dashboards.report import sections, sentences
from dashboards.report.findings import SHOWN, MetricRow, metric_row
from dashboards.report.markup import Markup, join, table, tag
from dashboards.text import duration, memory, metric_name, score, signed
from ptxcore.metrics import bounds
from sweep.analysis.cohort import overlap_ratio
from sweep.analysis.phrases import reach
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


def folds(one: OpenSweep, trial: Trial, others: Sequence[Trial], names: dict[int, str]) -> Markup:
    """Its score on each fold beside those of other trials, and the paired differences in words.

    Args:
        one: The sweep.
        trial: Trial of the page.
        others: Those beside it.
        names: Their names by number.
    """
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


def rows_of(one: OpenSweep, trial: Trial, names: Sequence[str]) -> list[MetricRow]:
    """Metrics of a trial beside the default, those that it has."""
    rival = one.projection.default
    found = [metric_row(one.projection, trial, rival, name, one.points) for name in names]
    return [row for row in found if row is not None]


def numbers(one: OpenSweep, trial: Trial) -> Markup:
    """Its metrics over the finished folds, and its choices for inference."""
    rows = rows_of(one, trial, SHOWN)
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


def tries(trial: Trial) -> Markup | None:
    """Every try at a fold; None before the first."""
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


def usage(trial: Trial) -> Markup | None:
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
