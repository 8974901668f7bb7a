"""What is fixed when a sweep is created: the facts that its ledger keeps for good."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sweep.errors import LedgerError
from sweep.util.provenance import git_sha, installed_packages, pixel_versions

#: Without these there is no sweep.
_REQUIRED: dict[str, type] = {"metric": str, "maximize": bool, "num_folds": int, "seed": int}
#: What later versions came to note; whatever is stored under such a name as another kind of value
#: is kept as it is, among `extra`.
_NOTED: dict[str, type] = {
    **dict.fromkeys(("space_text", "space_digest", "store", "data_hash"), str),
    **{"num_cases": int, "cohort": dict, "phantom": bool},
    **dict.fromkeys(("plan_digest", "search_plan_digest"), str),
    **{"runtime": dict, "version": str, "git_sha": str, "versions": dict, "environment": list},
    **dict.fromkeys(("created_at", "confirms"), str),
    **{"sweep_id": str, "former_names": list},
}


@dataclass(frozen=True, kw_only=True)
class SweepHeader:
    """The facts of one sweep; None where the version that began it did not note them.

    Attributes:
        metric: Objective.
        maximize: Whether it is better when higher.
        num_folds: Folds of the plan, at least 1.
        seed: Seed of the sweep.
        space_text: Search space as YAML, overrides included.
        space_digest: SHA-256 of it.
        store: Where the case store was when the sweep began.
        data_hash: SHA-256 of its cases.
        num_cases: Cases that take part; of older sweeps, all cases of the store.
        cohort: Which cases take part, see `sweep.analysis.cohort.take_part`.
        phantom: Whether the cases are drawn.
        plan_digest: SHA-256 of the fold plan, hold-out included.
        search_plan_digest: SHA-256 of the part that the search sees.
        runtime: Device, precision and layout as `ptxcore.types.Runtime` has them.
        version: Version of ptxsweep that began it.
        git_sha: Commit of that code.
        versions: Versions of what changes pixels or scores, by package.
        environment: Every package that was installed, as `name==version`.
        created_at: When, in ISO 8601.
        confirms: Name of the sweep of which this one trains the best trials on fresh folds; None of
            a search.
        sweep_id: Id by which MLflow knows a sweep that was renamed, see `sweep.mlflow.view`; None
            of others, where it follows from name and header.
        former_names: Names that it had before, the first one first.
        extra: What else is stored, under its own key.
    """

    metric: str
    maximize: bool
    num_folds: int
    seed: int
    space_text: str | None = None
    space_digest: str | None = None
    store: str | None = None
    data_hash: str | None = None
    num_cases: int | None = None
    cohort: Mapping[str, Any] | None = None
    phantom: bool | None = None
    plan_digest: str | None = None
    search_plan_digest: str | None = None
    runtime: Mapping[str, Any] | None = None
    version: str | None = None
    git_sha: str | None = None
    versions: Mapping[str, str] | None = None
    environment: Sequence[str] | None = None
    created_at: str | None = None
    confirms: str | None = None
    sweep_id: str | None = None
    former_names: Sequence[str] | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_stored(cls, stored: Mapping[str, Any]) -> SweepHeader:
        """A header as a ledger holds it; `to_stored` gives the same mapping again.

        Raises:
            LedgerError: A fact without which there is no sweep is missing, or of a wrong kind.
        """
        for key, kind in _REQUIRED.items():
            if not isinstance(stored.get(key), kind):
                raise LedgerError(
                    f"the ledger's header: {key}: found {stored.get(key)!r}, "
                    f"expected {kind.__name__}"
                )
        if stored["num_folds"] < 1:
            raise LedgerError(
                f"the ledger's header: num_folds: found {stored['num_folds']}, expected at least 1"
            )
        kinds = {**_REQUIRED, **_NOTED}
        known = {key: stored[key] for key in kinds if isinstance(stored.get(key), kinds[key])}
        extra = {key: value for key, value in stored.items() if key not in known}
        return cls(**known, extra=extra)

    def to_stored(self) -> dict[str, Any]:
        """Plain JSON values by name, without what is not known; what a sweep's id is made of."""
        values = {key: getattr(self, key) for key in (*_REQUIRED, *_NOTED)}
        known = {key: value for key, value in values.items() if value is not None}
        return {**self.extra, **known}

    @property
    def is_phantom(self) -> bool:
        """Whether the cases are drawn, so that no score says anything about patients."""
        return bool(self.phantom)


def build_header(
    *,
    space_text: str,
    space_digest: str,
    metric: str,
    maximize: bool,
    num_folds: int,
    seed: int,
    store: str,
    data_hash: str,
    cohort: Mapping[str, Any],
    phantom: bool,
    plan_digest: str,
    search_plan_digest: str,
    runtime: Mapping[str, Any],
    confirms: str | None = None,
) -> SweepHeader:
    """The header of a sweep that begins now, with the code and the packages that run here.

    The arguments are fields of `SweepHeader`.
    """
    return SweepHeader(
        space_text=space_text,
        space_digest=space_digest,
        metric=metric,
        maximize=maximize,
        num_folds=num_folds,
        seed=seed,
        store=store,
        data_hash=data_hash,
        num_cases=cohort["num_cases"],
        cohort=dict(cohort),
        phantom=phantom,
        plan_digest=plan_digest,
        search_plan_digest=search_plan_digest,
        runtime=dict(runtime),
        version=importlib.metadata.version("ptxsweep"),
        git_sha=git_sha(),
        versions=pixel_versions(),
        environment=installed_packages(),
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        confirms=confirms,
    )
