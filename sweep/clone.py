"""A new sweep like another one: its search space, its cases, its folds, its seed, and no result."""

from __future__ import annotations

import dataclasses
import importlib.metadata
from dataclasses import dataclass
from datetime import UTC, datetime

from ptxcore.data.splits.fold_plan import FoldPlan
from sweep.errors import UsageError
from sweep.ledger import SweepHeader
from sweep.space import SearchSpace, parse_space
from sweep.space.overrides import Overrides, overridden
from sweep.storage.beginning import begin, claim
from sweep.storage.home import Home
from sweep.storage.renaming import check_new_name
from sweep.storage.sweep import Sweep
from sweep.util.provenance import git_sha, installed_packages, pixel_versions


@dataclass(frozen=True, kw_only=True)
class Cloned:
    """A sweep that has not begun.

    Attributes:
        name: Its name.
        source: Name of the sweep that it is like.
        changed: Settings and counts that differ.
        num_trials: Configurations to try.
        num_folds: Folds of a complete trial, the same ones.
        plan_digest: SHA-256 of the fold plan of both.
    """

    name: str
    source: str
    changed: dict[str, object]
    num_trials: int
    num_folds: int
    plan_digest: str


def clone(home: Home, name: str, new: str, overrides: Overrides | None = None) -> Cloned:
    """Lay out a sweep like another one, which may be running; `resume` begins it.

    Scores of both can be compared fold by fold. They share their hold-out, and each use of it
    counts for both.

    Args:
        home: Where both live.
        name: Name of the sweep.
        new: Name of the new one.
        overrides: Changes to the search space; folds stay.

    Raises:
        UsageError: There is no such sweep, it is a confirmation, the ledger does not hold its
            search space, or the name cannot be.
        NameTaken: A sweep of the new name exists.
        SpaceError: An override is invalid.
        StorageError: Object storage cannot be used.
    """
    check_new_name(new)
    overrides = overrides or Overrides()
    claim(home, new)
    with Sweep.open(home, name) as sweep:
        header = sweep.header
        if header.confirms is not None:
            raise UsageError(
                f"{name!r} is the confirmation of {header.confirms!r}, expected a search; fresh "
                "folds are fresh once"
            )
        sweep.files.bring_plan()
        plan = FoldPlan.load(sweep.folder / "plan.json")
        space = _space(sweep, overrides)
    begin(home, new, plan, space.text, _header(header, space)).close()
    given = {"num_trials": overrides.num_trials, "num_completions": overrides.num_completions}
    return Cloned(
        name=new,
        source=name,
        changed={**overrides.fixed, **{k: v for k, v in given.items() if v is not None}},
        num_trials=space.policy.num_trials,
        num_folds=plan.num_folds,
        plan_digest=plan.digest,
    )


def _space(sweep: Sweep, overrides: Overrides) -> SearchSpace:
    text, source = sweep.header.space_text, f"{sweep.name} (ledger)"
    if text is None:
        raise UsageError(f"{source}: the ledger does not hold its search space, expected one")
    space = parse_space(text, source, has_begun=True)
    if overrides == Overrides():
        return space
    return overridden(space, overrides, f"{source} with overrides")


def _header(header: SweepHeader, space: SearchSpace) -> SweepHeader:
    """What is fixed with the new sweep: facts of the other one, with the code that runs here."""
    return dataclasses.replace(
        header,
        space_text=space.text,
        space_digest=space.digest,
        version=importlib.metadata.version("ptxsweep"),
        git_sha=git_sha(),
        versions=pixel_versions(),
        environment=installed_packages(),
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        sweep_id=None,
        former_names=None,
        extra={},
    )
