"""Every registered model of a home: who is champion, who waits, and how it came to that."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from ptxcore.data.splits.fold_plan import FoldPlan
from ptxcore.errors import CoreError
from sweep.errors import SweepError, TrackingError
from sweep.ledger.evidence import Evidence
from sweep.ledger.model_record import recorded_models
from sweep.mlflow import registry
from sweep.mlflow.decision import approval_of
from sweep.mlflow.view import connect
from sweep.promotion.champions import registered_names
from sweep.promotion.holdout import holdout_digest, place_of
from sweep.promotion.model_card import PREFIX, trial_of
from sweep.promotion.move import record_of
from sweep.promotion.spending import count_uses
from sweep.storage.home import Home
from sweep.storage.sweep import Sweep
from sweep.util.sqlite import missing_file

#: Aliases in the order in which they are shown.
ALIASES = (registry.CHAMPION, registry.CHALLENGER, registry.PREVIOUS)


@dataclass(frozen=True, kw_only=True)
class RegisteredVersion:
    """A version of a registered model, as it says of itself.

    Attributes:
        number: Number of the version.
        aliases: It has now.
        sweep: It came from; None if it does not say.
        trial: Trial of the sweep.
        verdict: "passed", or "forced" and then `reasons` says what the gate had against it.
        reasons: See `verdict`.
        judged_against: Champion of that time; None if it does not say.
        holdout_dice: Mean Dice on the locked cases (both empty = 1), under the model's rule.
        holdout_dice_all_empty: What predicting nothing scores there.
        holdout_uses: Uses of these cases so far.
        holdout_use: Number of the use by its sweep that it was judged on; None if it does not say.
        approval: See `sweep.mlflow.decision.approval_of`.
        created: Milliseconds since 1970 in UTC.
        package_sha256: Digest of its files as they were registered; None if it does not say.
        verdict_sha256: Digest of the verdict that it was registered with, likewise.
    """

    number: str
    aliases: tuple[str, ...]
    sweep: str | None
    trial: int | None
    verdict: str
    reasons: tuple[str, ...]
    judged_against: str | None
    holdout_dice: float | None
    holdout_dice_all_empty: float | None
    holdout_uses: int
    approval: Mapping[str, Any] | None
    created: int
    holdout_use: int | None = None
    package_sha256: str | None = None
    verdict_sha256: str | None = None


@dataclass(frozen=True, kw_only=True)
class RegisteredModel:
    """A registered model.

    Attributes:
        name: In MLflow.
        champion: Version in force, None if there is none.
        challenger: Version that waits for a decision, likewise.
        previous: Version that was champion before, likewise.
        versions: All of them, newest first.
        history: Promotions, refusals, rollbacks, requests and decisions, oldest first.
        unfinished: What a promoter that was cut off left, which the next command ends; None if
            nothing.
        revision: Number of writes of the ledger's record, which a decision is made against.
        request: What is kept of the request for the challenger: by whom, when, and against which
            champion it was judged; None where nobody asked.
    """

    name: str
    champion: str | None
    challenger: str | None
    previous: str | None
    versions: tuple[RegisteredVersion, ...]
    history: tuple[Mapping[str, Any], ...]
    unfinished: Mapping[str, Any] | None
    revision: int = 0
    request: Mapping[str, Any] | None = None


def registered_models(home: Home) -> list[RegisteredModel]:
    """Every registered model of a home; nothing is changed.

    Args:
        home: Home with the addresses of ledger and MLflow.

    Raises:
        LedgerError: The ledger cannot be reached.
        TrackingError: MLflow cannot be reached.
    """
    names = dict.fromkeys(recorded_models(home.ledger_url))
    if missing_file(home.tracking_uri) is not None:
        return []
    with registry.reaching(home.tracking_uri, "nothing was listed"):
        client = connect(home.tracking_uri, home.artifacts)
        names |= dict.fromkeys(registered_names(client))
        uses = _Uses(home)
        return [_model(home, client, uses, name) for name in names]


def registered_model(home: Home, name: str) -> RegisteredModel:
    """One registered model, without versions if there is none of the name; nothing is changed.

    Args:
        home: Home with the addresses of ledger and MLflow.
        name: Name of the model.

    Raises:
        LedgerError: The ledger cannot be reached.
        TrackingError: MLflow cannot be reached.
    """
    if (file := missing_file(home.tracking_uri)) is not None:
        raise TrackingError(f"MLflow at {file} is not there")
    with registry.reaching(home.tracking_uri, "nothing was looked up"):
        client = connect(home.tracking_uri, home.artifacts)
        return _model(home, client, _Uses(home), name)


def models_of_ledger(home: Home) -> list[RegisteredModel]:
    """What the ledger alone knows of registered models, for when MLflow is away.

    Versions are left out, and aliases are those of the last moves that the ledger made.

    Args:
        home: Home with the address of the ledger.

    Raises:
        LedgerError: The ledger cannot be reached.
    """
    return [_recorded(home, name) for name in recorded_models(home.ledger_url)]


def _recorded(home: Home, name: str) -> RegisteredModel:
    with record_of(home, name) as record:
        state, history = record.read(), record.events()
    return RegisteredModel(
        name=name,
        champion=state.champion,
        challenger=None if state.request is None else str(state.request["version"]),
        previous=None,
        versions=(),
        history=tuple(history),
        unfinished=None if state.move is None else state.move.event,
        revision=state.revision,
        request=state.request,
    )


class _Uses:
    """Uses of hold-outs, by the record beside the store where it is here, else by the ledger."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._known: dict[str, int] = {}

    def of(self, sweep: str | None, digest: str | None) -> int:
        """Uses of the cases with a digest.

        Args:
            sweep: Name of a sweep that has them.
            digest: Its `holdout_digest`; None where it is not known.
        """
        if digest is None:
            return 0
        if digest not in self._known:
            self._known[digest] = self._count(sweep, digest)
        return self._known[digest]

    def _count(self, name: str | None, digest: str) -> int:
        try:
            with Sweep.open(self._home, str(name)) as sweep:
                plan = FoldPlan.load(sweep.folder / "plan.json")
                if holdout_digest(plan) == digest:
                    return count_uses(sweep, plan, place_of(sweep, None))
        except (SweepError, CoreError, OSError):
            pass  # a model from elsewhere, or a store that is gone
        evidence = Evidence(self._home.ledger_url, str(name))
        try:
            return len(evidence.ids_of_uses(digest))
        finally:
            evidence.close()


