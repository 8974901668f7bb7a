"""Versions of a registered model without files, and the moves of their aliases."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mlflow import MlflowClient

from sweep.ledger.model_record import ModelRecord
from sweep.mlflow.registry import aliases
from sweep.mlflow.view import connect
from sweep.promotion.move import move, new_event, position, record_of
from sweep.storage.home import Home

MODEL = "ptxsweep-bare"


def bare_home(folder: Path, tracking_uri: str | None = None, ledger: str | None = None) -> Home:
    """A home that no environment variable moves, its MLflow laid out."""
    folder.mkdir(exist_ok=True)
    home = Home.from_environment(
        folder,
        ledger=ledger or f"sqlite:///{folder / 'ledger.db'}",
        tracking_uri=tracking_uri or f"sqlite:///{folder / 'mlflow.db'}",
        storage=folder / "sweeps",
    )
    connect(home.tracking_uri)
    return home


def bare_versions(home: Home, number: int) -> None:
    """Register so many versions."""
    client = MlflowClient(home.tracking_uri)
    client.create_registered_model(MODEL)
    for _ in range(number):
        client.create_model_version(MODEL, str(home.folder))


def step(home: Home, after: Mapping[str, str | None], record: ModelRecord | None = None) -> None:
    """A promoter who looks, and moves at once."""
    client = MlflowClient(home.tracking_uri)
    if record is not None:
        move(client, record, position(client, record), after, new_event("promotion"))
        return
    with record_of(home, MODEL) as own:
        step(home, after, own)


def standing(home: Home) -> dict[str, str]:
    """The aliases as they are."""
    return aliases(MlflowClient(home.tracking_uri), MODEL)
