"""MLflow's own webhooks tell a receiver when a champion changes, as docs/how-to/promote.md says."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from bare_versions import MODEL, bare_home, bare_versions, step
from cryptography.fernet import Fernet
from mlflow import MlflowClient
from processes import answers, end_with_children, free_ports, wait_until

SECRET = "known-to-both"


class Receiver(BaseHTTPRequestHandler):
    """Keeps what it is sent."""

    heard: list[tuple[dict[str, str], bytes]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.heard.append(({key.lower(): text for key, text in self.headers.items()}, body))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def receiver() -> Iterator[ThreadingHTTPServer]:
    Receiver.heard = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def address(mlflow_template: Path, tmp_path: Path) -> Iterator[str]:
    """An MLflow server that may send to this machine, with two versions of a model."""
    (port,) = free_ports(1)
    (tmp_path / "mlflow.db").write_bytes(mlflow_template.read_bytes())
    bare_versions(bare_home(tmp_path), 2)
    words = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    words += ["--backend-store-uri", f"sqlite:///{tmp_path / 'mlflow.db'}", "--workers", "1"]
    words += ["--artifacts-destination", str(tmp_path / "artifacts")]
    more = {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY": Fernet.generate_key().decode(),
        "MLFLOW_WEBHOOK_ALLOWED_SCHEMES": "http,https",
        "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS": "true",
    }
    with (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen(
            words, cwd=tmp_path, env={**os.environ, **more}, stdout=log, stderr=log
        )
    try:
        wait_until(lambda: server.poll() is not None or answers(port), seconds=240)
        assert server.poll() is None, (tmp_path / "log").read_text(encoding="utf-8")
        yield f"http://127.0.0.1:{port}"
    finally:
        end_with_children(server)


def test_a_receiver_hears_of_each_change(
    address: str, receiver: ThreadingHTTPServer, tmp_path: Path
) -> None:
    client = MlflowClient(address)
    client.create_webhook(
        "champions",
        f"http://127.0.0.1:{receiver.server_port}/",
        ["model_version_alias.created", "model_version_alias.deleted"],
        secret=SECRET,
    )
    home = bare_home(tmp_path / "home", tracking_uri=address)
    for after in (
        {"champion": "1"},
        {"challenger": "2"},
        {"champion": "2", "previous": "1", "challenger": None},
    ):
        step(home, after)
    wait_until(lambda: len(Receiver.heard) >= 5)
    said = []
    for headers, body in Receiver.heard:
        known = (headers["x-mlflow-delivery-id"], headers["x-mlflow-timestamp"], body.decode())
        digest = hmac.new(SECRET.encode(), ".".join(known).encode(), hashlib.sha256).digest()
        signature = f"v1,{base64.b64encode(digest).decode()}"
        assert hmac.compare_digest(headers["x-mlflow-signature"], signature)
        event = json.loads(body)
        assert event["data"]["name"] == MODEL
        said.append((event["action"], event["data"]["alias"], event["data"].get("version")))
    assert sorted(said, key=str) == [
        ("created", "challenger", "2"),
        ("created", "champion", "1"),
        ("created", "champion", "2"),
        ("created", "previous", "1"),
        ("deleted", "challenger", None),
    ]
