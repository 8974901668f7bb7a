"""The sections of the report, each a pure function of what it shows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from dashboards.figures.overfitting import OverfittingInfo
from dashboards.queries import label, leader_of, varied
from dashboards.report import sentences
from dashboards.report.evidence import Confirmation
from dashboards.report.findings import Findings, MetricRow
from dashboards.report.markup import Markup, join, table, tag
from dashboards.text import in_sentence, metric_name, score, setting, signed, span
from ptxcore.metrics import better
from sweep.analysis.detection import sentence as detection_sentence
from sweep.analysis.detection import spread
from sweep.analysis.phrases import correction
from sweep.analysis.resampling import sentences as resampling_sentences
from sweep.analysis.selection_bias import PHANTOM
from sweep.analysis.standing import is_over
from sweep.analysis.statistics import corrected_interval
from sweep.ledger.inference_choice import values_by_choice
from sweep.ledger.projection import Projection, Trial
from sweep.records import SweepState
from sweep.util.words import count


def banners(projection: Projection, found: Findings, *, is_live: bool = False) -> Markup:
    """What a reader must know before the first number.

    Args:
        projection: Projection of the sweep.
        found: What was found in it.
        is_live: Whether the page follows the ledger, so that it is never of an earlier moment.
    """
    notes = []
    if projection.header.is_phantom:
        notes.append((PHANTOM.head, sentences.sentence(PHANTOM.text)))
    if projection.sweep_state is not SweepState.FINISHED and not is_live:
        why = f" ({projection.sweep_reason})" if projection.sweep_reason else ""
        notes.append(
            ("This sweep is not over.", f"Its state is {projection.sweep_state}{why}; what "
             "follows is what the ledger held when the report was written.")
        )  # fmt: skip
    if (warning := found.verdict.warning) is not None:
        text = f"{sentences.sentence(warning)} Do not use it."
        notes.append(("WARNING: no better than predicting nothing.", text))
    notes += [(caution.head, sentences.sentence(caution.text)) for caution in found.cautions]
    if split := [trial for trial in projection.trials if trial.batch_parts > 1]:
        listing = ", ".join(f"{label(trial)} in {trial.batch_parts} parts" for trial in split)
        notes.append(
            ("Batches that did not fit in memory.", f"They were split in {listing}. The gradient "
             "is that of the whole batch, but batch normalisation saw smaller ones.")
        )  # fmt: skip
    return join(
        tag("p", tag("strong", head), " ", text, class_="banner", role="note")
        for head, text in notes
    )


def tiles(found: Findings, confirmation: Confirmation | None) -> Markup:
    """The four numbers that a reviewer asks for first."""
    if found.is_open:
        return Markup()  # they show a winner
    cells = []
    row = found.objective
    if row is not None:
        beside = [sentences.reach(row.winner)]
        if row.all_empty is not None and row.metric != "dice":
            beside.append(f"all empty: {score(row.all_empty)}")
        cells.append(
            _tile(metric_name(row.metric), sentences.plus_minus(row.winner), "; ".join(beside))
        )
    dice = found.row("dice")
    if dice is not None:
        cells.append(
            _tile(
                "Dice, both empty = 1",
                sentences.plus_minus(dice.winner),
                f"all empty: {score(dice.all_empty)} · {_threshold(dice)}",
            )
        )
    positive = found.row("dice_positive")
    if positive is not None:
        cells.append(
            _tile(
                "Dice over positive cases",
                sentences.plus_minus(positive.winner),
                f"all empty: {score(positive.all_empty)} · {_threshold(positive)}",
            )
        )
    cells.append(_held_out_tile(confirmation))
    return tag("ul", *cells, class_="tiles")


def _tile(name: str, value: str, beside: object) -> Markup:
    return tag(
        "li",
        tag("span", name, class_="name"),
        tag("span", value, class_="value"),
        tag("span", beside, class_="beside"),
        class_="tile",
    )


def _held_out_tile(confirmation: Confirmation | None) -> Markup:
    if confirmation is None:
        return _tile("On unseen cases", "not yet", "No confirmation on held-out cases.")
    metrics = confirmation.metrics
    return _tile(
        "Dice on the locked hold-out",
        score(metrics["dice"]),
        f"all empty: {score(metrics.get('dice_all_empty'))} · "
        f"{count(confirmation.num_cases, 'case')}, {confirmation.num_positive} positive",
    )


def _threshold(row: MetricRow) -> str:
    return {
        "none": "no threshold",
        "fixed": "fixed threshold",
        "other folds": "threshold from the other folds",
    }[row.threshold]


def metrics_table(found: Findings, shown: Sequence[MetricRow]) -> Markup:
    """Metrics of the winner beside the default and beside predicting nothing."""
    rows = [
        (
            metric_name(row.metric) + (" (objective)" if row is found.objective else ""),
            sentences.plus_minus(row.winner),
            sentences.span(
                None if math.isnan(row.winner.low) else (row.winner.low, row.winner.high)
            ),
            score(row.all_empty),
            "–" if row.rival is None else sentences.plus_minus(row.rival),
            _difference(row, is_open=found.is_open),
            row.threshold,
            better(row.metric) or "–",
        )
        for row in shown
    ]
    number, of_many = found.standing.leader, ""
    name = f"#{number}" if found.is_open else "winner"
    if not found.is_open and (known := [row.difference for row in shown if row.difference]):
        of_many = f" (95%, {correction(known[0].num_compared)})"
    head = (
        "metric", f"#{number}, in the lead" if found.is_open else f"winner #{number}",
        "95% interval", "all empty", found.rival,
        f"{name} − {found.rival.split(',')[0]}{of_many}", "threshold", "better",
    )  # fmt: skip
    classes = ["objective" if row.metric == found.metric else None for row in shown]
    label = f"Metrics of {sentences.subject(found)}"
    if shown is found.groups:
        label = "By size of the mask and by view"
    return table(head, rows, label=label, numeric=range(1, 6), row_classes=classes)


def _difference(row: MetricRow, *, is_open: bool) -> str:
    """With its interval; while a sweep is not over a look in between is no test."""
    if row.difference is None:
        return "–"
    if is_open or math.isnan(row.difference.low):
        return signed(row.difference.mean)
    return f"{signed(row.difference.mean)} ({span(row.difference)})"


def resampled(found: Findings, num_shown: int = 5) -> Markup | None:
    """The search score without the luck of the choice, and how firm the order is."""
    drawn = found.resampling
    if drawn is None:
        return None
    rows = [
        (f"#{rank.trial}", f"{rank.first:.0%}", f"{rank.low} to {rank.high}")
        for rank in drawn.ranks[:num_shown]
    ]
    return join(
        (
            tag("p", " ".join(resampling_sentences(drawn))),
            table(
                ("trial", "first", "95% of its ranks"),
                rows,
                numeric=(1, 2),
                label="Ranks with other patients",
            ),
        )
    )


def told_apart(found: Findings) -> Markup | None:
    """Which cases the winner calls ill, at the specificities that a triage asks for."""
    told = found.detection
    if told is None:
        return None
    rows = [
        (
            f"{one.asked:.0%}",
            *(
                f"{value[0]:.1%} ({spread(value, percent=True)})"
                for value in (one.specificity, one.sensitivity)
            ),
        )
        for one in told.called
    ]
    return join(
        (
            tag("p", detection_sentence(told)),
            table(
                ("specificity asked", "specificity found", "sensitivity found"),
                rows,
                numeric=(0, 1, 2),
                label="Cases called ill",
            ),
            tag(
                "p",
                "Each fold is called at thresholds that healthy cases of the other folds set; a "
                "case's score is the highest logit that more than a least area of it reaches, "
                "without a mask's own rule.",
                class_="small",
            ),
        )
    )


def conventions(found: Findings, known: Mapping[str, str]) -> Markup:
    """What each metric does with empty masks: the same predictions score 0.83, 0.51 or 0.40."""
    rows = [
        (metric_name(row.metric), known[row.metric]) for row in found.rows if row.metric in known
    ]
    head = ("metric", "what it counts, and what empty masks do")
    return table(head, rows, label="What metrics do with empty masks") if rows else Markup()


def searched(projection: Projection) -> Markup:
    """Every parameter with its range, its default and what won, or leads so far."""
    default, best = projection.default, leader_of(projection)
    over = is_over(projection)
    rows = []
    for name in varied(projection):
        distribution = next(
            trial.distributions[name] for trial in projection.trials if name in trial.distributions
        )
        inactive = any(name not in trial.parameters for trial in projection.trials)
        rows.append(
            (
                name,
                _range(distribution) + (", where it applies" if inactive else ""),
                "–" if default is None else setting(default.settings.get(name, "–")),
                "–" if best is None else setting(best.settings.get(name, "–")),
            )
        )
    name = "in the lead" if not over and best is not None else "winner"
    head = ("parameter", "searched", "default", name)
    known = table(head, rows, label="Parameters that were searched", numeric=(2, 3))
    parts = [known if rows else tag("p", "No parameter varied.")]
    if default is not None:
        fixed = [
            f"{name} = {setting(value)}"
            for name, value in default.settings.items()
            if name not in varied(projection)
        ]
        if fixed:
            parts.append(tag("p", f"Held fixed: {', '.join(fixed)}.", class_="small"))
    if projection.header.space_text:
        parts.append(
            tag(
                "details",
                tag("summary", "The search space as it was written"),
                tag("pre", projection.header.space_text),
            )
        )
    return join(parts)


def choices_table(projection: Projection, trial: Trial) -> Markup | None:
    """A trial's objective with every choice for inference; None where there was none."""
    found = values_by_choice(trial.folds)
    if not found:
        return None
    first = next(iter(trial.folds.values()))
    rows, classes = [], []
    for choice, by_fold in zip(first.choices, found, strict=True):
        text = ", ".join(f"{name} {setting(value)}" for name, value in choice.inference.items())
        rows.append((text, sentences.plus_minus(corrected_interval(list(by_fold.values())))))
        classes.append("winner" if choice.inference == first.inference else None)
    text = (
        "The same weights with every choice for inference. All scores in this report stand at the "
        "marked one, the best mean over folds, as does the promoted model; taking the best of them "
        "is a small selection on these folds."
    )
    head = ("choice", "mean ± SD")
    cells = table(head, rows, label="Choices for inference", numeric=(1,), row_classes=classes)
    return join((tag("h3", "Inference"), tag("p", text, class_="small"), cells))


