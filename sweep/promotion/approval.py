"""A second person's decision about a challenger: approved, or rejected with a reason.

An approval holds for the verdict as it was given, so it is refused where the champion has changed
since. Nobody approves what they asked for themselves. Whoever cannot decide yet asks for more, and
the next one to look sees it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from sweep.errors import ChampionMoved, GateRefused, UsageError
from sweep.ledger.evidence import Evidence
from sweep.ledger.model_record import ModelRecord
from sweep.mlflow import registry
from sweep.mlflow.decision import (
    APPROVED,
    DECISION_TAG,
    REJECTED,
    VERDICT_TAG,
    approvers_of,
    subject,
)
from sweep.mlflow.registry import CHALLENGER, CHAMPION, PREVIOUS
from sweep.mlflow.view import connect
from sweep.promotion.model_card import one_line
from sweep.promotion.move import Position, happened, move, new_event, position, record_of
from sweep.promotion.request import request_of
from sweep.storage.home import Home
from sweep.util.signatures import fingerprint_of, load_key, sign


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What somebody decided.

    Attributes:
        model_name: In the registry.
        version: Version of the challenger.
        decision: "approved" or "rejected".
        reason: Why, if it was said.
        timestamp: ISO 8601 time in UTC.
        by: The name of the key in the home's approvers, else user name and machine.
        signed: Whether a key of the home's approvers signed it.
        previous_version: The champion before, which a rejected one leaves in force; None if there
            was none.
    """

    model_name: str
    version: str
    decision: str
    reason: str | None
    timestamp: str
    by: str
    signed: bool
    previous_version: str | None


def approve(
    home: Home,
    model: str,
    *,
    key: Path | None = None,
    reason: str | None = None,
    reviewer: str | None = None,
    revision: int | None = None,
) -> Decision:
    """Make the challenger champion.

    Args:
        home: Home with the addresses of ledger and MLflow.
        model: Name of the registered model.
        key: File of a private key; needed in a home that has approvers.
        reason: Why, for those who read it later; one line without patient data.
        reviewer: Name that the person gave, kept beside the one of key or login.
        revision: Revision of the record that was looked at; a later one is refused.

    Raises:
        UsageError: There is no challenger, it was asked for by the same person, or the key is
            none of the home's.
        GateRefused: It was judged against another champion than the present one.
        CheckpointError: The challenger's files are gone, or others than were registered.
        ChampionMoved: Another process was faster.
        TrackingError: MLflow cannot be reached.
    """
    return _decide(home, model, APPROVED, key, one_line(reason), reviewer, revision)


def reject(
    home: Home,
    model: str,
    *,
    reason: str,
    key: Path | None = None,
    reviewer: str | None = None,
    revision: int | None = None,
) -> Decision:
    """Turn the challenger down; the champion stays.

    Args:
        home: Home with the addresses of ledger and MLflow.
        model: Name of the registered model.
        reason: Why; one line without patient data.
        key: As of `approve`.
        reviewer: Likewise.
        revision: Likewise.

    Raises:
        UsageError: There is no challenger, no reason, or the key is none of the home's.
        ChampionMoved: Another process was faster.
        TrackingError: MLflow cannot be reached.
    """
    why = one_line(reason)
    if why is None:
        raise UsageError("reject: found no reason, expected --reason and why it is turned down")
    return _decide(home, model, REJECTED, key, why, reviewer, revision)


def ask_for_more(
    home: Home, model: str, *, sweep: str, reason: str, reviewer: str, key: Path | None = None
) -> dict[str, Any]:
    """Keep in the evidence of a sweep what is missing for a decision; nothing else changes.

    Args:
        home: Home with the address of the ledger.
        model: Name of the registered model.
        sweep: Name of the challenger's sweep.
        reason: What is missing; one line without patient data.
        reviewer: As of `approve`.
        key: Likewise.

    Returns:
        What is kept: "at", "by", "reviewer", "model", "reason".

    Raises:
        UsageError: There is no reason, or the key is none of the home's.
        LedgerError: The ledger cannot be reached.
    """
    why = one_line(reason)
    if why is None:
        raise UsageError("ask for more: found no reason, expected what is missing")
    signer, event = _signer(home, key), new_event("question")
    asked = {
        "at": event["at"],
        "by": signer["name"] or event["by"],
        "reviewer": one_line(reviewer),
        "model": model,
        "reason": why,
    }
    evidence = Evidence(home.ledger_url, sweep)
    try:
        evidence.add_question(asked)
    finally:
        evidence.close()
    return asked


