"""What the scores of a sweep are not, in the one sentence that every command and page repeats."""

from __future__ import annotations

from sweep.projection import Projection


def caution(projection: Projection) -> str | None:
    """Say that checkpoints were chosen on the cases that they are scored on (`selection: fold`).

    Args:
        projection: Of the sweep, finished or not.

    Returns:
        A sentence without its capital and its stop; None where every candidate is leak-free.
    """
    chosen = [one.settings.get("selection") == "fold" for one in projection.candidates]
    if not any(chosen):
        return None
    of = "" if all(chosen) else f" of {sum(chosen)} of {len(chosen)} trials"
    return (
        f"checkpoints{of} were chosen on the scored folds themselves (checkpoint-selected): these "
        "scores are optimistic and not comparable with leak-free ones"
    )
