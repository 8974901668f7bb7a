"""What runs now, when it will end and by what that is reckoned, and what gives cause for worry."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from dashboards.live.ledgers import OpenSweep
from dashboards.live.page import sweep_url
from dashboards.queries import label, num_folds_run
from dashboards.report.markup import Markup, table, tag
from dashboards.text import duration, score
from sweep.analysis.progress import Overview, make_overview
from sweep.errors import SweepError
from sweep.ledger.lease import Driver
from sweep.ledger.projection import NAN_REASON, Projection, Trial
from sweep.records import State, SweepState
from sweep.util.words import count


def overview(projection: Projection) -> Overview | None:
    """Counts and estimates; None where an older ledger has no search space to reckon by."""
    try:
        return make_overview(projection)
    except SweepError:
        return None


def time_left(projection: Projection, now: Overview | None) -> str | None:
    """How long it will take, with the basis of it; None of a sweep that does not run."""
    if projection.sweep_state is not SweepState.RUNNING or now is None:
        return None
    folds = num_folds_run(projection)
    left = now.num_folds_expected - now.num_folds_run
    if now.seconds_left is None:
        if now.is_bound:
            return f"no estimate: at most {count(left, 'fold')} more, as few as are worth it"
        return "no estimate before the first fold is finished"
    if left <= 0:
        return "nothing more is expected"
    mean = math.fsum(trial.seconds for trial in projection.trials) / folds
    at_once = max(1, sum(trial.running_fold is not None for trial in projection.trials))
    return (
        f"about {duration(now.seconds_left)} left: some {count(left, 'fold')} more, "
        f"{duration(mean)} each as the {folds:,} so far, {at_once} at once"
    )


def counts(projection: Projection) -> str:
    """Trials by state, in words."""
    found = Counter(trial.state for trial in projection.trials)
    return ", ".join(f"{found[state]:,} {state}" for state in State if state in found)


def bar(projection: Projection, now: Overview | None) -> Markup:
    """Folds that are finished, of those expected."""
    done = num_folds_run(projection)
    if projection.sweep_state is SweepState.FINISHED:
        expected, words = done, count(done, "fold")
    elif now is None:
        expected, words = done, f"{count(done, 'fold')} finished"
    else:
        expected = max(now.num_folds_expected, done)
        words = f"{done:,} of {'at most' if now.is_bound else 'about'} {expected:,} folds"
    progress = tag(
        "progress", max=max(1, expected), value=done if expected else 0, aria_label="Folds"
    )
    return tag("span", progress, " ", tag("span", words), class_="folds")


@dataclass(frozen=True, kw_only=True)
class Pace:
    """What the finished folds took, all together."""

    folds: int
    epochs: int
    seconds: float

    @classmethod
    def of(cls, trials: Iterable[Trial]) -> Pace:
        """That of some trials."""
        folds = [fold for trial in trials for fold in trial.folds.values()]
        return cls(
            folds=len(folds),
            epochs=sum(fold.num_epochs for fold in folds),
            seconds=math.fsum(fold.seconds for fold in folds),
        )


def running(name: str, projection: Projection, pace: Pace) -> Markup:
    """A table of what is being trained; `pace` is that of all trials."""
    rows = [
        _row(name, projection, t, pace) for t in projection.trials if t.running_fold is not None
    ]
    if not rows:
        return tag("p", _nothing(projection))
    head = ("trial", "fold", "try", "epoch", "monitor", "best of the fold", "began", "left")
    return table(head, rows, label="What runs now", numeric=range(3, 6))


def _nothing(projection: Projection) -> str:
    if projection.sweep_state is SweepState.FINISHED:
        return "Nothing runs: the sweep is finished."
    if projection.sweep_state is SweepState.INTERRUPTED:
        return "Nothing runs: the sweep was interrupted, and `ptxsweep resume` goes on."
    return "No fold is being trained at this moment."


def _row(name: str, projection: Projection, trial: Trial, pace: Pace) -> tuple[object, ...]:
    fold = trial.running_fold
    assert fold is not None
    values = trial.epochs.get(fold, {})
    known = [value for value in values.values() if math.isfinite(value)]
    best = (max if projection.maximize else min)(known, default=None)
    last, attempt = max(values, default=0), trial.log[-1]
    wanted = trial.settings.get("max_epochs")
    of = f" of at most {wanted}" if isinstance(wanted, int) else ""
    return (
        tag("a", label(trial), href=sweep_url(name, "t", trial.number)),
        f"{fold}",
        f"{attempt.attempt}",
        f"{last}{of}",
        score(values.get(last)),
        score(best),
        f"{attempt.started_at[:19].replace('T', ' ')} UTC",
        _fold_left(trial, pace),
    )


def _fold_left(trial: Trial, of_all: Pace) -> str:
    """By its own finished folds, else by those of all; what it has trained already is taken off."""
    pace = Pace.of([trial]) if trial.folds else of_all
    if not pace.epochs or not math.isfinite(pace.seconds):
        return "–"
    done = len(trial.epochs.get(trial.running_fold or 0, {}))
    left = max(0.0, pace.epochs / pace.folds - done)
    return f"~{duration(left * pace.seconds / pace.epochs)}"


def troubles(projection: Projection) -> list[str]:
    """What went wrong with folds and trials, a sentence each."""
    said = []
    lost = [
        attempt for trial in projection.trials for attempt in trial.log if attempt.outcome == "lost"
    ]
    if lost:
        reasons = Counter(attempt.reason or "unknown" for attempt in lost)
        text = "; ".join(
            reason if number == 1 else f"{reason} ({number:,} times)"
            for reason, number in reasons.most_common(3)
        )
        said.append(f"{count(len(lost), 'try', 'tries')} at a fold ended without a score: {text}.")
    diverged = sum(trial.reason == NAN_REASON for trial in projection.trials)
    if diverged:
        said.append(f"{count(diverged, 'trial')} of {len(projection.trials):,} diverged to NaN.")
    return said


def alarms(
    one: OpenSweep, pace: Pace, driver: Driver | None, last_at: str | None, now: datetime
) -> Markup | None:
    """What somebody should look at; None where there is nothing.

    Args:
        one: The sweep.
        pace: That of all its trials.
        driver: The driver at work on it, if any is.
        last_at: ISO 8601 time of the newest entry.
        now: The present time.
    """
    projection = one.projection
    said = [*one.once("troubles", lambda: troubles(projection))]
    if projection.sweep_state is SweepState.RUNNING:
        if driver is None:
            said.append(f"No driver is at work on it; `ptxsweep resume {one.name}` goes on.")
        elif (late := _silence(pace, last_at, now)) is not None:
            said.append(late)
    if not said:
        return None
    return tag("ul", *(tag("li", text) for text in said), class_="alarms")


def _silence(pace: Pace, last_at: str | None, now: datetime) -> str | None:
    """That nothing was heard for much longer than an epoch takes."""
    if last_at is None or not pace.epochs:
        return None
    try:
        silent = (now - datetime.fromisoformat(last_at)).total_seconds()
    except (TypeError, ValueError):
        return None
    usual = max(pace.seconds / pace.folds, 60.0)
    if not silent > 3 * usual:
        return None
    return (
        f"The driver is at work, but wrote nothing for {duration(silent)}: as long as 3 folds take."
    )
