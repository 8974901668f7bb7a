"""Every figure of the report with its title and what it says, in order: pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dashboards.figures import (
    fold_curves,
    fold_heatmap,
    groups,
    importance,
    leaderboard,
    overfitting,
    parallel,
    pareto,
    regret,
    schedule,
    slices,
    stops,
    thresholds,
)
from dashboards.plot import Plot
from dashboards.queries import OperatingPoints, label, leader_of
from dashboards.report import sections, sentences
from dashboards.report.findings import Findings, MetricRow
from dashboards.report.markup import Markup, tag
from dashboards.text import metric_name
from sweep.analysis import phrases
from sweep.ledger.projection import Projection, Trial
from sweep.util.words import count


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One figure of a page.

    Attributes:
        key: Short name, that of the file when it is exported.
        title: Heading.
        text: What it shows and how to read it.
        plot: The figure; None where the text says why there is none.
        after: What stands below it.
        half: Whether two such figures stand beside each other where the page is wide.
    """

    key: str
    title: str
    text: str
    plot: Plot | None
    after: Markup | None = None
    half: bool = False


def pictures(
    projection: Projection,
    found: Findings,
    operating_points: OperatingPoints | None = None,
    curves: thresholds.ThresholdsInfo | None = None,
) -> list[Picture]:
    """The figures of a sweep, those that have something to show.

    Args:
        projection: Projection of the sweep.
        found: What was found in it.
        operating_points: By complete trial.
        curves: What thresholds would give the leader, where its tables of cases are there.
    """
    return [
        *comparisons(projection, found, operating_points),
        *stopped(projection),
        *cases(projection, found, curves),
        *training(projection, found),
        *cost(projection, operating_points),
        *search(projection, found),
    ]


def comparisons(
    projection: Projection, found: Findings, points: OperatingPoints | None
) -> list[Picture]:
    """Leaderboard, and trials by folds; the arguments are those of `pictures`."""
    if not any(trial.log for trial in projection.trials):
        return []
    heat = fold_heatmap.fold_heatmap_info(projection)
    matrix = Picture(
        key="folds",
        title="Trials × folds",
        text=fold_heatmap.sentence(heat),
        plot=fold_heatmap.fold_heatmap(heat),
    )
    board = leaderboard.leaderboard_info(projection, operating_points=points)
    if not board.names:
        return [matrix]
    text = leaderboard.sentence(board, projection.header.metric)
    if (second := found.verdict.second) is not None:
        text += f" {phrases.against_second(second, maximize=found.maximize)}"
    left_out = board.num_omitted + board.num_unscored
    if left_out:
        text += f" {count(left_out, 'trial')} more stand in the table of all trials."
    return [
        Picture(
            key="leaderboard", title="Leaderboard", text=text, plot=leaderboard.leaderboard(board)
        ),
        matrix,
    ]


def cases(
    projection: Projection, found: Findings, curves: thresholds.ThresholdsInfo | None
) -> list[Picture]:
    """The leader by kinds of cases and by threshold."""
    if leader_of(projection) is None:
        return []
    drawn = by_group(
        found.groups,
        name=sentences.subject(found).capitalize(),
        rival=found.rival,
        after=tag(
            "details",
            tag("summary", "The same in numbers"),
            sections.metrics_table(found, found.groups),
        ),
    )
    if curves is not None:
        drawn += [
            Picture(
                key="thresholds",
                title="What another threshold would give",
                text=thresholds.thresholds_sentence(curves),
                plot=thresholds.thresholds(curves),
                half=True,
            ),
            Picture(
                key="calibration",
                title="Are its probabilities true?",
                text=thresholds.calibration_sentence(curves),
                plot=thresholds.calibration(curves),
                half=True,
            ),
        ]
    return drawn