def _decide(
    home: Home,
    model: str,
    decision: str,
    key: Path | None,
    why: str | None,
    reviewer: str | None,
    revision: int | None,
) -> Decision:
    signer, name = _signer(home, key), one_line(reviewer)
    with (
        registry.reaching(home.tracking_uri, "nothing was decided"),
        record_of(home, registry.check_name(model)) as record,
    ):
        client = connect(home.tracking_uri, home.artifacts)
        seen = position(client, record)
        if revision is not None and revision != seen.state.revision:
            raise ChampionMoved(_changed(record, seen))
        version = _challenger(client, record, seen)
        asked = request_of(version, seen)
        if decision == APPROVED:
            _refuse_own(asked, signer)
            _refuse_stale(asked, version, seen)
            registry.require_intact(client, version)
        event = new_event(
            "approval" if decision == APPROVED else "rejection",
            version=str(version.version),
            before=seen.champion,
            reason=why,
            signed_by=signer["name"],
            **({} if name is None else {"reviewer": name}),
        )
        statement = {
            **subject(version),
            "decision": decision,
            "reason": why,
            "at": event["at"],
            "by": signer["name"] or event["by"],
            **({} if name is None else {"reviewer": name}),
        }
        if signer["key"] is not None:
            statement["signature"] = sign(signer["key"], statement)
        after: dict[str, str | None] = {CHALLENGER: None}
        if decision == APPROVED:
            after[CHAMPION] = str(version.version)
            if seen.champion is not None:
                after[PREVIOUS] = seen.champion
        # Written by whoever wins: a version never bears the decision of somebody who came too late.
        move(client, record, seen, after, event, tags={DECISION_TAG: json.dumps(statement)})
    return Decision(
        model_name=model,
        version=str(version.version),
        decision=decision,
        reason=why,
        timestamp=event["at"],
        by=statement["by"],
        signed=signer["name"] is not None,
        previous_version=seen.champion,
    )


def _signer(home: Home, key: Path | None) -> dict[str, Any]:
    """Who decides: login, name among the home's approvers, private key and its fingerprint."""
    approvers = approvers_of(home)
    private = None if key is None else load_key(key)
    fingerprint = None if private is None else fingerprint_of(private.public_key())
    names = [one.name for one in approvers if one.fingerprint == fingerprint]
    if approvers and not names:
        raise UsageError(
            f"--key: found {fingerprint or 'none'}, expected one of the {len(approvers)} key(s) in "
            f"{home.approvers}"
        )
    name = names[0] if names else None
    return {"by": new_event("decision")["by"], "name": name, "key": private, "mark": fingerprint}


def _changed(record: ModelRecord, seen: Position) -> str:
    """What became of a model since somebody looked at it."""
    last = next((one for one in reversed(record.events()) if one["kind"] != "refusal"), None)
    what = "it changed" if last is None else "; ".join(happened(last))
    return (
        f"since model {record.model!r} was looked at: {what}. There is now "
        f"{_named(seen.champion)}; nothing was decided, look again"
    )


def _challenger(client: MlflowClient, record: ModelRecord, seen: Position) -> ModelVersion:
    number = seen.aliases.get(CHALLENGER)
    if number is None:
        found = f"version {seen.champion} as champion" if seen.champion else "no champion either"
        raise UsageError(
            f"model {record.model!r} has no challenger that waits for a decision: found {found}; "
            "`ptxsweep promote NAME --request` asks for one"
        )
    return client.get_model_version(record.model, number)


def _refuse_own(asked: Mapping[str, Any], signer: Mapping[str, Any]) -> None:
    """Nobody approves what they asked for: by their keys if both used one, else by their logins."""
    if asked["key"] is not None and signer["mark"] is not None:
        is_own = asked["key"] == signer["mark"] or (
            asked["name"] is not None and asked["name"] == signer["name"]
        )
    else:
        # The same user on two machines is taken for one person, and a key named like the user.
        asker = {_user(asked["by"]), asked["name"]} - {None}
        is_own = bool(asker & {_user(signer["by"]), signer["name"]})
    if is_own:
        raise UsageError(
            f"approve: found the requester ({asked['name'] or asked['by']}), expected somebody "
            "else; people who share a login give --key with `promote --request` too"
        )


def _user(login: str) -> str:
    return login.partition("@")[0]


def _refuse_stale(asked: Mapping[str, Any], version: ModelVersion, seen: Position) -> None:
    """An approval is of a verdict, and that was given against one champion."""
    again = "; `ptxsweep promote --request` judges it again"
    if asked["against"] != seen.champion:
        raise GateRefused(
            (
                f"the verdict on version {version.version} was given against "
                f"{_named(asked['against'])}, and now there is {_named(seen.champion)}{again}",
            )
        )
    if version.tags.get(VERDICT_TAG) != asked["verdict_sha256"]:
        raise GateRefused(
            (f"the verdict on version {version.version} is not the one that was asked with{again}",)
        )


def _named(champion: str | None) -> str:
    return "no champion" if champion is None else f"champion version {champion}"
