"""MLflow's pages at one sweep: where they are, and a server for them where none runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sweep.errors import UsageError
from sweep.ledger import Ledger
from sweep.mlflow.registry import reaching
from sweep.mlflow.server import HOST, Server, free_port, serving, status
from sweep.mlflow.view import MODEL_TRAINING, connect, find_run, shown_uri
from sweep.storage.home import Home
from sweep.util.sqlite import missing_file


@dataclass(frozen=True, kw_only=True)
class Pages:
    """Where a sweep is in MLflow.

    Attributes:
        sweep: Name of the sweep.
        run_id: Its run.
        url: The page of it.
        server: The server that was started for it; None where one runs already.
    """

    sweep: str
    run_id: str
    url: str
    server: Server | None = None


@contextmanager
def pages(home: Home, name: str, *, port: int = 5000) -> Iterator[Pages]:
    """The page of a sweep, which can be opened while the block runs.

    Args:
        home: Where the sweep lives.
        name: Name of the sweep.
        port: Port of a server that is started here; another one where a program has it.

    Raises:
        UsageError: There is no such sweep, or MLflow has no run of it.
        TrackingError: MLflow cannot be reached, or its server does not start.
    """
    ledger = Ledger.open(home.ledger_url, name)
    header = ledger.header
    ledger.close()
    found = None
    if missing_file(home.tracking_uri) is None:
        with reaching(home.tracking_uri, "nothing can be shown"):
            connect(home.tracking_uri, home.artifacts)
            found = find_run(home.tracking_uri, name, header)
    if found is None:
        raise UsageError(
            f"MLflow at {shown_uri(home.tracking_uri)} has no run of {name!r}; `ptxsweep sync "
            f"{name}` sends it"
        )
    experiment, run = found
    place = f"/#/experiments/{experiment}/runs/{run}{MODEL_TRAINING}"
    if home.tracking_uri.startswith(("http:", "https:")):
        yield Pages(sweep=name, run_id=run, url=shown_uri(home.tracking_uri).rstrip("/") + place)
    elif status(port, f"/ajax-api/2.0/mlflow/runs/get?run_id={run}") == 200:  # of this very store
        yield Pages(sweep=name, run_id=run, url=f"http://{HOST}:{port}{place}")
    else:
        with serving(home, free_port(port)) as server:
            yield Pages(sweep=name, run_id=run, url=server.address + place, server=server)