def by_group(
    rows: Sequence[MetricRow], *, name: str, rival: str, after: Markup | None = None
) -> list[Picture]:
    """A trial by size of the mask and by view; nothing where no metric has groups.

    Args:
        rows: Metrics of groups.
        name: The trial in words.
        rival: What it stands beside.
        after: What stands below.
    """
    parts = groups.groups_info(rows)
    if not parts.panels:
        return []
    return [
        Picture(
            key="groups",
            title="By size of the mask and by view",
            text=groups.sentence(),
            plot=groups.groups(parts, name=name, rival=rival),
            after=after,
        )
    ]


def training(projection: Projection, found: Findings) -> list[Picture]:
    """The leader epoch by epoch."""
    leader = leader_of(projection)
    return [] if leader is None else trained(projection, leader, sentences.subject(found))


def trained(projection: Projection, trial: Trial, name: str) -> list[Picture]:
    """A trial epoch by epoch: its curves, and where it fits its own cases alone.

    Args:
        projection: Projection of the sweep.
        trial: Any; without a finished fold it has no such pictures.
        name: The trial in words, its number apart.
    """
    drawn: list[Picture] = []
    curves = fold_curves.fold_curves_info(projection, trial)
    if curves.panels:
        drawn.append(
            Picture(
                key="curves",
                title=f"Training of {name}, {label(trial)}" if name else "Training",
                text="Thick lines are means over the folds (dotted once some have stopped early), "
                "bands one SD to each side within what the metric can be, thin lines the monitor "
                "of single folds. The monitor cases lie inside the training part and choose the "
                "epoch; crosses are the held fold, scored once with the weights of that epoch. "
                "Dice and IoU stand at the fixed threshold of the settings.",
                plot=fold_curves.fold_curves(curves),
            )
        )
    info = overfitting.overfitting_info(trial)
    if info is not None:
        drawn.append(
            Picture(
                key="overfitting",
                title=f"Overfitting of {info.trial}",
                text=overfitting.sentence(info),
                plot=overfitting.overfitting(info),
                after=sections.diagnosis_table(info),
            )
        )
    return drawn


def cost(projection: Projection, points: OperatingPoints | None) -> list[Picture]:
    """What the folds took, and what came of it."""
    drawn = []
    front = pareto.pareto_info(projection, points)
    times, spent = schedule.schedule_info(projection), regret.regret_info(projection)
    if front.panels:
        drawn.append(
            Picture(
                key="pareto",
                title="Dice against sensitivity" + (" and time" if len(front.panels) > 1 else ""),
                text=pareto.sentence(front),
                plot=pareto.pareto(front),
                half=len(front.panels) == 1,
            )
        )
    if spent.numbers:
        drawn.append(
            Picture(
                key="regret",
                title="Regret against cost",
                text=regret.sentence(spent),
                plot=regret.regret(spent),
                half=True,
            )
        )
    if times.bars:
        drawn.append(
            Picture(
                key="schedule",
                title="Which worker ran when",
                text=schedule.sentence(times),
                plot=schedule.schedule(times),
                half=times.num_workers <= 4,
            )
        )
    return drawn


def stopped(projection: Projection) -> list[Picture]:
    """The pruned trials beside the pruner's threshold."""
    info = stops.stops_info(projection)
    if not info.panels:
        return []
    return [
        Picture(
            key="stops",
            title="What pruned trials were stopped for",
            text=stops.sentence(info),
            plot=stops.stops(info),
        )
    ]


def search(projection: Projection, found: Findings) -> list[Picture]:
    """The parameters: one by one, together, and which of them matter."""
    drawn = []
    sliced, lines = slices.slices_info(projection), parallel.parallel_info(projection)
    if sliced.slices:
        drawn.append(
            Picture(
                key="slices",
                title=f"{metric_name(found.metric)} against each parameter",
                text=slices.sentence(sliced),
                plot=slices.slices(sliced),
            )
        )
    if lines.axes:
        drawn.append(
            Picture(
                key="parallel",
                title="Parameters together",
                text=parallel.sentence(lines),
                plot=parallel.parallel(lines),
            )
        )
    matters = importance.importance_info(projection)
    drawn.append(
        Picture(
            key="importance",
            title="Which parameters matter",
            text=importance.sentence(matters),
            plot=None if matters.reason else importance.importance(matters),
        )
    )
    return drawn
