"""What a cluster needs besides Ray: the ledger's database, MLflow behind a password, and S3."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import boto3
import sqlalchemy
from network import SERVICES

SCRIPTS = Path(__file__).resolve().parents[2] / "docker" / "bin"
MLFLOW_PORT, S3_PORT = 5055, 5056
BUCKET = "ptxsweep"
PASSWORD = "a-password-for-this-run-alone"
S3_ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "key",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_ENDPOINT_URL": f"http://{SERVICES}:{S3_PORT}",
    "MLFLOW_S3_ENDPOINT_URL": f"http://{SERVICES}:{S3_PORT}",
}


def programs() -> dict[str, str]:
    """The environment in which this project's programs and scripts are found."""
    places = [str(Path(sys.executable).parent), str(SCRIPTS), os.environ["PATH"]]
    return {"PATH": os.pathsep.join(places), "LANG": "C.UTF-8"}


class Server:
    """A process that answers on an HTTP port; can be stopped and started again."""

    def __init__(self, *words: str, url: str, environment: Mapping[str, str], log: Path) -> None:
        self.url = url
        self._words, self._environment, self._log = words, environment, log
        try:
            self.start()
        except BaseException:
            self.stop()
            raise

    def start(self, patience_seconds: float = 180.0) -> None:
        """Start, and wait until it answers."""
        with self._log.open("ab") as file:
            self._process = subprocess.Popen(
                self._words,
                env={**programs(), **self._environment},
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + patience_seconds
        while not _answers(self.url):
            assert self._process.poll() is None, self._log.read_text()[-2000:]
            assert time.monotonic() < deadline, f"{self.url} does not answer"
            time.sleep(0.2)

    def signal(self, number: int) -> None:
        """Send it a signal: SIGSTOP makes it silent, SIGCONT answers again."""
        os.killpg(self._process.pid, number)

    def stop(self) -> None:
        """Stop it and everything it started."""
        with suppress(ProcessLookupError):  # it may have ended by itself
            os.killpg(self._process.pid, 9)
        self._process.wait(timeout=30)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except urllib.error.HTTPError:
        return True  # it asks for a password
    except OSError:
        return False


def s3_server(folder: Path) -> Server:
    """An S3-compatible server with one bucket."""
    url = f"http://{SERVICES}:{S3_PORT}"
    server = Server(
        "moto_server", "-H", SERVICES, "-p", str(S3_PORT),
        url=url, environment={"HOME": str(folder)}, log=folder / "s3.log",
    )  # fmt: skip
    keys = {name.lower(): S3_ENVIRONMENT[name] for name in list(S3_ENVIRONMENT)[:2]}
    boto3.client("s3", endpoint_url=url, region_name="us-east-1", **keys).create_bucket(
        Bucket=BUCKET
    )
    return server


def mlflow_server(folder: Path, database_url: str) -> Server:
    """MLflow as the container starts it: PostgreSQL, artifacts in S3, basic authentication."""
    root = sqlalchemy.create_engine(database_url, isolation_level="AUTOCOMMIT")
    with root.connect() as connection:
        connection.execute(sqlalchemy.text("CREATE DATABASE mlflow"))
    root.dispose()
    secrets = {
        "MLFLOW_BACKEND_STORE_URI_FILE": database_url.rsplit("/", 1)[0] + "/mlflow",
        "MLFLOW_AUTH_ADMIN_PASSWORD_FILE": PASSWORD,
        "MLFLOW_FLASK_SECRET_FILE": "a-long-text-that-signs-forms",
    }
    environment = {**S3_ENVIRONMENT, "HOME": str(folder)}
    for name, value in secrets.items():
        path = folder / name.lower()
        path.write_text(value, encoding="ascii")
        environment[name] = str(path)
    environment |= {
        "MLFLOW_STATE": str(folder / "mlflow"),
        "MLFLOW_ARTIFACTS": f"s3://{BUCKET}/mlflow",
        "MLFLOW_BIND": SERVICES,
        "MLFLOW_PORT": str(MLFLOW_PORT),
        "MLFLOW_ALLOWED_HOSTS": f"{SERVICES}:{MLFLOW_PORT}",
    }
    return Server(
        str(SCRIPTS / "mlflow-server"),
        url=f"http://{SERVICES}:{MLFLOW_PORT}",
        environment=environment,
        log=folder / "mlflow.log",
    )
