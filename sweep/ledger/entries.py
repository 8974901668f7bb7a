"""How entries of the history, a fold's score among them, lie in an Optuna trial, and are read back.

Every entry is one user attribute, so each is written in one commit and none is ever rewritten.
All but epochs carry `seq`, a number that grows over the whole sweep, which gives the history its
order back. Epoch values are Optuna's intermediate values at step fold * 10,000 + epoch.

Keys of a trial:
    added                     {"seq", "at", "settings"}
    fold:2:attempt:1          {"seq", "at"}
    fold:2:attempt:1:lost     {"seq", "at", "reason"}
    fold:2:attempt:2:resumed  {"seq", "at", "epoch", "known"}
    fold:2:score              {"seq", "at", "attempt", "score", "seconds", ...}
    ended                     {"seq", "at", "state", "reason"}, of a pruned one also "judged"
    note:KEY                  any value
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from optuna.trial import FrozenTrial

from sweep.errors import LedgerError
from sweep.ledger.projection import Projection, Trial
from sweep.records import (
    STEPS_PER_FOLD,
    ChoiceScore,
    Epoch,
    FoldScore,
    State,
    as_score,
    known_seconds,
)

ADDED, ENDED, NOTE = "added", "ended", "note:"
#: What a row that lacks something makes its reader raise.
UNREADABLE = (LookupError, ValueError, TypeError, AttributeError, ArithmeticError)


def attempt_key(fold: int, attempt: int) -> str:
    """Key of the start of a try at a fold."""
    return f"fold:{fold}:attempt:{attempt}"


def lost_key(fold: int, attempt: int) -> str:
    """Key of a try that ended without a score."""
    return f"{attempt_key(fold, attempt)}:lost"


def resumed_key(fold: int, attempt: int) -> str:
    """Key of where a later try went on."""
    return f"{attempt_key(fold, attempt)}:resumed"


def score_key(fold: int) -> str:
    """Key of a finished fold."""
    return f"fold:{fold}:score"


def stored_step(fold: int, epoch: int) -> int:
    """Optuna step of an epoch."""
    return fold * STEPS_PER_FOLD + epoch


def score_row(score: FoldScore) -> dict[str, Any]:
    """A fold score for JSON; what a row calls its score is the value, in the metric's own sign."""
    choices = [
        {
            "inference": dict(choice.inference),
            "score": _plain(choice.value),
            "metrics": {name: _plain(value) for name, value in choice.metrics.items()},
            "cases": choice.cases,
            **known_seconds(choice.seconds_per_image),
        }
        for choice in score.choices
    ]
    return {
        "attempt": score.attempt,
        "score": _plain(score.value),
        "seconds": _plain(score.seconds),
        "num_epochs": score.num_epochs,
        "best_epoch": score.best_epoch,
        "metrics": {name: _plain(value) for name, value in score.metrics.items()},
        "curves": {name: [_plain(v) for v in values] for name, values in score.curves.items()},
        "cases": score.cases,
        "weights": score.weights,
        **({"choices": choices} if choices else {}),
        **({"usage": dict(score.usage)} if score.usage else {}),
    }


@dataclass(frozen=True)
class Entry:
    """A row of the history: what it says of a trial, and when it was committed."""

    seq: int
    timestamp: str
    kind: str
    trial: int
    fold: int
    attempt: int
    row: Mapping[str, Any]


def load(projection: Projection, trials: list[FrozenTrial]) -> int:
    """Apply the stored history to an empty projection.

    Returns:
        The sequence number that the next entry takes.

    Raises:
        LedgerError: A row lacks what it must hold.
    """
    try:
        entries = sorted(
            (entry for trial in trials for entry in _entries(trial)), key=lambda entry: entry.seq
        )
        by_number = {trial.number: trial for trial in trials}
        for entry in entries:
            trial = by_number[entry.trial]
            apply(projection, entry, trial.params, trial.distributions)
        for trial in trials:
            _load_unordered(projection, trial)
    except UNREADABLE as error:
        raise unreadable(error) from error
    return entries[-1].seq + 1 if entries else 0


def unreadable(error: Exception) -> LedgerError:
    """The error of a row that lacks what it must hold."""
    return LedgerError(
        f"the ledger holds a row that this version cannot read ({error!r}); "
        "was the study written by hand or by a newer version?"
    )


