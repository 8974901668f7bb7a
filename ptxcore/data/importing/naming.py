"""How messages speak of files: their names can hold those of patients, and many can be at fault."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ptxcore.errors import DataError

_MAX_LISTED = 10
#: A file's name can hold that of a patient.
HINT = " (--name-files tells which file)"


@contextmanager
def speaking_of(path: Path, label: str, hint: str = "") -> Iterator[None]:
    """Errors of a reader about a file call it by another name, and end with a hint.

    Args:
        path: Path of the file; messages that begin with its name lose it.
        label: What they begin with instead.
        hint: What they end with.

    Raises:
        DataError: One was raised within: the same class with the new message.
    """
    try:
        yield
    except DataError as error:
        text = str(error).removeprefix(f"{path.name}: ")
        raise type(error)(f"{label}: {text}{hint}") from error.__cause__


def hint(*, names_files: bool, can_skip: bool = False) -> str:
    """What a message about files ends with: options that help.

    Args:
        names_files: Whether it names them.
        can_skip: Whether others could be imported without them.
    """
    options = [] if names_files else ["--name-files tells which file"]
    options += ["--skip-unreadable goes on without"] if can_skip else []
    return f" ({', '.join(options)})" if options else ""


def refuse_all(problems: Sequence[DataError], num_files: int, hint: str) -> None:
    """All that is wrong in one message, so that files need not be mended one import at a time.

    Args:
        problems: An error for each file at fault; none is fine.
        num_files: Number of files that were looked at.
        hint: What the message ends with.

    Raises:
        DataError: There is a problem; of their class where all are of one.
    """
    if not problems:
        return
    kinds = {type(problem) for problem in problems}
    kind = kinds.pop() if len(kinds) == 1 else DataError
    if len(problems) == 1:
        raise kind(f"{problems[0]}{hint}") from problems[0].__cause__
    raise kind(f"found {len(problems)} of {num_files} files unusable:{in_lines(problems)}{hint}")


def in_lines(problems: Sequence[object]) -> str:
    """Up to ten of them, each on a line of its own, and how many more there are.

    Args:
        problems: Sentences, or errors.
    """
    listed = "".join(f"\n  {problem}" for problem in problems[:_MAX_LISTED])
    more = len(problems) - _MAX_LISTED
    return listed + (f"\n  and {more} more" if more > 0 else "")
