"""Numbers as sentences say them."""

from __future__ import annotations


def count(number: int, noun: str, plural: str | None = None) -> str:
    """A number with its noun: "1 sweep", "1,519 folds"."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"
