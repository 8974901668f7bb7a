"""Go back to the champion before, and write down that it was done.

The ledger keeps it beside the verdicts of both champions' sweeps, MLflow with both versions.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mlflow import MlflowClient

from sweep.errors import UsageError
from sweep.ledger import list_sweeps
from sweep.ledger.header import SweepHeader
from sweep.ledger.model_record import ModelRecord
from sweep.mlflow import registry
from sweep.mlflow.registry import CHAMPION, PREVIOUS
from sweep.mlflow.view import connect, sweep_id
from sweep.promotion import champions
from sweep.promotion.model_card import PREFIX, one_line
from sweep.promotion.move import DONE, OUTCOME, Position, move, new_event, position, record_of
from sweep.storage.home import Home
from sweep.storage.sweep import Sweep

#: Tag of both versions; holds the last rollback as JSON.
TAG = f"{PREFIX}rollback"


@dataclass(frozen=True, kw_only=True)
class Rollback:
    """What a rollback did.

    Attributes:
        model_name: In the registry.
        version: That is champion again.
        rolled_back_version: That was, and is previous now.
        timestamp: ISO 8601 time in UTC.
        login: User name and machine of the command.
        reason: Why, if it was said.
        sweeps: Sweeps that keep it in their evidence; none for a named model from elsewhere.
    """

    model_name: str
    version: str
    rolled_back_version: str
    timestamp: str
    login: str
    reason: str | None
    sweeps: tuple[str, ...]


def rollback(
    home: Home, name: str | None, *, model_name: str | None = None, reason: str | None = None
) -> Rollback:
    """Make the previous champion champion again. Done twice, it undoes itself.

    Args:
        home: Home with the address of the MLflow that holds the model.
        name: Name of a sweep; its champion's name is the model's. None where `model_name` is given.
        model_name: Name in the registry, of any model; the sweep is then not asked for.
        reason: Why, for whoever asks later; one line without patient data.

    Raises:
        UsageError: There is no such sweep, or no previous champion with its files.
        ChampionMoved: Another process was faster.
        TrackingError: MLflow cannot be reached.
    """
    why = one_line(reason)
    if name is None and model_name is None:
        raise UsageError("rollback: expected the NAME of a sweep, or --model-name")
    header = None if model_name or name is None else _header(home, name)
    known = list_sweeps(home.ledger_url)  # an outage of the ledger comes before the alias moves
    with registry.reaching(home.tracking_uri, "nothing was rolled back"):
        client = connect(home.tracking_uri, home.artifacts)
        if header is not None:
            model_name = champions.held_name(client, str(name), header)
        assert model_name is not None
        record = _moved(home, client, registry.check_name(model_name), why)
    told = "the alias moved, and the same command again writes it down"
    with registry.reaching(home.tracking_uri, told):
        origins = _origins(client, record)
    sweeps = [sweep_name for sweep_name in known if _is_origin(home, sweep_name, origins)]
    if not sweeps and header is not None:
        sweeps = [str(name)]  # both versions come from elsewhere
    for sweep_name in sweeps:
        with Sweep.open(home, sweep_name) as sweep:
            if record not in sweep.evidence.rollbacks():
                sweep.evidence.add_rollback(record)
    with registry.reaching(home.tracking_uri, told):
        for number in (record["from"], record["to"]):  # last, so that it tells what was cut off
            client.set_model_version_tag(record["model"], number, TAG, json.dumps(record))
    return Rollback(
        model_name=model_name,
        version=record["to"],
        rolled_back_version=record["from"],
        timestamp=record["at"],
        login=record["by"],
        reason=why,
        sweeps=tuple(sweeps),
    )


def _moved(home: Home, client: MlflowClient, model: str, why: str | None) -> dict[str, Any]:
    """The aliases changed places; what is kept of it."""
    with record_of(home, model) as record:
        seen = position(client, record)
        if (unfinished := _cut_off(client, record, seen)) is not None:
            return unfinished
        now, before = seen.champion, seen.aliases.get(PREVIOUS)
        if now is None or before is None or now == before:
            found = "no champion" if now is None else f"version {now} as champion"
            also = "none" if before is None else f"version {before}"
            raise UsageError(
                f"model {model!r} has no previous champion to go back to: found {found}, and "
                f"{also} as the one before"
            )
        if not registry.is_intact(client, client.get_model_version(model, before)):
            raise UsageError(
                f"model {model!r}: the files of version {before}, the one before, are gone, or "
                f"others than were registered; expected them as they were, and version {now} stays"
            )
        event = new_event("rollback", version=before, before=now, reason=why)
        move(client, record, seen, {CHAMPION: before, PREVIOUS: now}, event)
    return _kept(model, event)


def _kept(model: str, event: Mapping[str, Any]) -> dict[str, Any]:
    at = datetime.fromisoformat(event["at"]).isoformat(timespec="seconds")
    places = {"from": event["before"], "to": event["version"]}
    return {"model": model, **places, "at": at, "by": event["by"], "reason": event["reason"]}


def _cut_off(client: MlflowClient, record: ModelRecord, seen: Position) -> dict[str, Any] | None:
    """The last rollback, if it stands and its command did not come to its end; None if it did.

    Whoever repeats that command wants it finished, and not undone.
    """
    moves = [one for one in record.events() if one.get(OUTCOME) == DONE]
    if not moves or moves[-1]["kind"] != "rollback":
        return None
    last = _kept(record.model, moves[-1])
    if (last["to"], last["from"]) != (seen.champion, seen.aliases.get(PREVIOUS)):
        return None
    tags = [client.get_model_version(record.model, last[end]).tags for end in ("from", "to")]
    return None if all(one.get(TAG) == json.dumps(last) for one in tags) else last


def _origins(client: MlflowClient, record: Mapping[str, Any]) -> set[tuple[str, str]]:
    """Name and id of the sweeps that both versions come from."""
    origins = set()
    for number in (record["from"], record["to"]):
        tags = client.get_model_version(record["model"], number).tags
        origins.add((tags.get(f"{PREFIX}sweep", ""), tags.get(f"{PREFIX}sweep_id", "")))
    return origins


def _is_origin(home: Home, name: str, origins: Collection[tuple[str, str]]) -> bool:
    """Whether a version comes from this sweep, not from another home's of the same name."""
    if name not in {sweep for sweep, _ in origins}:
        return False
    return (name, sweep_id(name, _header(home, name))) in origins


def _header(home: Home, name: str) -> SweepHeader:
    with Sweep.open(home, name) as sweep:
        return sweep.header
