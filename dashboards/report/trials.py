"""The table of all trials, fold by fold: what every figure leaves out stands here."""

from __future__ import annotations

import math
from collections.abc import Mapping

from dashboards.queries import fold_scores, fold_states, label, ordered, varied
from dashboards.report.markup import Markup, join, table, tag
from dashboards.text import duration, metric_name, score, setting, signed
from sweep.analysis.phrases import state_text
from sweep.analysis.standing import standing
from sweep.analysis.statistics import mean_sd
from sweep.ledger.projection import Projection, Trial
from sweep.records import State
from sweep.util.numbers import all_finite, mean_or

#: More rows scroll in a box of their own, and paper shows as many as stand first.
MAX_PRINTED = 60


def trials_table(projection: Projection) -> Markup:
    """All trials, best first; partial means are marked, and compared on shared folds."""
    names = varied(projection)
    winner = standing(projection).winner
    default = projection.default
    reference = {} if default is None else fold_scores(projection, default)
    trials = ordered(projection)
    values = {trial.number: fold_scores(projection, trial) for trial in trials}
    rows = [
        (
            label(trial),
            state_text(trial.state, trial.reason),
            mean_text(trial, values[trial.number]),
            _difference(trial, values[trial.number], reference),
            *_folds(trial, projection.num_folds),
            duration(trial.total_seconds) if trial.log else "–",
            *(setting(trial.parameters[n]) if n in trial.parameters else "–" for n in names),
        )
        for trial in trials
    ]
    folds = [f"fold {fold}" for fold in range(projection.num_folds)]
    head = ("trial", "state", "mean ± SD", "− default", *folds, "trained", *names)
    text = (
        f"{metric_name(projection.header.metric)}; means of fewer than "
        f"{projection.num_folds} folds are in brackets and cannot win. The difference to the "
        "default is taken on the folds that the trial has. A fold without a score says what "
        "became of it (“pruned e5”: in epoch 5); a dash was never run."
    )
    cells = table(
        head,
        rows,
        label="All trials",
        numeric=range(2, len(head)),
        row_classes=["winner" if trial.number == winner else None for trial in trials],
        row_ids=[f"trial-{trial.number}" for trial in trials],
        sortable=True,
    )
    left = len(rows) - MAX_PRINTED
    printed = tag(
        "p", f"Paper shows the best {MAX_PRINTED}; the file has {left:,} more.", class_="on-paper"
    )
    return join((tag("p", text, class_="small"), cells, printed if left > 0 else None))


def _folds(trial: Trial, num_folds: int) -> list[str]:
    """Scores, and in words what became of the other folds."""
    states = fold_states(trial, num_folds)
    return [
        score(trial.folds[fold].value)
        if state == "scored"
        else state.replace(" in epoch ", " e") or "–"
        for fold, state in enumerate(states)
    ]


def mean_text(trial: Trial, values: Mapping[int, float]) -> str:
    """Mean and SD of a trial's scores by fold, in brackets where folds are missing."""
    if not values or not all_finite(values.values()):
        return "–"
    mean, sd = mean_sd(list(values.values()))
    text = score(mean) if math.isnan(sd) else f"{score(mean)} ± {score(sd)}"
    return text if trial.state is State.COMPLETE else f"({text})"


def _difference(trial: Trial, values: Mapping[int, float], default: Mapping[int, float]) -> str:
    """To the default, on the folds that both have."""
    shared = [fold for fold in values if math.isfinite(default.get(fold, math.nan))]
    if not shared or trial.is_default or not all_finite(values.values()):
        return "–"
    return signed(mean_or(values[fold] - default[fold] for fold in shared))
