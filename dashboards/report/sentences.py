"""The report's sentences beside the verdict, which `sweep.analysis.verdict` words."""

from __future__ import annotations

import math

from dashboards.report.evidence import Confirmation
from dashboards.report.findings import Findings
from dashboards.text import in_sentence, listed, score, signed
from ptxcore.metrics import needs_threshold
from sweep.analysis.statistics import Interval, PairedDifference
from sweep.records import State
from sweep.util.numbers import all_finite
from sweep.util.words import count


def subject(found: Findings) -> str:
    """What the trial is called that the numbers are of."""
    return "the winner" if found.winner is not None else "the trial in the lead"


def sentence(text: str) -> str:
    """Words with a capital and a full stop."""
    return f"{text[0].upper()}{text[1:]}."


def held_out(confirmation: Confirmation) -> str:
    """Which cases, of which patients, and how often they were used."""
    text = (
        f"Trial #{confirmation.trial} was scored on the locked hold-out: "
        f"{count(confirmation.num_cases, 'case')} of {count(confirmation.num_groups, 'patient')}, "
        f"{confirmation.num_positive} with a pneumothorax, none of them seen by the search. "
    )
    if confirmation.num_uses == 1:
        return text + "It was the first use of these cases."
    return text + (
        f"It was use {confirmation.num_uses} of these cases, so the gate asks for more than 95%: "
        "all uses together share one chance of an error."
    )


def held_out_gain(confirmation: Confirmation) -> str:
    """Dice above predicting nothing, the default and the champion, each with its interval."""
    metrics, default = confirmation.metrics, confirmation.default
    gain = metrics["dice"] - metrics["dice_all_empty"]
    text = (
        f"Its Dice of {score(metrics['dice'])} is {signed(gain)} from predicting nothing"
        f"{_between(confirmation, 'gain')}"
    )
    if default is not None:
        difference = metrics["dice"] - default["dice"]
        text += (
            f" and {signed(difference)} from the default settings"
            f"{_between(confirmation, 'difference')}"
        )
    return f"{text}.{_challenge(confirmation)}"


def _challenge(confirmation: Confirmation) -> str:
    """The same above the champion of then, which may come from another sweep."""
    champion = confirmation.champion
    if champion is None:
        return ""
    rival = f"the champion of then ({champion.name} version {champion.version})"
    if champion.metrics is None:
        return f" It could not be compared with {rival}, which {champion.problem}."
    lead = confirmation.metrics["dice"] - champion.metrics["dice"]
    return (
        f" On the same cases {rival} has a Dice of {score(champion.metrics['dice'])}, from "
        f"which it is {signed(lead)}{_between(confirmation, 'challenge')}."
    )


def _between(confirmation: Confirmation, key: str) -> str:
    if key not in confirmation.printed:
        return ""
    low, high = confirmation.printed[key]
    if not low <= high:
        return " (too few patients for an interval)"
    return f" ({confirmation.printed_confidence(key)} interval {signed(low)} to {signed(high)})"


def effort(found: Findings) -> str:
    """Folds run, and what became of the trials."""
    order = (State.COMPLETE, State.PRUNED, State.FAILED, State.ABANDONED, State.PARKED,
             State.RUNNING)  # fmt: skip
    parts = [f"{found.states[state]} {state}" for state in order if state in found.states]
    total = sum(found.states.values())
    fates = f": {listed(parts)}" if parts else ""
    share = (
        f" ({found.num_folds_run / found.num_folds_full_grid:.0%})"
        if found.num_folds_full_grid
        else ""
    )
    stopped = f"; {found.num_folds_stopped:,} more stopped on the way"
    return (
        f"{count(total, 'trial')} tried{fates}. {count(found.num_folds_run, 'fold')} trained "
        f"of the {found.num_folds_full_grid:,} that a full grid would have taken{share}"
        f"{stopped if found.num_folds_stopped else ''}."
    )


def objective(found: Findings) -> str:
    """What the search optimised, and why not simply Dice."""
    goal = "higher" if found.maximize else "lower"
    text = f"The search optimised {in_sentence(found.metric)} ({goal} is better). "
    if needs_threshold(found.metric):
        text += "Its values are those at the fixed threshold of the settings. "
    if found.metric == "average_precision":
        text += (
            "It needs no threshold, every positive case counts the same, and a network that "
            "predicts nothing gains nothing by it; mean Dice with both-empty = 1 lies flat on the "
            "all-empty baseline early in training. Dice and the other official metrics stand "
            "beside it."
        )
    elif found.metric in ("dice", "iou"):
        text += (
            "With both-empty = 1 it rewards an empty answer on every case without a pneumothorax: "
            "read it only beside the all-empty baseline."
        )
    return text


def plus_minus(interval: Interval) -> str:
    """Mean and SD; the mean alone for a single fold."""
    if math.isnan(interval.sd):
        return score(interval.mean)
    return f"{score(interval.mean)} ± {score(interval.sd)}"


def reach(interval: Interval) -> str:
    """The interval in words; differences show their sign."""
    if math.isnan(interval.low):
        return "no interval from one fold"
    write = signed if isinstance(interval, PairedDifference) else score
    return f"{interval.confidence:.0%} interval {write(interval.low)} to {write(interval.high)}"


def span(interval: tuple[float, float] | None) -> str:
    """Both ends of an interval; a dash where it is not known."""
    if interval is None or not all_finite(interval):
        return "–"
    return f"{score(interval[0])} to {score(interval[1])}"
