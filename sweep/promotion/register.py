"""A winner as a version of a registered model, tried out before an alias may name it.

A version that a promoter left behind when it was cut off is used again if it says the same of the
same files, so that the next one makes no twin of it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import numpy as np
import pandas as pd
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.models import Model
from numpy.typing import NDArray

from ptxcore.data.splits.fold_plan import FoldPlan
from ptxcore.errors import CheckpointError, CoreError
from ptxcore.inference import Ensemble
from ptxcore.types import Rule, Runtime
from sweep.errors import SweepError, UsageError
from sweep.ledger.projection import Trial
from sweep.mlflow import registry
from sweep.mlflow.model_package import save_model, usable_runtime
from sweep.mlflow.package_digest import fetch
from sweep.promotion.card import make_card
from sweep.promotion.confirm import weight_folders, weights_digests
from sweep.promotion.model_card import tags_of
from sweep.storage.case_stores import open_store, store_of
from sweep.storage.sweep import Sweep
from sweep.util.redaction import redact

#: Most by which a probability may differ between the registered model and its networks.
TOLERANCE = 1e-3
_SIDE_PX = 64


def registered_version(
    client: MlflowClient,
    name: str,
    sweep: Sweep,
    best: Trial,
    *,
    run_id: str,
    rule: Rule,
    scored: tuple[str, ...] | None,
    facts: Mapping[str, Any],
    description: str,
    store: Path | str | None = None,
) -> str:
    """Register a winner, or find it registered, and run it; no alias moves.

    Args:
        client: Client of the registry.
        name: Name of the registered model.
        sweep: The winner's.
        best: The winner.
        run_id: MLflow id of the sweep's run.
        rule: That its hold-out was scored with.
        scored: What tells the weights apart that were scored there; None if it is not known.
        facts: What it says of its origin.
        description: The same for people.
        store: Where the case store is now, if it moved.

    Returns:
        The version.

    Raises:
        UsageError: The weights are gone.
        CheckpointError: The weights are damaged or not those that were scored, or the registered
            model does not do what its networks do.
    """
    sweep.files.bring_folds([best], weights=True)
    weights = weight_folders(best, sweep.folder)
    if weights is None:
        raise UsageError(f"the weights of trial {best.number} are gone from {sweep.folder}")
    if scored is not None and scored != tuple(weights_digests(best, sweep.folder)):
        raise CheckpointError(
            f"trial {best.number}: found other weights in {sweep.folder} than the hold-out was "
            "scored with, expected the same; bring them back, or `promote --again` scores these"
        )
    runtime, card = Runtime(**(sweep.header.runtime or {})), make_card(sweep)

    def build(target: Path, model: Model) -> None:
        save_model(
            target,
            weights,
            rule=rule,
            runtime=runtime,
            inference=best.inference,
            facts=facts,
            model=model,
        )
        card.write(target)

    version = _found_or_made(client, name, run_id, tags_of(facts), description, build)
    ensemble = Ensemble.load(
        weights, rule=rule, runtime=usable_runtime(runtime), inference=best.inference
    )
    try_out(client, version, ensemble, _case(sweep, store))
    return str(version.version)


def _found_or_made(
    client: MlflowClient,
    name: str,
    run_id: str,
    tags: Mapping[str, str],
    description: str,
    build: Callable[[Path, Model], None],
) -> ModelVersion:
    taken = registry.aliases(client, name)
    taken.pop(registry.CHALLENGER, None)  # which may be asked for again
    for version in registry.versions(client, name):
        is_same = {key: version.tags.get(key) for key in tags} == tags
        is_free = str(version.version) not in taken.values()
        if is_same and is_free and registry.is_intact(client, version):
            return version
    number = registry.register(
        client, name, run_id=run_id, tags=tags, description=description, build=build
    )
    return client.get_model_version(name, number)


def try_out(
    client: MlflowClient, version: ModelVersion, ensemble: Ensemble, image: NDArray[Any]
) -> None:
    """Fetch a version as its users will, load it with MLflow and run it on one image.

    Args:
        client: Client of the registry.
        version: Version of the model.
        ensemble: The networks that it was made of.
        image: Shape (H, W).

    Raises:
        CheckpointError: Its files are not those that were registered, it cannot be loaded or run
            here, or its probabilities differ by more than `TOLERANCE`.
    """
    what = f"model {version.name} version {version.version}, tried out before it becomes champion"
    try:
        with tempfile.TemporaryDirectory(prefix="ptxsweep-") as copy:
            folder = fetch(client, version, Path(copy))
            model = mlflow.pyfunc.load_model(str(folder))
            (found,) = model.predict(pd.DataFrame({"image": [image]}))
    except (CoreError, SweepError):
        raise
    except Exception as error:  # whatever its code, MLflow or torch may raise
        reason = redact(f"{type(error).__name__}: {error}")
        raise CheckpointError(f"{what}: found one that cannot be run here ({reason})") from error
    expected = ensemble.probability(image)
    difference = float(np.abs(np.asarray(found["probability"]) - expected).max())
    if not difference <= TOLERANCE:  # NaN is none
        raise CheckpointError(
            f"{what}: found probabilities that differ by up to {difference:.3g} from those of its "
            f"networks, expected at most {TOLERANCE}; the champion stays"
        )


def _case(sweep: Sweep, store: Path | str | None) -> NDArray[Any]:
    """A case of the search part; shades where the cases are not here."""
    try:
        cases = open_store(store or store_of(sweep.header, sweep.home.folder))
        sweep.files.bring_plan()
        plan = FoldPlan.load(sweep.folder / "plan.json")
        return np.asarray(cases.image(cases.index(plan.search.held(0)[0])))
    except (CoreError, SweepError, OSError):
        rows, columns = np.mgrid[:_SIDE_PX, :_SIDE_PX]
        return np.asarray((rows + 2 * columns) % 256, dtype=np.uint8)
