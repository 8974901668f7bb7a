"""Addresses of MLflow that no waiting mends are refused before anything is trained.

A server that does not answer may be back tomorrow, and the ledger has everything until then. But a
folder, a mistyped scheme, a database of another program or a page that is none of MLflow's stay
what they are. MLflow itself is not imported for it: that takes longer than all that is asked here.
"""

from __future__ import annotations

import base64
import json
import os
import sqlite3
import urllib.error
import urllib.request
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote, urlsplit

from sqlalchemy.engine import make_url
from sqlalchemy.exc import NoSuchModuleError

from sweep.errors import UsageError
from sweep.storage.home import TRACKING_EXPECTED as EXPECTED
from sweep.storage.home import TRACKING_OPTION
from sweep.util.redaction import shown_uri
from sweep.util.sqlite import sqlite_file

_DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
_ASK = "/api/2.0/mlflow/experiments/get-by-name?experiment_name=ptxsweep"
_PATIENCE_SECONDS = 5.0
#: Where MLflow gets more of what lets it in than is looked at here.
_CREDENTIALS = ("MLFLOW_TRACKING_AUTH", "MLFLOW_TRACKING_CLIENT_CERT_PATH")


def check_tracking(uri: str) -> None:
    """Refuse what will not work another time either; an outage is none of that.

    Args:
        uri: Address of MLflow of a home.

    Raises:
        UsageError: Says what is there, what was expected, and what to do.
    """
    scheme = urlsplit(uri).scheme.partition("+")[0]
    if scheme in _DATABASES:
        _check_driver(uri)
        file = sqlite_file(uri)
        if file is not None:
            _check_file(file)
    elif scheme in ("http", "https"):
        _check_server(uri)


def _refused(text: str) -> UsageError:
    return UsageError(f"{TRACKING_OPTION}: {text}")


def _check_driver(uri: str) -> None:
    try:
        make_url(uri).get_dialect().import_dbapi()
    except (ImportError, NoSuchModuleError) as error:
        name = getattr(error, "name", None) or str(error)
        raise _refused(
            f"{shown_uri(uri)} needs the package {name}, which is not installed; "
            "install it, here and where trials run"
        ) from error


def _check_file(file: Path) -> None:
    """A database of MLflow's of this version or older, or a place where one can be made."""
    above = next(folder for folder in file.absolute().parents if folder.exists())
    if file.is_dir() or not above.is_dir():
        raise _refused(
            f"found {'a folder' if file.is_dir() else f'the file {above}'} where "
            f"{file} is to be, expected a database, or a folder for it"
        )
    if not os.access(file if file.exists() else above, os.W_OK):
        raise _refused(
            f"{file if file.exists() else above} cannot be written, expected a database "
            "that can; change its permissions, or give another address"
        )
    if not file.exists() or not file.stat().st_size:
        return
    try:
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as database:
            names = {name for (name,) in database.execute("SELECT name FROM sqlite_master")}
            versions = (
                [str(row[0]) for row in database.execute("SELECT version_num FROM alembic_version")]
                if "alembic_version" in names
                else []
            )
    except sqlite3.DatabaseError as error:
        if "locked" in str(error):  # somebody is at work on it
            return
        raise _refused(
            f"{file} cannot be read as a database ({error}); restore a copy of it, or "
            "move it away: `ptxsweep sync NAME` makes its runs again from the ledger"
        ) from error
    if names and not {"alembic_version", "experiments"} <= names:
        raise _refused(f"{file} is a database of another program and stays as it is, {EXPECTED}")
    _check_version(file, versions)


def _check_version(file: Path, versions: list[str]) -> None:
    found = find_spec("mlflow")
    places = [] if found is None else list(found.submodule_search_locations or ())
    for place in places:
        steps = Path(place) / "store" / "db_migrations" / "versions"
        for version in versions:
            if steps.is_dir() and not any(steps.glob(f"{version}_*.py")):
                raise _refused(
                    f"{file} was laid out by a newer MLflow than the one installed here "
                    f"(its layout is {version[:12]}); install that version, or give another address"
                )


def _check_server(uri: str) -> None:
    if _may_have_others():
        return
    request = urllib.request.Request(_bare(uri).rstrip("/") + _ASK, headers=_headers(uri))
    try:
        # The scheme is http or https.
        with urllib.request.urlopen(request, timeout=_PATIENCE_SECONDS) as answer:  # nosec B310
            code, text = answer.status, answer.read(65536)
    except urllib.error.HTTPError as error:
        code, text = error.code, error.read(65536)
    except (OSError, ValueError):  # away: it may be back
        return
    try:
        is_mlflow = isinstance(json.loads(text), dict)
    except ValueError:
        is_mlflow = False
    where = shown_uri(uri)
    if code in (401, 403):
        raise _refused(
            f"{where} answers {code} and lets nobody in: check MLFLOW_TRACKING_USERNAME "
            "and MLFLOW_TRACKING_PASSWORD (or MLFLOW_TRACKING_TOKEN), and that the server was "
            "started with this name among its --allowed-hosts"
        )
    if code in (200, 404) and not is_mlflow:
        raise _refused(f"something answers at {where}, but no MLflow (status {code}); {EXPECTED}")


def _bare(uri: str) -> str:
    parts = urlsplit(uri)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _headers(uri: str) -> dict[str, str]:
    """As MLflow's own client sends them."""
    parts = urlsplit(uri)
    user = unquote(parts.username or "") or os.environ.get("MLFLOW_TRACKING_USERNAME", "")
    word = unquote(parts.password or "") or os.environ.get("MLFLOW_TRACKING_PASSWORD", "")
    if user and word:
        pair = base64.b64encode(f"{user}:{word}".encode()).decode()
        return {"Authorization": f"Basic {pair}"}
    token = os.environ.get("MLFLOW_TRACKING_TOKEN")
    return {"Authorization": f"Bearer {token}"} if token else {}


def _may_have_others() -> bool:
    """Whether MLflow may know more of users and passwords than the environment says."""
    files = ("~/.mlflow/credentials", os.environ.get("NETRC") or "~/.netrc")
    if any(os.path.exists(os.path.expanduser(file)) for file in files):
        return True
    return any(os.environ.get(name) for name in _CREDENTIALS)
