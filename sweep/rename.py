"""Give a sweep another name, with everything that has its name: ledger, folders, MLflow."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from sweep.errors import NameTaken, UsageError
from sweep.ledger import Ledger
from sweep.ledger.evidence import SUFFIX as EVIDENCE
from sweep.ledger.family import Family, held_family
from sweep.ledger.rename import rename_studies, study_of
from sweep.mlflow.view import MlflowView, sweep_id
from sweep.promotion.registered import registered_from
from sweep.storage.home import Home
from sweep.storage.renaming import check_new_name, moving
from sweep.util.sqlite import missing_file


@dataclass(frozen=True, kw_only=True)
class Renamed:
    """A sweep with another name.

    Attributes:
        name: What it is called now.
        former: What it was called.
        confirmation: New name of its confirmation on fresh folds, None where there is none.
        in_mlflow: Whether MLflow has the new name; None where MLflow has nothing of the sweep.
    """

    name: str
    former: str
    confirmation: str | None
    in_mlflow: bool | None


def rename(home: Home, name: str, new: str) -> Renamed:
    """Rename a sweep that does not run, its confirmation with it. Nothing has changed on an error.

    Runs in MLflow are kept; what they are called follows, then or with the next sync.

    Args:
        home: Where the sweep lives.
        name: Name of the sweep.
        new: What it shall be called.

    Raises:
        UsageError: There is no such sweep, a registered model comes from it, it is in object
            storage, or the new name cannot be.
        NameTaken: Something has the new name.
        LeaseHeld: A driver is at work on it.
        TrackingError: MLflow cannot be reached, so that it is not known which models come from it.
    """
    check_new_name(new)
    if home.bucket is not None:
        raise UsageError(
            f"{name!r} is in object storage, where nothing can be renamed; `ptxsweep note {name}` "
            "says what it is"
        )
    with held_family(home.ledger_url, name, "renamed") as family:
        if models := registered_from(home, family.headers):
            raise UsageError(
                f"{name!r} cannot be renamed: {', '.join(models)} came from it, and cards and "
                "signed decisions name it"
            )
        names = {own: new + own.removeprefix(name) for own in family.sweeps}
        _check_free(home, family, names)
        with moving(home, names):
            _rename_studies(family, names)
    return Renamed(
        name=new,
        former=name,
        confirmation=None if family.confirmation is None else names[family.confirmation],
        in_mlflow=_tell_mlflow(home, list(names.values())),
    )


def _check_free(home: Home, family: Family, names: dict[str, str]) -> None:
    for own in names.values():
        studies = (own, own + EVIDENCE)
        if home.sweep_folder(own).exists() or any(
            study_of(family.storage, study) is not None for study in studies
        ):
            raise NameTaken(f"a sweep named {own!r} exists; choose another name")


def _rename_studies(family: Family, names: dict[str, str]) -> None:
    studies = {study: names[own] for own, study in family.sweeps.items()}
    for own, study in family.evidence.items():
        studies[study] = names[own.removesuffix(EVIDENCE)] + EVIDENCE
    headers = {
        family.sweeps[own]: dataclasses.replace(
            header,
            sweep_id=sweep_id(own, header),
            former_names=[*(header.former_names or ()), own],
            confirms=None if header.confirms is None else names[header.confirms],
        )
        for own, header in family.headers.items()
    }
    rename_studies(family.storage, studies, headers)


def _tell_mlflow(home: Home, names: list[str]) -> bool | None:
    """Bring what MLflow has of renamed sweeps up to date."""
    if missing_file(home.tracking_uri) is not None:
        return None
    done = []
    for name in names:
        ledger = Ledger.open(home.ledger_url, name)
        try:
            done.append(MlflowView.for_sweep(home, name).sync(ledger))
        finally:
            ledger.close()
    return all(done)
