"""What messages call a file: its name can hold that of a patient."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ptxcore.errors import DataError


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
