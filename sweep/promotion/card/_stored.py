"""The card that was registered with a model."""

from __future__ import annotations

from pathlib import Path

from sweep.errors import UsageError
from sweep.mlflow.open_model import registered_files
from sweep.promotion.card._card import JSON, MARKDOWN
from sweep.storage.home import Home


def stored_card(home: Home, uri: str) -> dict[str, str]:
    """The files of a model's card by name, `MARKDOWN` and `JSON`.

    Args:
        home: Home with the address of the registry.
        uri: `models:/NAME@ALIAS`, `models:/NAME/VERSION`, or the folder of a model on this machine,
            which has no digest to be compared with.

    Raises:
        UsageError: There is no such model, or it has no card.
        CheckpointError: The files are damaged or were exchanged.
        TrackingError: MLflow cannot be reached.
    """
    if Path(uri).is_dir():
        return _read(Path(uri), uri)
    with registered_files(home, uri, "no card was read") as (folder, _):
        return _read(folder, uri)


def _read(folder: Path, uri: str) -> dict[str, str]:
    names = (MARKDOWN, JSON)
    if missing := [name for name in names if not (folder / name).is_file()]:
        raise UsageError(
            f"model {uri}: found no {' and no '.join(missing)}, expected the card that promotion "
            "writes; an older ptxsweep registered it: `ptxsweep card NAME` writes that of its sweep"
        )
    return {name: (folder / name).read_text(encoding="utf-8") for name in names}
