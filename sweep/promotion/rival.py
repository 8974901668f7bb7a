"""The present champion, ready to be scored on the challenger's locked cases.

Scores on different cases cannot be compared. Where the champion was confirmed on these very cases,
its table is at hand; else its registered package, compared with its digest in the registry,
is scored on them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlflow.entities.model_registry import ModelVersion

from ptxcore.data.formats.image_range import ImageRange
from ptxcore.data.formats.subject import main_subject
from ptxcore.data.splits.fold_plan import FoldPlan
from ptxcore.data.store.case_store import CaseStore
from ptxcore.errors import CoreError
from ptxcore.inference import Ensemble
from ptxcore.metrics import load_table
from ptxcore.types import Rule
from sweep.errors import SweepError
from sweep.mlflow.open_model import load_champion
from sweep.mlflow.package_digest import DIGEST_TAG
from sweep.promotion.assess import ScoredModel
from sweep.promotion.gate import Champion
from sweep.promotion.holdout import holdout_digest, holdout_names, table_path
from sweep.promotion.model_card import PREFIX, trial_of
from sweep.storage.home import Home
from sweep.util.provenance import pixel_versions


@dataclass(frozen=True, kw_only=True)
class Rival:
    """The champion that a winner has to beat.

    Attributes:
        champion: For the gate; says why it cannot be loaded where it cannot.
        exposure: What is known of its training and these cases; empty if it never saw them.
        scored: Its score from its own confirmation on the same cases, None where that is not at
            hand.
        ensemble: To be scored where it is not yet, and for what it costs; None where it cannot be
            loaded.
        unloaded: Why it cannot be loaded, even where it is scored already; None if it can.
        versions: Versions of what changes pixels or scores, under which it is scored; None if
            unknown.
        trained_versions: Likewise, under which it was trained.
    """

    champion: Champion
    exposure: str
    scored: ScoredModel | None = None
    ensemble: Ensemble | None = None
    unloaded: str | None = None
    versions: Mapping[str, str] | None = None
    trained_versions: Mapping[str, str] | None = None

    @property
    def facts(self) -> dict[str, Any]:
        """Its version and origin, as the evidence study keeps them."""
        return {
            "name": self.champion.name,
            "version": self.champion.version,
            "exposure": self.exposure,
            "versions": self.versions,
            "trained_versions": self.trained_versions,
            "package": self.champion.package,
        }


def load_rival(home: Home, version: ModelVersion, plan: FoldPlan, cases: CaseStore) -> Rival:
    """Make the champion ready. Nothing is scored yet, so what fails here spends no hold-out.

    Args:
        home: Home with the address of the registry that knows the champion.
        version: Version of the champion.
        plan: Fold plan of the challenger's sweep.
        cases: Its cases.
    """
    name, number, tags = str(version.name), str(version.version), version.tags
    exposure, package = _exposure(tags, plan), tags.get(DIGEST_TAG)
    other = of_others(tags, plan, cases)
    if other is not None:
        return Rival(
            champion=Champion(name=name, version=number, problem=other, package=package),
            exposure=exposure,
            unloaded=other,
        )
    scored = _at_hand(home, tags, plan)
    ensemble, unloaded = None, None
    try:
        ensemble = load_champion(home, f"models:/{name}/{number}")
    except (CoreError, SweepError) as error:
        unloaded = f"cannot be loaded ({error})"
    problem = unloaded if scored is None else None
    champion = Champion(name=name, version=number, problem=problem, package=package)
    return Rival(
        champion=champion,
        exposure=exposure,
        scored=scored,
        ensemble=ensemble,
        unloaded=unloaded,
        versions=pixel_versions() if scored is None else _versions(tags, "holdout_versions"),
        trained_versions=_versions(tags, "versions"),
    )


def of_others(tags: Mapping[str, str], plan: FoldPlan, cases: CaseStore) -> str | None:
    """Why a champion of other pictures is no champion of these; None where both are alike.

    A model that does not tell, and cases that do not, are taken to be. Other sizes are no reason
    while each model brings the images to its own grid without loss; where it cannot on most of
    them, it would lose to any other.

    Args:
        tags: Tags of the champion's version.
        plan: Fold plan with the locked cases.
        cases: The cases.
    """
    its, pictures = tags.get(f"{PREFIX}pictures", "unknown"), main_subject(cases.contents)
    found = None
    if pictures is not None and its not in ("unknown", pictures):
        found = f"is one of {its}, where these cases are {pictures}"
    elif (known := _images(tags)) is not None:
        locked = [cases.cases[cases.index(name)] for name in plan.holdout]
        bits = 8 * cases.dtype.itemsize
        problems = [known.problem((case.height, case.width), bits) for case in locked]
        far = [problem for problem in problems if problem is not None]
        if 2 * len(far) > len(locked):
            found = (
                f"was trained on images of {known.words}, and {len(far)} of the {len(locked)} "
                f"locked cases are too far from those (the first: {far[0]})"
            )
    if found is None:
        return None
    return f"{found} (--model-name gives them a line of champions of their own)"


def _images(tags: Mapping[str, str]) -> ImageRange | None:
    try:
        return ImageRange.from_facts(json.loads(tags[f"{PREFIX}images"]))
    except (KeyError, ValueError):
        return None


def _versions(tags: Mapping[str, str], key: str) -> Mapping[str, str] | None:
    """Versions that a model tells; None where it does not, as those of earlier versions."""
    try:
        found = json.loads(tags[f"{PREFIX}{key}"])
    except (KeyError, ValueError):
        return None
    return found if isinstance(found, dict) and found else None


def _exposure(tags: Mapping[str, str], plan: FoldPlan) -> str:
    if tags.get(f"{PREFIX}holdout_digest") == holdout_digest(plan):
        return ""
    if tags.get(f"{PREFIX}data_hash") == plan.data_hash:
        return "trained on another plan of this data it may have seen these cases, which favours it"
    return "it comes from other data, and it is not known whether that holds some of these cases"


def _at_hand(home: Home, tags: Mapping[str, str], plan: FoldPlan) -> ScoredModel | None:
    """The champion's own table, if it is of these cases and gives the Dice of its tags."""
    if tags.get(f"{PREFIX}holdout_digest") != holdout_digest(plan):
        return None
    try:
        path = _path(home, tags)
        scored = ScoredModel(table=load_table(path), rule=Rule(**json.loads(tags[f"{PREFIX}rule"])))
        dice = float(tags[f"{PREFIX}holdout_dice"])
    except (KeyError, ValueError, TypeError, OSError, CoreError, SweepError):
        return None  # then its package is scored
    same = scored.table.case_ids.tolist() == holdout_names(plan)
    return scored if same and math.isclose(scored.dice.mean(), dice, rel_tol=1e-9) else None


def _path(home: Home, tags: Mapping[str, str]) -> Path:
    folder = home.sweep_folder(tags[f"{PREFIX}sweep"])
    return table_path(folder, int(tags[f"{PREFIX}holdout_use"]), int(trial_of(tags) or ""))
