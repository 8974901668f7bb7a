"""`docker/bin/ray-node` with a real Ray: the containers' entry script and health check."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from processes import end_with_children, free_ports, wait_until

RAY_NODE = Path(__file__).resolve().parent.parent / "docker" / "bin" / "ray-node"


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path, as Ray's sockets need."""
    folder = tempfile.mkdtemp(prefix="ray-")
    yield Path(folder)
    shutil.rmtree(folder, ignore_errors=True)


def test_health_tells_a_host_in_a_cluster_from_one_that_is_not(folder: Path) -> None:
    port, agent, *others = free_ports(5)
    (folder / "token").write_text("t" * 48, encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if "RAY_" not in name}
    environment |= {
        "PATH": str(Path(sys.executable).parent) + os.pathsep + os.environ["PATH"],
        "RAY_AUTH_TOKEN_PATH": str(folder / "token"),
        "PTXSWEEP_NODE_IP": "127.0.0.1",
        "PTXSWEEP_PORT": str(port),
        "PTXSWEEP_AGENT_PORT": str(agent),
        "http_proxy": "http://127.0.0.1:9",  # nobody listens there
    }

    def health() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [RAY_NODE, "health"], env=environment, capture_output=True, text=True, timeout=20
        )

    before = health()
    assert before.returncode == 1
    assert "not in a cluster" in before.stderr
    command = [
        str(RAY_NODE), "head", f"--temp-dir={folder}", "--include-dashboard=false",
        f"--dashboard-agent-grpc-port={others[0]}", f"--metrics-export-port={others[1]}",
        f"--ray-client-server-port={others[2]}", "--object-store-memory=100000000",
    ]  # fmt: skip
    with open(folder / "start.log", "wb") as log:
        head = subprocess.Popen(
            command, env=environment, stdout=log, stderr=log, start_new_session=True
        )
    try:
        wait_until(lambda: health().returncode == 0, 60)
    finally:
        end_with_children(head)
    assert health().returncode == 1
