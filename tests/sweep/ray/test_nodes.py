"""A running cluster is joined and its hosts are asked; where none runs, that is said at once."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from command_line import ptxsweep

from sweep.cli import main
from sweep.ray.nodes import package_version
from sweep.util.provenance import pixel_versions

HEAD = """
import ray
ray.init(num_cpus=3, num_gpus=1, include_dashboard=False, object_store_memory=10**8)
print("address", ray.get_runtime_context().gcs_address, flush=True)
input()
"""

#: Hosts of which some fall silent: alive for Ray's head until it has missed four of their answers.
SILENT = """
import os, signal, threading, time
import ray
from ray.cluster_utils import Cluster
from ptxcore.settings import FoldSettings
from sweep.ray.measure import choose_runtime
from sweep.ray.nodes import alive, ask, package_version
from sweep.ray.resources import Resources

def freeze(node):
    for process in node.all_processes["raylet"]:
        os.kill(process.process.pid, signal.SIGSTOP)

def add(cpus):
    return cluster.add_node(num_cpus=cpus, object_store_memory=10**8)

def choose():
    settings, two = FoldSettings(), Resources(cpus=2)
    print("found", choose_runtime(settings, two, "float32", is_here=False), flush=True)

head = {"num_cpus": 0, "include_dashboard": False, "object_store_memory": 10**8}
cluster = Cluster(initialize_head=True, head_node_args=head)
silent, other = add(2), add(1)
ray.init(address=cluster.address, log_to_driver=False, logging_level="error")
freeze(silent)
print("said", [(host.cpus, found) for host, found in ask(package_version)], flush=True)
silent = add(2)
assert ray.get(ray.remote(num_cpus=2)(package_version).remote()) == package_version()
freeze(silent)
thread = threading.Thread(target=choose)
thread.start()
while silent.node_id in alive():
    time.sleep(0.2)
add(2)
thread.join()
os._exit(0)  # what is frozen would be waited for
"""


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Of a cluster with a token that claims three CPUs and a GPU."""
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "t" * 48)
    yield from _head()


@pytest.fixture
def open_address(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Of a cluster that asks nobody for a token."""
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    yield from _head()


def _head() -> Iterator[str]:
    with subprocess.Popen(
        [sys.executable, "-c", HEAD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        found = next(line.split()[1] for line in process.stdout if line.startswith("address "))
        yield found
        process.communicate("\n")


def test_the_doctor_asks_every_host(address: str, tmp_path: Path) -> None:
    # In a process of its own: Ray reads its token once.
    report = ptxsweep("doctor", "--address", address, home=tmp_path, check=None)
    asked = [one for one in report["findings"] if one["topic"] == socket.gethostname()]
    assert len(asked) == 1, report
    assert f"ptxsweep {package_version()}, 3 CPUs, 1 GPUs" in asked[0]["text"]
    # Ray believes the number that it is given, and PyTorch may find none.
    expected = "ok" if torch.cuda.is_available() else "problem"
    assert asked[0]["status"] == expected
    assert ("PyTorch sees 0" in asked[0]["text"]) == (expected == "problem")
    assert "asks for no token" not in str(report)


#: Asks the hosts of a cluster as a driver does before a sweep.
ASK = """
import sys
from sweep.errors import UsageError
from sweep.ray.nodes import refuse_other_versions
from sweep.ray.cluster import join
join(sys.argv[1])
try:
    refuse_other_versions()
except UsageError as error:
    print("refused", error)
"""


@pytest.fixture
def other_address(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    """Of a cluster whose one host has another SciPy than we do, as its metadata say."""
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "t" * 48)
    there = tmp_path / "there" / "scipy-0.1.2.dist-info"
    there.mkdir(parents=True)
    (there / "METADATA").write_text("Metadata-Version: 2.1\nName: scipy\nVersion: 0.1.2\n")
    before = os.environ.get("PYTHONPATH", "")
    with pytest.MonkeyPatch.context() as only_there:
        only_there.setenv("PYTHONPATH", f"{there.parent}{os.pathsep}{before}")
        head = _head()
        address = next(head)
    yield address
    next(head, None)


def test_a_host_with_other_versions_of_what_changes_pixels_is_refused_by_name(
    other_address: str, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", ASK, other_address], capture_output=True, text=True, check=True
    )
    ours = pixel_versions()["scipy"]
    host = socket.gethostname()
    assert f"scipy 0.1.2 on 1 of 1 hosts ({host}), expected {ours}; install" in done.stdout
    assert "pydicom" not in done.stdout
    report = ptxsweep("doctor", "--address", other_address, home=tmp_path, check=1)
    (asked,) = [one for one in report["findings"] if one["topic"] == host]
    assert asked["status"] == "problem"
    assert "PyTorch sees" in asked["text"] or f"scipy 0.1.2 (here {ours})" in asked["text"]


def test_a_cluster_without_a_token_is_told(open_address: str, tmp_path: Path) -> None:
    report = ptxsweep("doctor", "--address", open_address, home=tmp_path, check=None)
    (note,) = [one for one in report["findings"] if "asks for no token" in one["text"]]
    assert (note["topic"], note["status"]) == ("ray", "note")
    assert "RAY_AUTH_MODE=token" in note["text"]


def test_a_cluster_with_another_token_is_named_as_such(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", "u" * 48)
    report = ptxsweep("doctor", "--address", address, home=tmp_path, check=1)
    problem = next(one for one in report["findings"] if one["status"] == "problem")
    assert f"cannot join a Ray cluster at {address}" in problem["text"]
    assert "RAY_AUTH_TOKEN" in problem["text"]


def test_an_address_where_nothing_listens_is_said_at_once(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        nobody = f"127.0.0.1:{one.getsockname()[1]}"
    assert main(["doctor", "--home", str(tmp_path), "--address", nobody, "--json"]) == 1
    findings = json.loads(capfd.readouterr().out)["findings"]
    problem = next(one for one in findings if one["topic"] == "ray" and one["status"] == "problem")
    assert f"no Ray cluster answers at {nobody}" in problem["text"]
    assert "6379" in problem["text"]


def test_a_host_that_falls_silent_while_it_is_asked_holds_nobody_up(tmp_path: Path) -> None:
    watch = {
        "RAY_health_check_initial_delay_ms": "1000",
        "RAY_health_check_period_ms": "1000",
        "RAY_health_check_timeout_ms": "2000",
        "RAY_health_check_failure_threshold": "4",
    }
    # Ray notes the newest cluster of a machine there; and its sockets want a short path.
    with (
        tempfile.TemporaryDirectory(prefix="ptx", ignore_cleanup_errors=True) as folder,
        (tmp_path / "out").open("w+") as out,
    ):
        process = subprocess.Popen(
            [sys.executable, "-c", SILENT],
            stdout=out,
            env={**os.environ, **watch, "RAY_TMPDIR": folder},
            start_new_session=True,
        )
        try:
            assert process.wait(timeout=240) == 0
        finally:
            with suppress(ProcessLookupError):  # none may be left
                os.killpg(process.pid, signal.SIGKILL)
        out.seek(0)
        said, found = (line for line in out if line.startswith(("said", "found")))
    assert said == f"said [(1.0, {package_version()!r})]\n"
    assert "num_threads=2" in found
