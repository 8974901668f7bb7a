"""What a person decided about a registered model, and whether that can be trusted.

A decision is a tag of the version. In a home with a file `approvers` it counts if one of those keys
signed it: model, version, digest of the files, digest of the verdict, decision, reason and time.
Write access to MLflow is then not enough to make a model approved, nor to exchange its files.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sweep.storage.home import Home
from sweep.util.signatures import Approver, read_approvers, signer_of

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

    from sweep.mlflow.local import LocalVersion

DECISION_TAG, VERDICT_TAG = "ptxsweep.decision", "ptxsweep.verdict_sha256"
_DIGEST_TAG = "ptxsweep.package_sha256"
APPROVED, REJECTED = "approved", "rejected"
#: Key of a model's facts: what `approval_of` says.
APPROVAL = "approval"


def approvers_of(home: Home) -> tuple[Approver, ...]:
    """Those who may approve; none in a home that does not ask for it.

    Raises:
        UsageError: The file holds something else.
    """
    return read_approvers(home.approvers)


def subject(version: ModelVersion | LocalVersion) -> dict[str, Any]:
    """What a decision is about: the part of it that the registry knows."""
    return {
        "format": 1,
        "model": str(version.name),
        "version": str(version.version),
        "package_sha256": version.tags.get(_DIGEST_TAG),
        "verdict_sha256": version.tags.get(VERDICT_TAG),
    }


def approval_of(home: Home, version: ModelVersion | LocalVersion | None) -> dict[str, Any] | None:
    """Whether a model is approved; None in a home that does not ask for it.

    Plain JSON values: "approved"; "by", whose signature it is, and "at", when by the signer's
    clock (ISO 8601 in UTC), both None if it is not approved; "problem", what is the matter, None
    if it is.

    Args:
        home: Home with the keys.
        version: Version of the model; None for one that no registry knows.

    Raises:
        UsageError: The home's keys cannot be read.
    """
    approvers = approvers_of(home)
    if not approvers:
        return None
    if version is None:
        return _no("it comes from no registry, so no approval of it can be looked up")
    what = f"{version.name} version {version.version}"
    if DECISION_TAG not in version.tags:
        return _no(f"nobody approved {what} (`ptxsweep approve {version.name}` does)")
    try:
        statement = json.loads(version.tags[DECISION_TAG])
        signature = statement.pop("signature")
        known = {key: statement[key] for key in subject(version)}
    except (ValueError, KeyError, TypeError, AttributeError):
        return _no(f"the approval of {what} is not signed")
    signer = signer_of(statement, signature, approvers)
    if signer is None:
        return _no(f"the approval of {what} is signed by none of the keys in {home.approvers.name}")
    if known != subject(version):
        return _no(f"the signature on {what} is that of another model, other files or verdict")
    if statement.get("decision") != APPROVED:
        return _no(f"{signer.name} rejected {what}: {statement.get('reason')}")
    return {"approved": True, "by": signer.name, "at": str(statement.get("at")), "problem": None}


def _no(problem: str) -> dict[str, Any]:
    said = f"this home asks for an approved model: {problem}"
    return {"approved": False, "by": None, "at": None, "problem": said}