def _entries(trial: FrozenTrial) -> list[Entry]:
    return [
        entry_of(trial.number, key, row)
        for key, row in trial.user_attrs.items()
        if not key.startswith(NOTE)
    ]


def entry_of(number: int, key: str, row: Mapping[str, Any]) -> Entry:
    """The entry that a user attribute of a trial is, a note not being one."""
    parts = key.split(":")
    fold = int(parts[1]) if parts[0] == "fold" else -1
    kind, attempt = parts[0], -1
    if parts[0] == "fold":
        kind = "score" if parts[2] == "score" else parts[-1] if len(parts) == 5 else "attempt"
        attempt = int(row["attempt"]) if kind == "score" else int(parts[3])
    return Entry(int(row["seq"]), str(row["at"]), kind, number, fold, attempt, row)


def apply(
    projection: Projection,
    entry: Entry,
    parameters: Mapping[str, Any],
    distributions: Mapping[str, Any],
) -> None:
    """Apply one entry; the parameters of its trial count where it is that trial's first."""
    row, number = entry.row, entry.trial
    match entry.kind:
        case "added":
            projection.add(
                Trial(
                    number=number,
                    parameters=dict(parameters),
                    settings=dict(row["settings"]),
                    distributions=dict(distributions),
                    created_at=entry.timestamp,
                )
            )
        case "attempt":
            projection.start(number, entry.fold, entry.attempt, entry.timestamp)
        case "lost" if "scores" in row:
            scores = tuple(map(_number, row["scores"]))
            reason = str(row["reason"])
            projection.pause(number, entry.fold, entry.timestamp, reason, scores)
        case "lost":
            projection.lose(number, entry.fold, entry.timestamp, str(row["reason"]))
        case "resumed":
            projection.resume(number, int(row["epoch"]), int(row["known"]))
        case "score":
            projection.finish(_score(projection, entry), entry.timestamp)
        case "ended":
            judged = None
            if row.get("judged"):
                value, limit = map(float, row["judged"])
                judged = value, limit
            projection.end(number, State(row["state"]), row["reason"], entry.timestamp, judged)
        case kind:
            raise ValueError(f"unknown kind of row {kind!r}")


def _score(projection: Projection, entry: Entry) -> FoldScore:
    row, maximize = entry.row, projection.maximize
    value = _number(row["score"])
    choices = [(choice, _number(choice["score"])) for choice in row.get("choices", ())]
    return FoldScore(
        trial=entry.trial,
        fold=entry.fold,
        attempt=entry.attempt,
        value=value,
        score=as_score(value, maximize=maximize),
        seconds=_number(row["seconds"]),
        num_epochs=int(row["num_epochs"]),
        best_epoch=int(row["best_epoch"]),
        metrics={name: _number(value) for name, value in row["metrics"].items()},
        curves={name: tuple(map(_number, values)) for name, values in row["curves"].items()},
        cases=_file(row["cases"]),
        weights=_file(row["weights"]),
        choices=tuple(
            ChoiceScore(
                inference=dict(choice["inference"]),
                value=own,
                score=as_score(own, maximize=maximize),
                metrics={name: _number(value) for name, value in choice["metrics"].items()},
                cases=_file(choice["cases"]),
                seconds_per_image=_number(choice.get("seconds_per_image")),
            )
            for choice, own in choices
        ),
        usage=dict(row.get("usage", {})),
    )


def _load_unordered(projection: Projection, trial: FrozenTrial) -> None:
    for step, value in trial.intermediate_values.items():
        projection.epoch(epoch_of(trial.number, step, value))
    for key, value in trial.user_attrs.items():
        if key.startswith(NOTE):
            projection.note(trial.number, key.removeprefix(NOTE), value)


def epoch_of(number: int, step: int, value: float) -> Epoch:
    """The epoch that a trial's intermediate value is."""
    fold, epoch = divmod(step, STEPS_PER_FOLD)
    return Epoch(trial=number, fold=fold, attempt=0, epoch=epoch, value=value, seconds=math.nan)


def _file(name: str | None) -> str | None:
    """A file of the sweep's folder; write access to the ledger cannot have another one read."""
    if name is not None and (
        PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts
    ):
        raise ValueError("a file outside the sweep's folder")
    return name


def _plain(value: float) -> float | None:
    """JSON has no NaN and no infinity; both are kept as null and read back as NaN."""
    return float(value) if math.isfinite(value) else None


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)
