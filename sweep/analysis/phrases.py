"""The words of a verdict: phrases for its numbers, each with the number beside it.

`sweep.analysis.verdict` puts them together; views take them from there.
"""

from __future__ import annotations

import math

from sweep.analysis.beside import BesideNothing, BesideSecond
from sweep.analysis.metric_names import with_article
from sweep.analysis.operating_point import objective_name
from sweep.analysis.standing import Outcome, Standing
from sweep.analysis.statistics import Interval, PairedDifference
from sweep.ledger import Note
from sweep.records import DEFAULT_TRIAL, State
from sweep.util.words import count

#: Characters of a reason; the trial's page and the ledger have all of it.
_LONGEST = 120


def correction(num_compared: int, *, is_default: bool = True) -> str:
    """What intervals and p-values are corrected for, in words.

    Args:
        num_compared: See the function of that name in `sweep.analysis.standing`.
        is_default: Whether the reference is the default.
    """
    if is_default:
        return f"corrected for {count(num_compared, 'trial')}"
    return f"corrected for {count(num_compared, 'pair')} of trials"


def leading(found: Standing, *, name_folds: bool = False) -> str:
    """The leader of a sweep that is not over, by how much and on which folds.

    Args:
        found: Where the sweep stands.
        name_folds: Whether the folds are named beside their number.
    """
    if found.leader is None:
        return "no fold is finished"
    difference = found.difference
    folds = ", ".join(map(str, found.shared_folds))
    if found.leader == DEFAULT_TRIAL:
        text = "the default leads"
    elif difference is None:
        text = f"#{found.leader} leads on {count(found.num_folds, 'fold')}, none of which the "
        text += "default has"
    else:
        text = (
            f"#{found.leader} leads the default by {_signed(difference.mean)}"
            f"{'' if found.maximize else ' (lower is better)'} on the "
            f"{count(len(found.shared_folds), 'fold')} both have"
            f"{f' ({folds})' if name_folds else ''}"
        )
    if found.num_ahead:
        text += f"; {count(found.num_ahead, 'open trial is', 'open trials are')} ahead "
        text += "of it where both have folds"
    return text


def short(found: Standing, metric: str) -> str:
    """The verdict in a phrase, for a row of a list.

    Args:
        found: Where the sweep stands.
        metric: The objective.
    """
    if found.outcome is Outcome.OPEN:
        return f"no winner yet: {leading(found)}"
    if found.winner is None:
        return "no winner: no trial is complete"
    mean = math.nan if found.mean is None else found.mean
    text = f"winner #{found.winner} {objective_name(metric)} {_number(mean)}"
    difference = found.difference
    if found.outcome is Outcome.DEFAULT:
        return f"{text}, the default"
    if difference is None:
        return f"{text}, no complete default beside it"
    text += f", {_signed(difference.mean)} to the default"
    if found.outcome is Outcome.UNKNOWN:
        return f"{text}, on one fold"
    said = "better" if found.outcome is Outcome.BETTER else "not shown to be better"
    return f"{text} ({_signed(difference.low)} to {_signed(difference.high)}): {said}"


def lead(found: Standing, metric: str, score: Interval | None) -> str:
    """Which trial won, with its score; while the sweep is not over, which leads and by how much.

    Args:
        found: Where the sweep stands.
        metric: The objective.
        score: Mean of the leader's folds.
    """
    if found.outcome is Outcome.OPEN:
        return f"No winner yet: {_open_trials(found)}; {leading(found, name_folds=True)}."
    if found.winner is None or score is None:
        return "No trial is complete, so there is no winner."
    subject = f"Trial #{found.winner}"
    if found.outcome is Outcome.DEFAULT:
        subject = "The default settings"
    spread = "" if math.isnan(score.sd) else f" ± {_number(score.sd)}"
    rule = objective_name(metric).removeprefix(metric)
    return (
        f"{subject} won with {with_article(metric)}{rule} of {_number(score.mean)}{spread} over "
        f"{count(score.num_folds, 'fold')}."
    )


def against_default(found: Standing) -> str | None:
    """The winner beside the default; None without a winner."""
    if found.winner is None:
        return None
    if found.outcome is Outcome.DEFAULT:
        return "The search found no complete trial that scores higher than the defaults."
    difference = found.difference
    if difference is None:
        return "There is no complete default to compare the winner with."
    start = (
        f"Its difference to the default on the same {count(len(found.shared_folds), 'fold')} is "
        f"{_signed(difference.mean)}"
    )
    if found.outcome is Outcome.UNKNOWN:
        return f"{start}: one fold cannot tell them apart."
    start += f" ({reach(difference)})"
    if found.outcome is Outcome.BETTER:
        return f"{start}: better than the default by more than the folds and the search explain."
    return (
        f"{start}: the folds do not show that it is better than the default, once the best of "
        f"{found.num_looked_at:,} was chosen on them."
    )


