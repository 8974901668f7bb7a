"""What all models of the file share."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Strict(BaseModel):
    """Refuses unknown keys, bends no types, never changes."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Problem(ValueError):
    """Something wrong at one key of the model that raises it."""

    def __init__(self, key: str, found: object, expected: str) -> None:
        super().__init__(f"found {found!r}, expected {expected}")
        self.key = key
