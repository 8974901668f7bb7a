"""What a ledger keeps of a registered model: a move of its aliases that is under way, and history.

MLflow has no compare-and-swap, so of two promoters both could pass against one champion. Here one
attribute of a study without trials is written by compare-and-swap before an alias moves: the second
promoter sees that it changed since it asked the gate. A move is written down whole before it
begins, so the next process can finish one that a crash cut off.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from optuna.exceptions import DuplicatedStudyError
from optuna.storages import RDBStorage
from optuna.study import StudyDirection

from sweep.ledger.catalog import study_names
from sweep.ledger.connection import (
    close_storage,
    compare_and_swap,
    open_storage,
    patiently,
    read_attribute,
    readable,
)
from sweep.ledger.quiet import quiet_optuna

#: Begins the name of the study; no sweep's name has a colon.
PREFIX = "ptxsweep:model:"
_STATE, _EVENT = "ptxsweep:state", "ptxsweep:event:"


@dataclass(frozen=True, kw_only=True)
class Move:
    """Changes of aliases that belong together.

    Attributes:
        token: Tells this move from all others.
        expected: Version of the champion that it was decided against; None if there was none.
        before: Version of each alias that it changes, None where there was none.
        after: Likewise, when it is done.
        event: What the history says of it.
        tags: Tags that the event's version gets, before the champion's alias moves.
    """

    token: str
    expected: str | None
    before: Mapping[str, str | None]
    after: Mapping[str, str | None]
    event: Mapping[str, Any]
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class State:
    """The record at one moment.

    Attributes:
        text: As it is stored; None before the first move.
        revision: Number of writes.
        move: A move that was begun and not ended, None if there is none.
        champion: Version that the last move that ended made champion; None if none did.
        request: What waits for a person's decision, None if nothing does.
    """

    text: str | None = None
    revision: int = 0
    move: Move | None = None
    champion: str | None = None
    request: Mapping[str, Any] | None = None


class ModelRecord:
    """The record of one registered model; it comes into being with the first write.

    A database server that is away is waited for, as by a sweep.
    """

    def __init__(self, ledger_url: str, model: str) -> None:
        """Open the database; `close` lets go.

        Args:
            ledger_url: Address of the ledger.
            model: Name of the registered model.

        Raises:
            LedgerError: The database cannot be reached.
        """
        self.model = model
        self._storage = open_storage(ledger_url)

    def close(self) -> None:
        """Drop the database connections."""
        close_storage(self._storage)

    def read(self) -> State:
        """The record as it is now."""
        text = self._text(_STATE)
        if text is None:
            return State()
        with readable():
            stored = json.loads(text)
            move = stored["move"]
            return State(
                text=text,
                revision=int(stored["revision"]),
                move=None if move is None else Move(**move),
                champion=stored["champion"],
                request=stored.get("request"),
            )

    def swap(self, seen: State, new: State) -> State | None:
        """Write the record if it still is what was seen.

        Args:
            seen: From `read`, or from here.
            new: What it shall be; its text and its revision are made here.

        Returns:
            The record as written, or None where another process was faster.
        """
        revision = seen.revision + 1
        value = {
            "revision": revision,
            "move": None if new.move is None else dataclasses.asdict(new.move),
            "champion": new.champion,
            "request": new.request,
        }

        def once() -> str | None:
            # A try may have written though its answer was lost; the text has the move's token.
            text = compare_and_swap(self._storage, self._made(), _STATE, seen.text, value)
            stored = self._text(_STATE) if text is None else text
            return stored if stored == json.dumps(value, sort_keys=True) else None

        text = patiently(once)
        return None if text is None else dataclasses.replace(new, text=text, revision=revision)

    def add_event(self, event: Mapping[str, Any], token: str | None = None) -> None:
        """Keep what happened to the model; nothing where an event of this token is there already.

        Args:
            event: Plain JSON values, the time under "at" among them.
            token: Token of the move; a new one for what moved nothing.
        """
        key = f"{_EVENT}{token or uuid4().hex}"
        patiently(lambda: compare_and_swap(self._storage, self._made(), key, None, event))

    def event_of(self, token: str) -> Mapping[str, Any] | None:
        """What became of a move; None if it has not ended."""
        text = self._text(_EVENT + token)
        return None if text is None else json.loads(text)

    def events(self) -> list[Mapping[str, Any]]:
        """The history, oldest first."""
        study = patiently(self._find)
        if study is None:
            return []
        with readable():
            attributes = patiently(lambda: self._storage.get_study_user_attrs(study))
            events = [event for key, event in attributes.items() if key.startswith(_EVENT)]
            return sorted(events, key=lambda event: str(event["at"]))

    def _text(self, key: str) -> str | None:
        def once() -> str | None:
            study = self._find()
            return None if study is None else read_attribute(self._storage, study, key)

        return patiently(once)

    def _find(self) -> int | None:
        try:
            return self._storage.get_study_id_from_name(PREFIX + self.model)
        except KeyError:
            return None

    def _made(self) -> int:
        if (found := self._find()) is not None:
            return found
        try:
            with quiet_optuna():
                return self._storage.create_new_study(
                    [StudyDirection.MAXIMIZE], PREFIX + self.model
                )
        except DuplicatedStudyError:  # another process was faster
            return self._storage.get_study_id_from_name(PREFIX + self.model)


def recorded_models(ledger_url: str) -> list[str]:
    """Names of the registered models that a ledger has a record of, oldest first.

    Raises:
        LedgerError: The database cannot be reached.
    """

    def named(storage: RDBStorage) -> list[str]:
        names = [study.study_name for study in storage.get_all_studies()]
        return [name.removeprefix(PREFIX) for name in names if name.startswith(PREFIX)]

    return study_names(ledger_url, named)
