"""What messages say of a name that nothing has, and of a number of bytes."""

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


def in_bytes(num_bytes: float) -> str:
    """A number of bytes in the largest unit that leaves a whole part, as in `"2.0 GiB"`.

    Args:
        num_bytes: Bytes, at least 0; below 1 KiB they are counted.
    """
    for power, unit in ((3, "GiB"), (2, "MiB"), (1, "KiB")):
        if num_bytes >= 1024**power:
            return f"{num_bytes / 1024**power:.1f} {unit}"
    return f"{num_bytes:.0f} bytes"
