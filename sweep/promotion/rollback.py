"""Go back to the champion before."""

from __future__ import annotations

from dataclasses import dataclass

from sweep.ledger.header import SweepHeader
from sweep.mlflow import registry
from sweep.mlflow.view import connect
from sweep.promotion import champions
from sweep.storage.home import Home
from sweep.storage.sweep import Sweep


@dataclass(frozen=True, kw_only=True)
class Rollback:
    """What a rollback did."""

    model_name: str
    version: str
    rolled_back_version: str


def rollback(home: Home, name: str, *, model_name: str | None = None) -> Rollback:
    """Make the previous champion champion again. Done twice, it undoes itself.

    Args:
        home: Home with the address of the MLflow that holds the model.
        name: Name of a sweep; its champion's name is the model's.
        model_name: Name in the registry, of any model; the sweep is then not asked for.

    Raises:
        UsageError: There is no such sweep, or no previous champion.
        TrackingError: MLflow cannot be reached.
    """
    header = None if model_name else _header(home, name)
    with registry.reaching(home.tracking_uri):
        client = connect(home.tracking_uri, home.artifacts)
        if header is not None:
            model_name = champions.held_name(client, name, header)
        assert model_name is not None
        now, before = registry.roll_back(client, model_name)
    return Rollback(model_name=model_name, version=now, rolled_back_version=before)


def _header(home: Home, name: str) -> SweepHeader:
    with Sweep.open(home, name) as sweep:
        return sweep.header