def against_second(second: BesideSecond, *, maximize: bool) -> str:
    """The winner beside the second.

    Args:
        second: The two.
        maximize: Whether the metric is better when higher.
    """
    difference = second.difference
    if second.number == DEFAULT_TRIAL:
        return "The default is the second of the complete trials."
    if difference is None:
        return f"The second, #{second.number}, shares no fold with it."
    start = f"Its lead over the second, #{second.number}, is {_signed(difference.mean)}"
    if math.isnan(difference.low):
        return f"{start}: one fold cannot tell them apart."
    start += f" ({reach(difference, is_default=second.is_beside_default)})"
    apart = difference.low > 0 if maximize else difference.high < 0
    return f"{start}: the folds {'tell' if apart else 'do not tell'} the two apart."


def against_nothing(nothing: BesideNothing, subject: str) -> str:
    """A trial beside predicting nothing.

    Args:
        nothing: The two.
        subject: The trial in words.
    """
    start = (
        f"Predicting nothing at all scores a Dice of {_number(nothing.all_empty)} on these folds "
        f"(both empty counts as 1); {subject} scores {_number(nothing.dice)} ({nothing.threshold})"
    )
    gain = nothing.gain
    if not nothing.is_beaten:
        return f"{start}. It does not beat an empty answer, whatever its other scores say."
    start += f", {_signed(gain.mean)}"
    if math.isnan(gain.low):
        return f"{start}; one fold cannot tell whether that is chance."
    where = "includes" if gain.low <= 0 else "lies above"
    return f"{start} ({reach(gain)}): the interval {where} the empty answer."


def no_better(nothing: BesideNothing | None, subject: str) -> str | None:
    """A warning, without its capital and its stop, that a trial is not above predicting nothing.

    Args:
        nothing: The two; None says nothing.
        subject: The trial in words.
    """
    if nothing is None or nothing.is_beaten:
        return None
    return (
        f"{subject} does not beat predicting nothing: Dice {nothing.dice:.4f} against "
        f"{nothing.all_empty:.4f} (both empty = 1, {nothing.threshold})"
    )


def state_text(state: str, reason: str | None) -> str:
    """Where a trial stands, and why it was pruned or failed: "pruned in fold 1, epoch 4".

    Why trials were abandoned is the same for all of a sweep, so it is not said of each.

    Args:
        state: One of `sweep.records.State`, the one word for it in every view, option and file.
        reason: Why it ended.
    """
    if not reason or state not in (State.PRUNED, State.FAILED):
        return str(state)
    text = reason if reason.startswith(state) else f"{state}: {reason}"
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _open_trials(found: Standing) -> str:
    if not found.num_open:
        return f"the sweep is {found.sweep_state}"
    (state, number), *rest = sorted(found.num_open.items(), reverse=True)  # running, parked
    first = f"{count(number, 'trial is', 'trials are')} {state}"
    return " and ".join([first, *(f"{number:,} {state}" for state, number in rest)])


def reach(difference: PairedDifference, *, is_default: bool = True) -> str:
    """Interval, p-value and what they are corrected for.

    Args:
        difference: One with an interval.
        is_default: Whether the reference is the default, see `correction`.
    """
    many = correction(difference.num_compared, is_default=is_default)
    if difference.says_nothing:
        return f"{many}, its interval has all that is possible and says nothing"
    return (
        f"{difference.confidence:.0%} interval {_signed(difference.low)} to "
        f"{_signed(difference.high)}, p {_p_value(difference.p_value)}, {many}"
    )


def _p_value(value: float) -> str:
    return "below 0.001" if value < 0.001 else f"= {value:.2g}"


def _number(value: float) -> str:
    """Three decimals; distances of 10 mm and more have one."""
    return f"{value:.{3 if abs(value) < 10 else 1}f}" if math.isfinite(value) else "-"


def _signed(value: float) -> str:
    return f"{value:+.{3 if abs(value) < 10 else 1}f}" if math.isfinite(value) else "-"


def note_text(note: Note) -> str:
    """A note of a person, with its day."""
    return f"note of {note.at[:10]}: {note.text}"
