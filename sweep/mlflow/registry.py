"""The model registry: versions, and the alias `champion` that moves last.

A version without an alias is harmless, so whatever fails before the last step leaves the champion
as it was. The one before stays at hand under the alias `previous`.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import LoggedModel, LoggedModelOutput
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.models import Model
from mlflow.utils.mlflow_tags import MLFLOW_MODEL_VERSIONS

from ptxcore.errors import CheckpointError
from sweep.errors import TrackingError, UsageError
from sweep.mlflow.package_digest import DIGEST_TAG, fetch, package_digest
from sweep.mlflow.view import OUTAGES, lasts, quietly, shown_uri
from sweep.util.redaction import redact

CHAMPION, PREVIOUS, CHALLENGER = "champion", "previous", "challenger"
#: Description of a registered model.
_ABOUT = (
    "Champions of ptxsweep for one metric. The alias `champion` is the version in force, "
    "`previous` the one before. `ptxsweep promote` makes versions and moves aliases, and asks the "
    "gate; an alias set by hand does not. Not for clinical use."
)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _.-]{0,127}")


@contextmanager
def reaching(tracking_uri: str, so: str = "nothing was promoted") -> Iterator[None]:
    """What MLflow raises inside becomes a `TrackingError` that says where, and what it led to."""
    try:
        with quietly():
            yield
    except OUTAGES as error:
        reason = redact(" ".join(str(error).split()))[:300]
        later = "" if lasts(error) else ", try again when it works"
        raise TrackingError(
            f"MLflow at {shown_uri(tracking_uri)} failed ({type(error).__name__}: {reason}); "
            f"{so}{later}"
        ) from error


def check_name(name: str) -> str:
    """The name, if a model can be registered under it.

    Raises:
        UsageError: It cannot.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"model name: found {name!r}, expected up to 128 letters, digits, spaces, '.', '_' or "
            "'-', the first a letter or digit"
        )
    return name


def aliases(client: MlflowClient, name: str) -> dict[str, str]:
    """Version of each alias; empty for a model that is not registered."""
    try:
        return {
            alias: str(version)
            for alias, version in client.get_registered_model(name).aliases.items()
        }
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return {}
        raise


def champion_of(client: MlflowClient, name: str) -> ModelVersion | None:
    """The present champion, None if there is none."""
    version = aliases(client, name).get(CHAMPION)
    return None if version is None else client.get_model_version(name, version)


def versions(client: MlflowClient, name: str) -> list[ModelVersion]:
    """All versions of a registered model, the newest first; none where it is not registered."""
    found, token = [], None
    while True:
        page = client.search_model_versions(f"name = '{name}'", page_token=token)
        found += list(page)
        token = page.token
        if not token:
            return sorted(found, key=lambda version: -int(version.version))


def register(
    client: MlflowClient,
    name: str,
    *,
    run_id: str,
    tags: Mapping[str, str],
    description: str,
    build: Callable[[Path, Model], None],
) -> str:
    """Log a model to a run and register it as a new version, without an alias.

    Args:
        client: Client of the store.
        name: Name of the registered model; made if missing.
        run_id: MLflow id of the run that the model came from.
        tags: Tags of the version and of the logged model; the version gets `DIGEST_TAG` besides.
        description: Description of the version.
        build: Writes the model's folder, which does not exist yet; gets the ids it has.

    Returns:
        The version.
    """
    model, digest = _logged_model(client, name, run_id, tags, build)
    try:
        client.create_registered_model(name, description=_ABOUT)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    # A database store would look the model's id up through MLflow's global address, not ours.
    by_id = client.tracking_uri.startswith(("http:", "https:"))
    version = client.create_model_version(
        name,
        f"models:/{model.model_id}" if by_id else model.artifact_location,
        run_id=run_id,
        tags={**tags, DIGEST_TAG: digest},
        description=description,
        model_id=model.model_id,
    )
    links = [{"name": name, "version": str(version.version)}]
    client.set_logged_model_tags(model.model_id, {MLFLOW_MODEL_VERSIONS: json.dumps(links)})
    return str(version.version)


def _logged_model(
    client: MlflowClient,
    name: str,
    run_id: str,
    tags: Mapping[str, str],
    build: Callable[[Path, Model], None],
) -> tuple[LoggedModel, str]:
    """The model's folder as an output of a run, and its digest.

    The model is marked as failed if it could not be written.
    """
    model = client.create_logged_model(
        client.get_run(run_id).info.experiment_id,
        name=_logged_name(name),
        source_run_id=run_id,
        tags=dict(tags),
    )
    ids = Model(
        artifact_path=model.artifact_location,
        model_uuid=model.model_id,
        run_id=run_id,
        model_id=model.model_id,
    )
    try:
        with tempfile.TemporaryDirectory(prefix="ptxsweep-") as temporary:
            folder = Path(temporary) / "model"
            build(folder, ids)
            digest = package_digest(folder)  # before it leaves our hands
            client.log_model_artifacts(model.model_id, str(folder))
    except BaseException:
        client.finalize_logged_model(model.model_id, "FAILED")
        raise
    client.finalize_logged_model(model.model_id, "READY")
    client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step=0)])
    return model, digest


def is_intact(client: MlflowClient, version: ModelVersion) -> bool:
    """Whether the store still gives the files that were registered: those of the digest in its tag.

    A store that gives nothing counts as one without them: registering again will tell.
    """
    try:
        require_intact(client, version)
    except (UsageError, CheckpointError, MlflowException, OSError):
        return False
    return True


def require_intact(client: MlflowClient, version: ModelVersion) -> None:
    """Refuse a version whose files are gone, or others than were registered.

    Raises:
        UsageError: It has no digest.
        CheckpointError: Its files are not those of the digest.
    """
    with tempfile.TemporaryDirectory(prefix="ptxsweep-") as temporary:
        fetch(client, version, Path(temporary))


def set_alias(client: MlflowClient, name: str, alias: str, version: str | None) -> None:
    """Set an alias, or take it away; nothing happens where it stands so already.

    Args:
        client: Client of the store.
        name: Name of the registered model.
        alias: Name of the alias.
        version: None for none.
    """
    if aliases(client, name).get(alias) == version:
        return  # who listens to changes hears of none
    if version is None:
        client.delete_registered_model_alias(name, alias)
    else:
        client.set_registered_model_alias(name, alias, version)


def _logged_name(name: str) -> str:
    # A logged model takes fewer signs than a registered one.
    return re.sub(r"[^A-Za-z0-9_-]", "-", name)
