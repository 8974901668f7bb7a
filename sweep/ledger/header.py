"""What is fixed when a sweep is created: the facts that its ledger keeps for good."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sweep.util.provenance import git_sha, installed_packages, pixel_versions


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
) -> dict[str, Any]:
    """The header of a sweep that begins now, with the code and the packages that run here.

    Args:
        space_text: Search space as YAML, overrides included.
        space_digest: SHA-256 of it.
        metric: Objective.
        maximize: Whether it is better when higher.
        num_folds: Of the plan.
        seed: Of the sweep.
        store: Where the case store lies.
        data_hash: SHA-256 of its cases.
        cohort: Which cases take part, see `sweep.analysis.cohort.take_part`.
        phantom: Whether the cases are drawn.
        plan_digest: SHA-256 of the fold plan, hold-out included.
        search_plan_digest: SHA-256 of the part that the search sees.
        runtime: Device, precision and layout as `ptxcore.types.Runtime` has them.
    """
    return {
        "space_text": space_text,
        "space_digest": space_digest,
        "metric": metric,
        "maximize": maximize,
        "num_folds": num_folds,
        "seed": seed,
        "store": store,
        "data_hash": data_hash,
        "num_cases": cohort["num_cases"],
        "cohort": dict(cohort),
        "phantom": phantom,
        "plan_digest": plan_digest,
        "search_plan_digest": search_plan_digest,
        "runtime": dict(runtime),
        "version": importlib.metadata.version("ptxsweep"),
        "git_sha": git_sha(),
        "versions": pixel_versions(),
        "environment": installed_packages(),
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
