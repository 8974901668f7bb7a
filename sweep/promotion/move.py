"""Move a registered model's aliases so that one of several promoters wins and a crash does no harm.

Within one ledger its record decides, see `sweep.ledger.model_record`: a move is claimed by
compare-and-swap against the record as it was before the gate was asked. It is written down whole
before the first alias moves, the champion's last, and each step may be done twice; so a move that
was cut off is finished by whoever comes next, or undone where the champion has changed since.

Promoters of different ledgers share no record, and MLflow has nothing to swap. They mark the model
before they look at the alias a last time, and look at alias and mark once more after it moved: the
later mark stands, and the promoter of the earlier one puts its champion in force, is told, and is
judged again. What this does not give: for that moment the earlier one may be in force, and either
one may be asked to beat the other.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from sweep.errors import ChampionMoved
from sweep.ledger.model_record import ModelRecord, Move, State
from sweep.mlflow.registry import CHALLENGER, CHAMPION, aliases, set_alias
from sweep.storage.home import Home
from sweep.util.provenance import login

#: Tag of the registered model: the last promoter's token and version.
MARK = "ptxsweep.promotion"
#: How a move ended, in its event.
OUTCOME, DONE, UNDONE = "outcome", "done", "undone"


@dataclass(frozen=True, kw_only=True)
class Position:
    """A registered model at one moment, without a move under way.

    Attributes:
        state: The ledger's record.
        aliases: Version of each alias in MLflow.
    """

    state: State
    aliases: Mapping[str, str]

    @property
    def champion(self) -> str | None:
        """Version of the champion, None if there is none."""
        return self.aliases.get(CHAMPION)


@contextmanager
def record_of(home: Home, model: str) -> Iterator[ModelRecord]:
    """The ledger's record of a registered model, closed at the end.

    Args:
        home: Home with the address of the ledger.
        model: Name of the registered model.

    Raises:
        LedgerError: The ledger cannot be reached.
    """
    record = ModelRecord(home.ledger_url, model)
    try:
        yield record
    finally:
        record.close()


def new_event(kind: str, **more: Any) -> dict[str, Any]:
    """What the history says of something that happens now, and of who does it.

    Args:
        kind: A noun, as in "promotion".
        **more: Plain JSON values.
    """
    at = datetime.now(UTC).isoformat(timespec="microseconds")
    return {"kind": kind, "at": at, "by": login(), **more}


def happened(event: Mapping[str, Any]) -> Iterator[str]:
    """An event of the history in words, part by part.

    Args:
        event: From `new_event`, or from the ledger's record.
    """
    yield f"{str(event['at'])[:19]} {event['kind']}"
    if event.get("outcome") == "undone":
        yield "undone, because others were faster"
    if event.get("version") is not None:
        yield f"version {event['version']}"
    if event.get("sweep") is not None:
        yield f"{event['sweep']} trial {event['trial']}"
    if event.get("before") is not None:
        yield f"champion was version {event['before']}"
    if event.get("forced"):
        yield "against the gate"
    by = f"by {event.get('signed_by') or event['by']}"
    yield f"{by} ({event['reviewer']})" if event.get("reviewer") else by
    for reason in [event.get("reason"), *event.get("reasons", [])]:
        if reason:
            yield str(reason)


def position(client: MlflowClient, record: ModelRecord) -> Position:
    """Where a model stands, after a move that was cut off is finished or undone.

    Args:
        client: Client of the registry.
        record: The ledger's record of the model.
    """
    state = record.read()
    while state.move is not None:
        _end(client, record, state)
        state = record.read()
    return Position(state=state, aliases=aliases(client, record.model))


def move(
    client: MlflowClient,
    record: ModelRecord,
    seen: Position,
    after: Mapping[str, str | None],
    event: Mapping[str, Any],
    *,
    request: Mapping[str, Any] | None = None,
    tags: Mapping[str, str] | None = None,
) -> None:
    """Move aliases, all of them or none.

    Args:
        client: Client of the registry.
        record: The ledger's record of the model.
        seen: Where the model stood when the move was decided.
        after: Version of each alias that changes, None for one that goes.
        event: What the history says of it.
        request: What waits for a person's decision from here on, where the challenger changes.
        tags: Tags that the event's version gets if the move is claimed, and then surely.

    Raises:
        ChampionMoved: Another process was faster; no alias moved, or those that did are back.
    """
    token = uuid4().hex
    begun = Move(
        token=token,
        expected=seen.champion,
        before={alias: seen.aliases.get(alias) for alias in after},
        after=after,
        event=event,
        tags=tags or {},
    )
    waiting = request if CHALLENGER in after else seen.state.request
    claim = dataclasses.replace(seen.state, move=begun, request=waiting)
    claimed = record.swap(seen.state, claim)
    if claimed is None:
        raise ChampionMoved(_overtaken(record.model))
    _end(client, record, claimed)
    ended = record.event_of(token)
    if ended is None or ended[OUTCOME] != DONE:
        raise ChampionMoved(_overtaken(record.model))


def _end(client: MlflowClient, record: ModelRecord, claimed: State) -> None:
    """Finish a claimed move, or undo it; another process may be doing the same."""
    begun, model = claimed.move, record.model
    assert begun is not None, "only a claimed move can end"
    done = _apply(client, model, begun)
    if not done and aliases(client, model).get(CHAMPION) == begun.expected:
        for alias, version in begun.before.items():  # else who moved it has set the others too
            set_alias(client, model, alias, version)
    record.add_event({**begun.event, OUTCOME: DONE if done else UNDONE}, begun.token)
    made = begun.after.get(CHAMPION) if done else None
    ended = dataclasses.replace(claimed, move=None, champion=made or claimed.champion)
    if record.swap(claimed, ended) is None:
        # Another process ended it too, and others may have followed: what we wrote may be late.
        now = record.read()
        if now.move is None and now.champion is not None and now.revision > claimed.revision + 1:
            set_alias(client, model, CHAMPION, now.champion)


def _apply(client: MlflowClient, model: str, begun: Move) -> bool:
    """Set the aliases, the champion's last; whether they stand."""
    target = begun.after.get(CHAMPION, begun.expected)
    if not all(_exists(client, model, version) for version in begun.after.values()):
        return False
    mark = json.dumps({"token": begun.token, "version": target})
    moves_champion = CHAMPION in begun.after
    if moves_champion:
        client.set_registered_model_tag(model, MARK, mark)
    if aliases(client, model).get(CHAMPION) not in (begun.expected, target):
        return False
    for key, value in begun.tags.items():
        client.set_model_version_tag(model, str(begun.event["version"]), key, value)
    for alias in sorted(begun.after, key=lambda name: name == CHAMPION):
        set_alias(client, model, alias, begun.after[alias])
    if not moves_champion:
        return True
    found = client.get_registered_model(model)
    standing = found.tags.get(MARK)
    if standing is not None and standing != mark:  # a promoter of another ledger came later
        set_alias(client, model, CHAMPION, json.loads(standing)["version"])
        return False
    return str(found.aliases.get(CHAMPION)) == target


def _exists(client: MlflowClient, model: str, version: str | None) -> bool:
    if version is None:
        return True
    try:
        client.get_model_version(model, version)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return False
    return True


def _overtaken(model: str) -> str:
    return (
        f"model {model!r}: its champion or its challenger changed in this moment; look with "
        "`ptxsweep registry`, then try again"
    )
