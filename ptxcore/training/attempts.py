"""A fold's folder handed from one attempt to the next.

Each attempt at a fold writes into a folder of its own. So a worker that was cut off, or outlived
its driver, cannot touch what the next attempt builds on, and no lock is needed, which shared
storage rarely keeps. The next attempt starts from a copy of what the last one had committed.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from ptxcore.errors import CheckpointError
from ptxcore.training.checkpoint import LAST, RESULT, STATE
from ptxcore.training.state_files import read_tensors, read_with_digest

#: A copy is repeated while the earlier attempt still writes; an epoch's commit takes less.
_TRIES = 20
_WAIT_SECONDS = 0.1


def attempt_folder(fold: Path, attempt: int) -> Path:
    """Where one attempt writes.

    Args:
        fold: Folder of the fold.
        attempt: One-based.
    """
    return fold / f"attempt-{attempt}"


def continue_from(fold: Path, attempt: int) -> Path:
    """The folder of a new attempt, with the last committed epoch of the newest earlier one.

    Args:
        fold: Folder of the fold; need not exist.
        attempt: One-based number of the attempt that begins.

    Returns:
        The attempt's folder; it exists.

    Raises:
        CheckpointError: The earlier attempt's checkpoint is damaged.
    """
    target = attempt_folder(fold, attempt)
    if target.is_dir():
        return target  # the same attempt, begun before
    making = target.with_name(f".{target.name}.part")
    for number in range(attempt - 1, 0, -1):
        source = attempt_folder(fold, number)
        if (source / RESULT).is_file() or (source / LAST / STATE).is_file():
            _copy(source, making)
            break
    else:
        making.mkdir(parents=True, exist_ok=True)
    making.rename(target)
    return target


def _copy(source: Path, making: Path) -> None:
    """Copy until the copy is of one moment: the source may still be written."""
    problem: Exception | None = None
    for _ in range(_TRIES):
        shutil.rmtree(making, ignore_errors=True)
        try:
            shutil.copytree(source, making, ignore=shutil.ignore_patterns(".*"))
            _check_whole(making)
            return
        except (OSError, KeyError, TypeError, shutil.Error, CheckpointError) as error:
            problem = error
        time.sleep(_WAIT_SECONDS)
    raise CheckpointError(
        f"{source}: found no whole checkpoint in {_TRIES} tries ({problem}); remove the folder to "
        "train this fold from its start"
    )


def _check_whole(folder: Path) -> None:
    """Refuse what was changed, and a state without the tensors that were saved with it."""
    if (folder / RESULT).is_file():
        read_with_digest(folder / RESULT)
        return
    read_tensors(folder / LAST, read_with_digest(folder / LAST / STATE))
