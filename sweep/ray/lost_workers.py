"""What happens when a worker dies, or says that it cannot train its fold.

1. Ray tells the scheduler, which notes the loss in the ledger and frees the slot.
2. The trial is parked and waits for its turn like any other, wherever there is room.
3. The fold's next attempt goes on from the last whole epoch (`ptxcore.training.attempts`); a late
   report of the lost one is passed over.
4. A fold that was lost too often fails its trial, and so does an error that would come again.

With a host all its workers die. If the driver dies, `ptxsweep resume` does the first step.
"""

from __future__ import annotations

from collections import Counter

from sweep.records import Assignment
from sweep.search.controller import Controller


class LostWorkers:
    """Counts losses and passes them on."""

    def __init__(self, controller: Controller, max_attempts: int) -> None:
        """Nothing lost yet.

        Args:
            controller: Told of every loss.
            max_attempts: Losses of one fold that end its trial.
        """
        self._controller, self._max_attempts = controller, max_attempts
        self._losses: Counter[tuple[int, int]] = Counter()

    def note(self, assignment: Assignment, reason: str, *, is_final: bool) -> bool:
        """Note a loss.

        Args:
            assignment: What was being trained.
            reason: Kept in the ledger.
            is_final: Whether another attempt would end likewise.

        Returns:
            Whether it ended the trial.
        """
        fold = assignment.trial, assignment.fold
        self._losses[fold] += 1
        is_final = is_final or self._losses[fold] >= self._max_attempts
        self._controller.on_failure(assignment.trial, reason, final=is_final)
        return is_final