def _model(home: Home, client: MlflowClient, uses: _Uses, name: str) -> RegisteredModel:
    recorded = _recorded(home, name)
    known = registry.aliases(client, name)
    champion, challenger, previous = (known.get(alias) for alias in ALIASES)
    return dataclasses.replace(
        recorded,
        champion=champion,
        challenger=challenger,
        previous=previous,
        versions=tuple(
            _version(home, uses, version, known) for version in registry.versions(client, name)
        ),
    )


def _version(
    home: Home, uses: _Uses, version: ModelVersion, known: Mapping[str, str]
) -> RegisteredVersion:
    tags = {
        key.removeprefix(PREFIX): text
        for key, text in version.tags.items()
        if key.startswith(PREFIX)
    }
    number, trial = str(version.version), trial_of(version.tags)
    return RegisteredVersion(
        number=number,
        aliases=tuple(alias for alias in ALIASES if known.get(alias) == number),
        sweep=tags.get("sweep"),
        trial=None if trial is None else int(trial),
        verdict={"false": "passed", "true": "forced"}.get(tags.get("forced", ""), "unknown"),
        reasons=tuple(_list(tags.get("reasons"))),
        judged_against=tags.get("judged_against"),
        holdout_dice=_number(tags.get("holdout_dice")),
        holdout_dice_all_empty=_number(tags.get("holdout_dice_all_empty")),
        holdout_uses=uses.of(tags.get("sweep"), tags.get("holdout_digest")),
        approval=approval_of(home, version),
        created=int(version.creation_timestamp),
        holdout_use=int(tags["holdout_use"]) if "holdout_use" in tags else None,
        package_sha256=tags.get("package_sha256"),
        verdict_sha256=tags.get("verdict_sha256"),
    )


def _list(text: str | None) -> Sequence[str]:
    try:
        return [str(one) for one in json.loads(text or "[]")]
    except ValueError:  # cut off at the longest tag
        return [str(text)]


def _number(text: str | None) -> float | None:
    return None if text is None else float(text)
