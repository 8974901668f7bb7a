"""Every registered model of a home: who is champion, who waits, and how it came to that."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from ptxcore.data.splits.fold_plan import FoldPlan
from ptxcore.errors import CoreError
from sweep.errors import SweepError
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
        approval: See `sweep.mlflow.decision.approval_of`.
        created: Milliseconds since 1970 in UTC.
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
    """

    name: str
    champion: str | None
    challenger: str | None
    previous: str | None
    versions: tuple[RegisteredVersion, ...]
    history: tuple[Mapping[str, Any], ...]
    unfinished: Mapping[str, Any] | None


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
    with record_of(home, name) as record:
        state, history = record.read(), record.events()
    known = registry.aliases(client, name)
    champion, challenger, previous = (known.get(alias) for alias in ALIASES)
    return RegisteredModel(
        name=name,
        champion=champion,
        challenger=challenger,
        previous=previous,
        versions=tuple(
            _version(home, uses, version, known) for version in registry.versions(client, name)
        ),
        history=tuple(history),
        unfinished=None if state.move is None else state.move.event,
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
    )


def _list(text: str | None) -> Sequence[str]:
    try:
        return [str(one) for one in json.loads(text or "[]")]
    except ValueError:  # cut off at the longest tag
        return [str(text)]


def _number(text: str | None) -> float | None:
    return None if text is None else float(text)


def happened(event: Mapping[str, Any]) -> Iterator[str]:
    """An event of the history in words, part by part.

    Args:
        event: From `RegisteredModel.history`.
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
    yield f"by {event.get('signed_by') or event['by']}"
    for reason in [event.get("reason"), *event.get("reasons", [])]:
        if reason:
            yield str(reason)
