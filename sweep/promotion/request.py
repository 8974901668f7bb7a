"""Ask somebody else to decide: who asked, about which version, judged against which champion."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from sweep.errors import UsageError
from sweep.mlflow.decision import approvers_of
from sweep.promotion.gate import Verdict
from sweep.promotion.move import Position
from sweep.storage.home import Home
from sweep.util.provenance import login
from sweep.util.signatures import fingerprint_of, load_key

#: Tag of a version that was asked for; JSON.
REQUEST_TAG = "ptxsweep.request"


def verdict_digest(said: Verdict, against: str | None) -> str:
    """SHA-256 of what the gate said, and of why it was overruled.

    Args:
        said: Verdict of the gate.
        against: Why the winner is promoted all the same; None where it is not.
    """
    checks = [dataclasses.asdict(check) for check in said.checks]
    text = json.dumps([checks, said.gate, list(said.eased), against], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def requester_of(home: Home, *, request: bool, key: Path | None) -> dict[str, Any] | None:
    """Who asks for a decision; None where nobody is asked.

    Args:
        home: Home of the sweep; where it has approvers, a winner can only be asked for.
        request: Whether a decision is asked for.
        key: File of the requester's private key.

    Raises:
        UsageError: The home asks for a request, or the key cannot be read.
    """
    approvers = approvers_of(home)
    if not request:
        if approvers:
            raise UsageError(
                f"promote: this home asks for somebody's approval (it has a file "
                f"{home.approvers.name}), expected --request; `ptxsweep approve` then moves the "
                "alias"
            )
        if key is not None:
            raise UsageError("--key: found without --request, expected beside it")
        return None
    fingerprint = None if key is None else fingerprint_of(load_key(key).public_key())
    names = [one.name for one in approvers if one.fingerprint == fingerprint]
    return {"by": login(), "key": fingerprint, "name": names[0] if names else None}


def refuse_waiting(version: ModelVersion) -> NoReturn:
    """Refuse a request while another one waits.

    Args:
        version: The challenger.
    """
    raise UsageError(
        f"promote: found {version.name} version {version.version} waiting for a decision, expected "
        "one challenger at a time; `ptxsweep approve` or `ptxsweep reject` it first"
    )


def keep_request(
    client: MlflowClient, model: str, version: str, seen: Position, requester: dict[str, Any]
) -> dict[str, Any]:
    """Write on a version who asks for it, and what the champion was.

    Args:
        client: Client of the registry.
        model: Name of the registered model.
        version: Version of the model.
        seen: Where the model stood when the gate was asked.
        requester: From `requester_of`.

    Returns:
        The same for the ledger's record.
    """
    tags = client.get_model_version(model, version).tags
    asked = {
        **requester,
        "version": version,
        "against": seen.champion,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "verdict_sha256": tags.get("ptxsweep.verdict_sha256"),
    }
    client.set_model_version_tag(model, version, REQUEST_TAG, json.dumps(asked))
    return asked


def request_of(version: ModelVersion, seen: Position) -> dict[str, Any]:
    """Who asked for a challenger: by the ledger's record, else by the version's tag.

    Args:
        version: The challenger.
        seen: Where the model stands.

    Raises:
        UsageError: Nobody did.
    """
    kept = seen.state.request
    if kept is not None and kept["version"] == str(version.version):
        return dict(kept)
    try:
        return dict(json.loads(version.tags[REQUEST_TAG]))
    except (KeyError, ValueError, TypeError):
        raise UsageError(
            f"{version.name} version {version.version} is challenger, but nobody asked for it; "
            "expected one of `ptxsweep promote --request`"
        ) from None
