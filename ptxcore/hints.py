"""The end of a message about a name that nothing has."""

from __future__ import annotations

from collections.abc import Collection
from difflib import get_close_matches


def did_you_mean(name: str, known: Collection[str]) -> str:
    """The known name that comes close, else all of them.

    Args:
        name: Name, as it was found.
        known: What there is, in the order in which a message lists it.
    """
    close = get_close_matches(name, list(known), n=1)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"expected one of: {', '.join(known) or 'none'}"
