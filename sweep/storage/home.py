"""Where a user's sweeps live: ledger, tracking store, and one folder per sweep."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from urllib.parse import urlsplit

from sweep.errors import UsageError
from sweep.storage.bucket import check_address, is_bucket
from sweep.util.redaction import shown_uri

DEFAULT_FOLDER = "ptxsweep-home"
TRACKING_OPTION = "--tracking-uri, MLFLOW_TRACKING_URI"
TRACKING_EXPECTED = (
    "expected a server (http://host:5000), a database (sqlite:////folder/mlflow.db), or nothing "
    "for one in the home"
)
_TRACKING_SCHEMES = ("sqlite", "postgresql", "mysql", "mssql", "http", "https", "uc")
_TRACKING_PLUGINS = "mlflow.tracking_store"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True, kw_only=True)
class Home:
    """Addresses of everything that outlives a driver.

    Attributes:
        folder: Holds `sweeps/<name>/` and, unless other addresses are given, the two stores.
        ledger_url: SQLAlchemy address of the Optuna storage.
        tracking_uri: Address of MLflow.
        storage: Folder that every worker can write; `sweeps` below `folder` unless given. Where
            sweeps are in object storage, this driver's own copies of what it read.
        bucket: `s3://bucket/prefix` if sweeps are in object storage, else None.
    """

    folder: Path
    ledger_url: str
    tracking_uri: str
    storage: Path
    bucket: str | None = None

    @classmethod
    def from_environment(
        cls,
        folder: Path | str | None = None,
        *,
        ledger: str | None = None,
        tracking_uri: str | None = None,
        storage: Path | str | None = None,
    ) -> Home:
        """The home at `folder`; what is not given comes from the environment, then by default.

        `PTXSWEEP_HOME`, `PTXSWEEP_LEDGER`, `MLFLOW_TRACKING_URI` and `PTXSWEEP_STORAGE` are read,
        and `PTXSWEEP_LEDGER_FILE`, a file with the ledger's address, since that holds a password.

        Raises:
            UsageError: That file cannot be read, the address of object storage is none, or MLflow
                is to keep runs in a folder.
        """
        path = Path(folder or os.environ.get("PTXSWEEP_HOME") or DEFAULT_FOLDER).absolute()
        where = storage or os.environ.get("PTXSWEEP_STORAGE") or path / "sweeps"
        bucket = check_address(str(where)) if is_bucket(where) else None
        return cls(
            folder=path,
            ledger_url=ledger
            or os.environ.get("PTXSWEEP_LEDGER")
            or _from_file("PTXSWEEP_LEDGER_FILE")
            or f"sqlite:///{path / 'ledger.db'}",
            tracking_uri=_checked(tracking_uri or os.environ.get("MLFLOW_TRACKING_URI"))
            or f"sqlite:///{path / 'mlflow.db'}",
            storage=path / "sweeps" if bucket else Path(where).absolute(),
            bucket=bucket,
        )

    def sweep_folder(self, name: str) -> Path:
        """Folder of one sweep; trials, plans and the report lie in it.

        Raises:
            UsageError: The name could leave the folder, or is no file name everywhere.
        """
        check_name(name)
        return self.storage / name

    @property
    def artifacts(self) -> Path:
        """Folder of MLflow artifacts when no server keeps them."""
        return self.folder / "mlartifacts"

    @property
    def journal(self) -> Path:
        """File that is there while sweeps get other names, see `sweep.storage.renaming`."""
        return self.storage / ".renaming.json"

    @property
    def approvers(self) -> Path:
        """File of the keys that approve a champion; where there is none, nobody has to."""
        return self.folder / "approvers"


def check_name(name: str) -> None:
    """Refuse what cannot name a sweep.

    Raises:
        UsageError: The name could leave a folder, or is no file name everywhere.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"sweep name: found {name!r}, expected 1 to 64 letters, digits, '.', '_' or '-', "
            "the first a letter or digit"
        )


def _checked(tracking_uri: str | None) -> str | None:
    """Refuse what MLflow would refuse for ever, before anything is trained.

    What is behind the address is asked where a sweep begins, see `sweep.storage.tracking_address`.
    """
    if not tracking_uri or tracking_uri.startswith("databricks"):
        return tracking_uri
    try:
        scheme = urlsplit(tracking_uri).scheme.partition("+")[0]
    except ValueError:
        scheme = "?"
    if scheme in _TRACKING_SCHEMES:
        return tracking_uri
    is_folder = scheme in ("", "file")
    if is_folder and os.environ.get("MLFLOW_ALLOW_FILE_STORE", "").lower() in ("1", "true"):
        return tracking_uri  # as MLflow does
    if not is_folder and scheme in {point.name for point in entry_points(group=_TRACKING_PLUGINS)}:
        return tracking_uri
    shown = shown_uri(tracking_uri)
    found = f"the folder {shown}, which MLflow takes no more" if is_folder else shown
    moves = "; `mlflow migrate-filestore` moves what a folder holds" if is_folder else ""
    raise UsageError(f"{TRACKING_OPTION}: found {found}, {TRACKING_EXPECTED}{moves}")


def _from_file(variable: str) -> str | None:
    path = os.environ.get(variable)
    if not path:
        return None
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise UsageError(f"{variable}: cannot read {path} ({error.strerror})") from error
