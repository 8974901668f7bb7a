"""Under which name a sweep's champion is registered, and which version holds it now.

One name for each metric, so that every winner has a champion to beat. A home has an MLflow of its
own unless a server is given; homes that share a server share its champions, each of which is scored
on the challenger's own hold-out. Drawings and patients have names apart: a phantom's champion never
takes the place of a patient's. Earlier versions named a champion after its sweep; such a one is
in force until the first under the new name.
"""

from __future__ import annotations

from collections.abc import Iterator

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from sweep.ledger.header import SweepHeader
from sweep.mlflow.registry import CHAMPION, aliases, champion_of
from sweep.promotion.model_card import PREFIX


def model_name(header: SweepHeader) -> str:
    """The registered name for a sweep's champion unless another is given.

    Args:
        header: Header of the sweep's ledger.
    """
    kind = "phantom-" if header.is_phantom else ""
    return f"ptxsweep-{kind}{header.metric}"


def older_name(sweep: str) -> str:
    """The name that a sweep's champion had before there was one for each metric."""
    return f"ptxsweep-{sweep}"


def in_force(client: MlflowClient, header: SweepHeader) -> ModelVersion | None:
    """The champion that a sweep's winner has to beat, None if there is none.

    Args:
        client: Client of the registry.
        header: Header of the sweep's ledger.
    """
    return champion_of(client, model_name(header)) or older_in_force(client, header)


def older_in_force(client: MlflowClient, header: SweepHeader) -> ModelVersion | None:
    """The champion under an older name that a sweep's winner has to beat, None if there is none.

    It counts where there is none under the sweep's `model_name`; of several the youngest does.

    Args:
        client: Client of the registry.
        header: Header of the sweep's ledger.
    """
    older = _older(client, header)
    return max(older, key=lambda version: version.creation_timestamp, default=None)


def held_name(client: MlflowClient, sweep: str, header: SweepHeader) -> str:
    """The name under which a sweep's champion stands: its `model_name`, or the older one.

    Args:
        client: Client of the registry.
        sweep: Its name.
        header: Header of its ledger.
    """
    for name in (model_name(header), older_name(sweep)):
        if CHAMPION in aliases(client, name):
            return name
    return model_name(header)


def _older(client: MlflowClient, header: SweepHeader) -> Iterator[ModelVersion]:
    for name in registered_names(client):
        found = champion_of(client, name)
        if found is None:
            continue
        tags = {key: found.tags.get(PREFIX + key) for key in ("sweep", "metric", "phantom")}
        is_ours = name == older_name(str(tags["sweep"])) and tags["metric"] == header.metric
        if is_ours and (tags["phantom"] == "true") == header.is_phantom:
            yield found


def registered_names(client: MlflowClient) -> Iterator[str]:
    """Names of the registered models whose names begin as ours do.

    Args:
        client: Client of the registry.
    """
    token = None
    while True:
        page = client.search_registered_models("name LIKE 'ptxsweep-%'", page_token=token)
        yield from (version.name for version in page)
        token = page.token
        if not token:
            return
