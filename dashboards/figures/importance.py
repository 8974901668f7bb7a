"""Which parameters told good trials from bad ones, beside what chance alone would show.

Every trial is judged by the same fold, the first that all of them ran. Complete trials
alone would be few, and chosen for being good; running means would compare different folds.

PED-ANOVA (Watanabe et al., IJCAI 2023) measures how far the distribution of a parameter among the
best trials lies from its distribution among all. Any two small samples differ somewhat, so the same
number is computed for shuffled scores: a bar that does not pass the mark of chance says nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from dashboards import theme
from dashboards.figures.ped_anova import ped_anova
from dashboards.plot import Plot, note, panels, plain, rounded
from dashboards.text import listed
from sweep.ledger.projection import Projection, Trial
from sweep.util.words import count

#: Fewer scored trials than this say nothing about several parameters.
MIN_TRIALS = 20
#: The best trials are this share of all: at least five, as the evaluator's authors ask for, and
#: enough that true effects of a synthetic sweep of 40 pass the mark of chance (0.1 missed them).
_TOP = 0.25
#: In 5% of shuffled sweeps some parameter passes its mark, however many parameters there are.
_FALSE_ALARMS = 0.05
_NUM_SHUFFLES = 100


@dataclass(frozen=True, kw_only=True)
class Importance:
    """One parameter.

    Attributes:
        parameter: Its name.
        share: Share of the sum over all parameters, in [0, 1].
        chance: The mark of chance, on the same scale: shuffled scores stay below it for all
            parameters at once in 95% of all cases.
    """

    parameter: str
    share: float
    chance: float

    @property
    def stands_out(self) -> bool:
        """Whether the share passes what chance gives."""
        return self.share > self.chance


@dataclass(frozen=True, kw_only=True)
class ImportanceInfo:
    """What the figure shows.

    Attributes:
        fold: Fold with the scores by which trials are compared.
        num_trials: Trials with a score on it.
        importances: Most important first; empty when `reason` says why there are none.
        reason: Why nothing is drawn, else None.
    """

    fold: int
    num_trials: int
    importances: tuple[Importance, ...]
    reason: str | None


def importance_info(projection: Projection, *, seed: int = 0) -> ImportanceInfo:
    """Evaluate the trials by their score on the first fold.

    Args:
        projection: Projection of the sweep.
        seed: Seed of the shuffles.
    """
    trials = _scored(projection, fold=0)
    scores = [trial.folds[0].score for trial in trials]
    reason = None
    if len(trials) < MIN_TRIALS:
        reason = (
            f"{count(len(trials), 'trial')} finished fold 0; below {MIN_TRIALS} an "
            "importance would be noise, so none is drawn."
        )
    elif len(set(scores)) < _TOP * MIN_TRIALS:
        reason = "Nearly all trials have the same score on fold 0, so nothing can matter."
    elif not _varying(trials):
        reason = "No parameter took more than one value."
    importances = () if reason else _evaluate(trials, scores, seed)
    return ImportanceInfo(fold=0, num_trials=len(trials), importances=importances, reason=reason)


def _scored(projection: Projection, fold: int) -> list[Trial]:
    return [
        trial
        for trial in projection.trials
        if fold in trial.folds and math.isfinite(trial.folds[fold].score)
    ]


def _varying(trials: list[Trial]) -> list[str]:
    names = dict.fromkeys(name for trial in trials for name in trial.parameters)
    return [
        name
        for name in names
        if len({str(t.parameters[name]) for t in trials if name in t.parameters}) > 1
    ]


def _evaluate(trials: list[Trial], scores: list[float], seed: int) -> tuple[Importance, ...]:
    names = _varying(trials)
    generator = np.random.default_rng(seed)
    shuffled = [generator.permutation(scores) for _ in range(_NUM_SHUFFLES)]
    found = ped_anova(
        [trial.parameters for trial in trials],
        [trial.distributions for trial in trials],
        np.stack([np.array(scores), *shuffled]),
        names,
        top=_TOP,
    )
    total = float(sum(found[name][0] for name in names)) or 1.0
    level = 1 - _FALSE_ALARMS / len(names)  # Bonferroni
    importances = [
        Importance(
            parameter=name,
            share=float(found[name][0]) / total,
            chance=float(np.quantile(found[name][1:], level)) / total,
        )
        for name in names
    ]
    return tuple(sorted(importances, key=lambda found: (-found.share, found.parameter)))


def importance(info: ImportanceInfo) -> Plot:
    """Draw it; without importances the figure says why.

    Bars are the shares, the black ticks what chance gives; bars that stay below are pale.
    """
    if info.reason is not None:
        return note(info.reason)
    names = [plain(bar.parameter) for bar in info.importances]
    plot = panels(row_px=30 * len(names) + 10, bottom=32)
    plot.add(
        type="bar", orientation="h", y=names, x=rounded(bar.share for bar in info.importances),
        name="share of the parameter",
        marker={
            "color": [theme.WINNER if bar.stands_out else theme.PALE for bar in info.importances]
        },
        hovertemplate="%{y}: %{x:.0%}<extra></extra>",
    )  # fmt: skip
    plot.add(
        x=rounded(bar.chance for bar in info.importances), y=names, mode="markers",
        name="what chance alone may give",
        marker={
            "symbol": "line-ns-open", "size": 18, "color": theme.INK,
            "line": {"width": 2.5, "color": theme.INK},
        },
        hovertemplate="chance alone: %{x:.0%}<extra></extra>",
    )  # fmt: skip
    plot.x(tickformat=".0%", rangemode="tozero")
    plot.y(autorange="reversed", showgrid=False, ticksuffix="  ")
    return plot.finished()


def sentence(info: ImportanceInfo) -> str:
    """What the figure says."""
    if info.reason is not None:
        return info.reason
    loud = [bar.parameter for bar in info.importances if bar.stands_out]
    found = (
        f"{listed(loud)} {'passes' if len(loud) == 1 else 'pass'} what shuffled scores would show."
        if loud
        else "No parameter passes what shuffled scores would show: this sweep cannot tell which "
        "of them matter."
    )
    return (
        "How differently each parameter is distributed among the best quarter of "
        f"{count(info.num_trials, 'trial')}, judged by fold {info.fold}, which all of "
        f"them ran. {found}"
    )
