"""What a sweep needs before its first fold: a checked space, its overrides, the header."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from ptxcore.data.splits.fold_plan import FoldPlan
from ptxcore.data.store.case_store import CaseStore
from ptxcore.metrics import OBJECTIVES
from ptxcore.settings import FoldSettings
from ptxcore.types import Runtime
from sweep.analysis.cohort import KEY
from sweep.errors import UsageError
from sweep.space import SearchSpace, is_among, load_space, parse_space
from sweep.space.settings import check_settings
from sweep.util.provenance import installed_packages, pixel_versions


@dataclasses.dataclass(frozen=True, kw_only=True)
class Overrides:
    """What the command line changes of a search space file.

    Attributes:
        fixed: Settings held at one value; one that the space varies is varied no more.
        num_trials: Candidates that get a first fold.
        num_completions: Complete candidates after which the sweep ends.
        num_folds: Folds of the plan.
    """

    fixed: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    num_trials: int | None = None
    num_completions: int | None = None
    num_folds: int | None = None


def effective_space(name_or_path: str, overrides: Overrides) -> SearchSpace:
    """The search space with the overrides written into it, checked as a whole.

    The file is checked first as it stands, so that messages carry its own line numbers.

    Raises:
        SpaceError: The file or an override is invalid.
    """
    known = sorted(field.name for field in dataclasses.fields(FoldSettings))  # for messages
    space = load_space(name_or_path, known=known, metrics=OBJECTIVES)
    if overrides != Overrides():
        tree = space.tree()  # PyYAML alone would read 1e-4 as text
        tree["fixed"] = tree.get("fixed") or {}
        for key, value in overrides.fixed.items():
            _hold(tree, key, value)
            (tree.get("inference") or {}).pop(key, None)
        policy = tree.setdefault("policy", {})
        for key in ("num_trials", "num_completions"):
            if getattr(overrides, key) is not None:
                policy[key] = getattr(overrides, key)
        completions = policy.get("num_completions")
        if overrides.num_completions is None and completions is not None:
            policy["num_completions"] = min(completions, policy.get("num_trials", completions))
        if overrides.num_folds is not None:
            tree["folds"] = overrides.num_folds
        text = yaml.safe_dump(tree, sort_keys=False)
        source = f"{name_or_path} with overrides"
        space = parse_space(text, source, known=known, metrics=OBJECTIVES)
    check_settings(space)
    return space


def _hold(tree: dict[str, Any], key: str, value: Any) -> None:
    """Take a parameter out of the search, and decide every condition on it.

    Who asks for this value loses the condition. Who asks for another one can never be active: it
    goes too, held at its default, which it would have had.
    """
    parameters = tree.get("parameters", {})
    parameters.pop(key, None)
    tree["fixed"][key] = value
    for name in list(parameters):
        when = parameters[name].get("when") or {} if name in parameters else {}
        if key in when:
            wanted = when.pop(key)
            if not is_among(value, wanted if isinstance(wanted, list) else [wanted]):
                _hold(tree, name, parameters[name]["default"])


def image_grids(space: SearchSpace) -> list[tuple[int, str]]:
    """Every image size with every resampling filter that the space can ask for."""
    one = space.parameters.get("resampling")
    if one is None or one.type != "categorical":  # text cannot be anything else
        filters = [FoldSettings.from_mapping(space.complete(space.defaults())).resampling]
    else:
        filters = [str(value) for value in one.choices]
    return [(size, name) for size in _image_sizes(space) for name in filters]


def _image_sizes(space: SearchSpace) -> list[int]:
    one = space.parameters.get("image_size")
    if one is None:
        return [FoldSettings.from_mapping(space.complete(space.defaults())).image_size]
    if one.type == "categorical":
        return [int(str(value)) for value in one.choices]
    return list(range(int(one.low), int(one.high) + 1, int(one.step or 1)))


def build_header(
    *,
    space: SearchSpace,
    store: CaseStore,
    location: str,
    plan: FoldPlan,
    runtime: Runtime,
    seed: int,
) -> dict[str, Any]:
    """The facts of a sweep that never change, for the ledger."""
    cohort = take_part(store, plan)
    return {
        "space_text": space.text,
        "space_digest": space.digest,
        "metric": space.objective.metric,
        "maximize": space.objective.maximize,
        "num_folds": plan.num_folds,
        "seed": seed,
        "store": location,
        "data_hash": store.data_hash,
        "num_cases": cohort["num_cases"],
        KEY: cohort,
        "phantom": store.phantom,
        "plan_digest": plan.digest,
        "search_plan_digest": plan.search_part().digest,
        "runtime": dataclasses.asdict(runtime),
        "version": importlib.metadata.version("ptxsweep"),
        "git_sha": git_sha(),
        "versions": pixel_versions(),
        "environment": installed_packages(),
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def take_part(store: CaseStore, plan: FoldPlan) -> dict[str, Any]:
    """Which cases of a store take part in a sweep, and how they are shared out.

    Args:
        store: That the plan was made for.
        plan: Of the sweep.

    Returns:
        Plain values: counts of cases, positive cases and patients ("groups"), of all and of the
        hold-out; the shares that were asked for; "num_monitor", the most cases that watch a fold.
    """
    holdout = [store.cases[store.index(name)] for name in plan.holdout]
    searched = [store.cases[store.index(name)] for fold in plan.search.folds for name in fold]
    cases = holdout + searched
    return {
        "cases": plan.settings["cases"],
        "num_cases": len(cases),
        "num_positive": sum(case.is_positive for case in cases),
        "num_groups": len({case.group for case in cases}),
        "groups": str(store.manifest.get("groups", "unknown")),
        "num_store_cases": len(store.cases),
        "num_store_positive": sum(case.is_positive for case in store.cases),
        "holdout_fraction": plan.settings["holdout_fraction"],
        "num_holdout": len(holdout),
        "num_holdout_positive": sum(case.is_positive for case in holdout),
        "num_holdout_groups": len({case.group for case in holdout}),
        "monitor_fraction": plan.settings["monitor_fraction"],
        "num_monitor": max(len(names) for names in plan.search.monitors),
    }


def git_sha() -> str:
    """Commit of the code that runs, with "+dirty" where files changed; "unknown" outside git."""
    folder = Path(__file__).parent

    def git(*words: str) -> str:
        # Whichever git the user's PATH has: it only tells a commit.
        done = subprocess.run(  # nosec B607
            ["git", "-C", str(folder), *words], capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise UsageError(done.stderr.strip())
        return done.stdout.strip()

    try:
        return git("rev-parse", "HEAD") + ("+dirty" if git("status", "--porcelain") else "")
    except (UsageError, FileNotFoundError):
        return "unknown"