def _range(distribution: object) -> str:
    match distribution:
        case CategoricalDistribution(choices=choices):
            return "one of " + ", ".join(setting(choice) for choice in choices)
        case FloatDistribution() | IntDistribution():
            text = f"{setting(distribution.low)} to {setting(distribution.high)}"
            step = distribution.step
            if step is not None and not (step == 1 and isinstance(distribution, IntDistribution)):
                text += f" in steps of {setting(step)}"
            return text + (", logarithmic" if distribution.log else "")
        case _:
            return str(distribution)


def diagnosis_table(info: OverfittingInfo) -> Markup:
    """The same, fold by fold."""
    name = in_sentence(info.stop_metric)
    head = (
        "fold", "epochs", "departs at", "gap there", "gap at the end", "best epoch",
        f"{name} kept", "at the end", "epochs not run",
    )  # fmt: skip
    rows = [
        (
            fold.fold,
            fold.num_epochs,
            "–" if fold.departure is None else f"{fold.departure}, {fold.kind}",
            signed(fold.gap_at_departure),
            signed(fold.gap_at_end),
            fold.best_epoch,
            score(fold.metric_kept),
            score(fold.metric_at_end),
            fold.epochs_not_run,
        )
        for fold in info.folds
    ]
    return table(head, rows, label="Overfitting by fold", numeric=range(len(head)))
