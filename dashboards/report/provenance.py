"""Where the numbers come from, and the command that gives them again."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from dashboards.report.markup import Markup, join, table, tag
from dashboards.text import setting
from sweep.analysis.cohort import cohort_of, describe
from sweep.ledger.header import SweepHeader
from sweep.ledger.projection import Projection
from sweep.util.words import count

#: Header keys by the words of the report; what is not listed here is shown under its own name.
_NAMES = {
    "created_at": "Sweep created",
    "num_cases": "Cases that took part",
    "data_hash": "Data (SHA-256 of pixels, masks and case ids)",
    "plan_digest": "Fold plan, hold-out included",
    "search_plan_digest": "Fold plan of the search",
    "space_digest": "Search space",
    "seed": "Seed",
    "runtime": "Runtime",
    "versions": "What changes pixels or scores",
    "version": "ptxsweep",
    "git_sha": "Code revision",
}
#: Shown elsewhere, or addresses that mean nothing to a reader of the report.
_NOT_SHOWN = frozenset(
    ("space_text", "metric", "maximize", "num_folds", "phantom", "store", "cohort", "environment")
)


def provenance(name: str, projection: Projection, versions: Mapping[str, str]) -> Markup:
    """What one needs to run the same sweep again."""
    header = projection.header
    known = header.to_stored()
    keys = [key for key in _NAMES if key in known]
    keys += sorted(key for key in known if key not in _NAMES and key not in _NOT_SHOWN)
    names = dict(_NAMES)
    if (cohort := describe(cohort_of(header))) is None:
        names["num_cases"] = "Cases in the store"  # which older sweeps noted alone
    rows = [(names.get(key, key), tag("code", _value(known[key]))) for key in keys]
    if cohort is not None:
        rows.insert(0, ("Cases", tag("code", cohort)))
    if versions:
        with_ = ", ".join(f"{name} {version}" for name, version in versions.items())
        rows.append(("Report written with", tag("code", with_)))
    return join((_again(name, header), table(("", "value"), rows, label="Provenance"),
                 _environment(header)))  # fmt: skip


def command(name: str, header: SweepHeader) -> str:
    """The command that starts the same sweep; STORE is wherever the same cases are."""
    cohort = cohort_of(header)
    words = ["ptxsweep", "run", f"{name}.yaml", "--store", "STORE", "--name", f"{name}-again"]
    for key in ("cases", "holdout_fraction", "monitor_fraction"):
        if key in cohort:
            words += [f"--{key.replace('_', '-')}", setting(cohort[key])]
    words += ["--seed", str(header.seed)]
    if precision := (header.runtime or {}).get("precision"):
        words += ["--precision", str(precision)]
    return shlex.join(words)


def _again(name: str, header: SweepHeader) -> Markup | None:
    if not header.space_text:
        return None
    text = (
        f"The same sweep again, with the search space above saved as {name}.yaml and STORE the "
        "case store with the hash below:"
    )
    if not cohort_of(header):
        text = text[:-1] + " (this ledger does not say which share of the cases was held out):"
    return join((tag("p", text), tag("pre", command(name, header))))


def _environment(header: SweepHeader) -> Markup | None:
    if not header.environment:
        return None
    packages = sorted(header.environment)
    return tag(
        "details",
        tag("summary", f"{count(len(packages), 'package')} that were installed"),
        tag("p", tag("code", ", ".join(packages)), class_="small"),
    )


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} = {setting(part)}" for key, part in value.items())
    return setting(value)
