"""Where a sweep stands, in the words that every view says."""

from __future__ import annotations

from sweep.analysis.standing import Outcome, Standing
from sweep.records import DEFAULT_TRIAL
from sweep.util.words import count


def correction(num_compared: int, *, is_default: bool = True) -> str:
    """What intervals and p-values are corrected for, in words.

    Args:
        num_compared: See the function of that name in `sweep.analysis.standing`.
        is_default: Whether the reference is the default.
    """
    if is_default:
        return f"corrected for {count(num_compared, 'trial')}"
    return f"corrected for {count(num_compared, 'pair')} of trials"


def sentence(found: Standing) -> str:
    """The verdict as every view says it."""
    if found.outcome is Outcome.OPEN:
        return f"No winner yet: {_open_trials(found)}; {leading(found)}."
    if found.outcome is Outcome.NONE:
        return "No trial is complete, so there is no winner."
    if found.outcome is Outcome.DEFAULT:
        return "The default settings won: no complete trial scores higher."
    difference = found.difference
    if difference is None:
        return f"Trial #{found.winner} won. There is no complete default to compare it with."
    start = (
        f"Trial #{found.winner} won. Its difference to the default on the same "
        f"{count(len(found.shared_folds), 'fold')} is {difference.mean:+.3f}"
    )
    if found.outcome is Outcome.UNKNOWN:
        return f"{start}: one fold cannot tell them apart."
    start += (
        f" ({difference.confidence:.0%} interval {difference.low:+.3f} to {difference.high:+.3f}, "
        f"p {_p_value(difference.p_value)}, {correction(difference.num_compared)})"
    )
    if found.outcome is Outcome.BETTER:
        return f"{start}: better than the default by more than the folds and the search explain."
    return (
        f"{start}: the folds do not show that it is better than the default, once the best of "
        f"{found.num_looked_at:,} was chosen on them."
    )


def leading(found: Standing) -> str:
    """The leader of a sweep that is not over, by how much and on which folds."""
    if found.leader is None:
        return "no fold is finished"
    difference = found.difference
    if found.leader == DEFAULT_TRIAL:
        text = "the default leads"
    elif difference is None:
        folds = count(found.num_folds, "fold")
        text = f"#{found.leader} leads on {folds}, none of which the default has"
    else:
        text = (
            f"#{found.leader} leads the default by {difference.mean:+.3f}"
            f"{'' if found.maximize else ' (lower is better)'} on the "
            f"{count(len(found.shared_folds), 'fold')} both have"
        )
    if found.num_ahead:
        text += f"; {count(found.num_ahead, 'open trial is', 'open trials are')} ahead "
        text += "of it where both have folds"
    return text


def _open_trials(found: Standing) -> str:
    if not found.num_open:
        return f"the sweep is {found.sweep_state}"
    (state, number), *rest = sorted(found.num_open.items(), reverse=True)  # running, parked
    first = f"{count(number, 'trial is', 'trials are')} {state}"
    return " and ".join([first, *(f"{number:,} {state}" for state, number in rest)])


def _p_value(value: float) -> str:
    return "below 0.001" if value < 0.001 else f"= {value:.2g}"
