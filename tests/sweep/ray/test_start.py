"""Ray starts where labs start it: a long TMPDIR, no HOME, few CPUs, `uv run` beside data."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import ray

from ptxcore.data.parallel import num_processors
from sweep.errors import ClusterError, UsageError
from sweep.ray.machine import look, shared_memory
from sweep.ray.resources import Host
from sweep.ray.start import MAX_SOCKET_BYTES, explained, fits_sockets, ray_folder

_CODE = """
import json, os, sys
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
from sweep.ray.cluster import ray_cluster
from sweep.ray.resources import ResourceRequest
import ray
with ray_cluster(ResourceRequest(niceness=3)):
    @ray.remote
    def see():
        return {"niceness": os.nice(0), "folder": os.getcwd(), "temporary": os.environ["TMPDIR"]}
    found = ray.get(see.remote())
    print(json.dumps({
        **found, "cpus": ray.cluster_resources()["CPU"],
        "session": ray._private.worker._global_node.get_session_dir_path(),
        "nice here": os.nice(0), "TMPDIR": os.environ["TMPDIR"],
    }))
"""


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a worker saw, started by what calls itself `uv run`, beside 600 MiB of data."""
    folder = tmp_path_factory.mktemp("here")
    with (folder / "images.bin").open("wb") as file:
        file.truncate(600 * 2**20)
    long = folder / ("a-job-of-somebody-on-some-partition-" * 3)
    long.mkdir()
    (folder / "driver.py").write_text(_CODE, encoding="utf-8")
    (folder / "run").write_text(f"'{sys.executable}' driver.py\ntrue\n", encoding="utf-8")
    done = subprocess.run(
        ["bash", "-c", "exec -a uv bash run"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
        env={
            **{name: value for name, value in os.environ.items() if not name.startswith("RAY_")},
            "HOME": "/proc/none",
            "TMPDIR": str(long),
            "PYTHONPATH": str(Path(__file__).resolve().parents[3]),
        },
    )
    assert done.stdout, done.stderr[-3000:]
    return {"wanted": str(long), **json.loads(done.stdout.splitlines()[-1])}


def test_sockets_get_a_short_folder(started: dict[str, Any]) -> None:
    session = started["session"]
    assert len(os.fsencode(session + "/sockets/plasma_store")) <= MAX_SOCKET_BYTES
    assert session.startswith(started["temporary"])
    assert started["TMPDIR"] == started["wanted"]  # of this process, as it was


def test_only_processors_that_may_be_used_are_given_away(started: dict[str, Any]) -> None:
    assert started["cpus"] == 1


def test_the_current_folder_stays_here_under_uv_run(started: dict[str, Any]) -> None:
    assert "runtime_resources" not in started["folder"]


def test_niceness_is_as_asked(started: dict[str, Any]) -> None:
    assert started["niceness"] == started["nice here"] + 3


def test_a_folder_that_cannot_be_written_is_left(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("RAY_TMPDIR", "/proc")
    assert ray_folder() == Path(f"/tmp/ptxsweep-{os.getuid()}/ray")
    assert ("ray folder", "note") in [one[:2] for one in look()]
    monkeypatch.setenv("RAY_TMPDIR", "/tmp/not-made")
    assert ray_folder() == Path("/tmp/not-made/ray")
    assert not Path("/tmp/not-made").exists()
    assert not fits_sockets(tmp_path / ("x" * 60))


def test_doctor_looks_at_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/proc/none")
    monkeypatch.setenv("PTXSWEEP_NICENESS", "7")
    found = {topic: (status, text) for topic, status, text in look()}
    assert found["cpu"][1].startswith(f"{num_processors()} cores for this process")
    assert found["user's folder"][0] == "note"
    assert "niceness 7" in found["neighbours"][1]
    assert set(found) == {"cpu", "ray folder", "user's folder", "open files", "neighbours"}


@pytest.mark.parametrize(
    ("free_mib", "cpus", "gpus", "status", "said"),
    [
        (3000, 64, 0, "ok", r"^2\.9 GiB free in /dev/shm$"),
        (64, 64, 0, "note", r"^0\.1 GiB free in /dev/shm; Ray wants 2 GiB.*--shm-size\)$"),
        (9000, 64, 4, "ok", r"batches of 4 GPUs wait there, up to 512 MiB at 512 px and four"),
        (3000, 64, 8, "note", r"up to 1,024 MiB.*at 1024 px they do not: .* fewer --cpus-per-tri"),
        (3000, 8, 8, "ok", r"up to 256 MiB"),  # one process a trial
        (64, 64, 1, "problem", r"Ray wants 2 GiB.* and they do not fit: enlarge it"),
    ],
)
def test_shared_memory_is_weighed_against_the_batches_that_wait_in_it(
    free_mib: int, cpus: int, gpus: int, status: str, said: str
) -> None:
    """A container's 64 MiB beside a GPU would kill the processes that make batches."""
    host = Host(name="here", cpus=cpus, gpus=gpus)
    topic, found, text = shared_memory(free_mib * 2**20, host)
    assert (topic, found) == ("shared memory", status), text
    assert re.search(said, text), text


@pytest.mark.parametrize(
    ("raised", "expected", "text"),
    [
        (OSError("AF_UNIX path length cannot exceed 107 bytes"), UsageError, "107 bytes.*doctor"),
        (Exception("The current node timed out during startup."), ClusterError, "less busy"),
        (ray.exceptions.GetTimeoutError("no answer"), ClusterError, "less busy"),
        (RuntimeError("Version mismatch: 2.59"), ClusterError, "Version mismatch.*doctor"),
    ],
)
def test_what_ray_raises_says_what_to_do(
    raised: Exception, expected: type[Exception], text: str
) -> None:
    with pytest.raises(expected, match=text), explained("Ray does not start on this machine"):
        raise raised
