"""What a replay did, and the folds that it is doing."""

from __future__ import annotations

from dataclasses import dataclass, field

from sweep.records import Event


@dataclass(eq=False, slots=True)
class Task:
    """A fold on a worker, lost half way or not.

    `epoch` is the last one reported; `first_epoch` are done since the fold was paused after them.
    """

    trial: int
    fold: int
    began: float
    seconds: float
    num_epochs: int
    is_lost: bool
    epoch: int = 0
    first_epoch: int = 0

    @property
    def share(self) -> float:
        """Share of the whole fold that is trained here when `epoch` is."""
        return (self.epoch - self.first_epoch) / self.num_epochs


@dataclass(kw_only=True)
class Run:
    """What a simulated sweep did.

    Attributes:
        chosen: Table row of the winner; the best partial one when nothing is complete, -1 when
            nothing was scored.
        num_folds: Folds paid for; one that was stopped or lost counts by its share.
        num_epochs: Epochs paid for.
        busy_seconds: Worker time paid for.
        makespan_seconds: Time until the sweep was over.
        reason: Why it was over.
        rows: Table row of each trial.
        started: (trial, fold) in the order of start.
        anytime: (folds paid for, epochs paid for, row chosen if the sweep ended there), at every
            change.
        events: Everything the policy saw, if it was asked for.
        num_worst: Scores that were not finite and counted as worst.
    """

    chosen: int = -1
    num_folds: float = 0.0
    num_epochs: float = 0.0
    busy_seconds: float = 0.0
    makespan_seconds: float = 0.0
    reason: str = ""
    rows: list[int] = field(default_factory=list)
    started: list[tuple[int, int]] = field(default_factory=list)
    anytime: list[tuple[float, float, int]] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    num_worst: int = 0

    def pay(self, task: Task, share: float) -> None:
        """Account for a share of a fold."""
        self.num_folds += share
        self.num_epochs += share * task.num_epochs
        self.busy_seconds += share * task.seconds

    def lead(self, row: int) -> None:
        """A row would be chosen if the sweep ended now; -1 for none."""
        if row != self.chosen:
            self.chosen = row
            self.anytime.append((self.num_folds, self.num_epochs, row))
