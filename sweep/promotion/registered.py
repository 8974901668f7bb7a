"""Which registered models come from a sweep: their names, cards and signed decisions name it."""

from __future__ import annotations

from collections.abc import Mapping

from sweep.ledger.header import SweepHeader
from sweep.ledger.model_record import recorded_models
from sweep.mlflow import registry
from sweep.mlflow.view import connect, sweep_id
from sweep.promotion.model_card import PREFIX
from sweep.promotion.move import record_of
from sweep.storage.home import Home
from sweep.util.sqlite import missing_file


def registered_from(home: Home, sweeps: Mapping[str, SweepHeader]) -> list[str]:
    """Versions of registered models that come from some sweeps, as `models:/NAME/VERSION`.

    Where MLflow's database is lost the ledger's record of the models answers.

    Args:
        home: Home with the addresses of ledger and MLflow.
        sweeps: Header of each sweep by name.

    Raises:
        TrackingError: MLflow cannot be reached, so that it is not known.
    """
    if missing_file(home.tracking_uri) is not None:
        return sorted(set(_recorded(home, sweeps)))
    found = []
    with registry.reaching(home.tracking_uri, "it is not known which models come from the sweep"):
        client = connect(home.tracking_uri, home.artifacts)
        for name, header in sweeps.items():
            query = f"tags.`{PREFIX}sweep_id` = '{sweep_id(name, header)}'"
            versions = client.search_model_versions(query)
            found += [f"models:/{version.name}/{version.version}" for version in versions]
    return sorted(found)


def _recorded(home: Home, sweeps: Mapping[str, SweepHeader]) -> list[str]:
    found = []
    for model in recorded_models(home.ledger_url):
        with record_of(home, model) as record:
            found += [
                f"models:/{model}/{event['version']}"
                for event in record.events()
                if event.get("sweep") in sweeps and event.get("version") is not None
            ]
    return found
