"""One cluster for all tests of this folder; where it cannot be built they are skipped.

`PTXSWEEP_CLUSTER=required` turns a skip into a failure, as continuous integration wants it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import postgres_server
import pytest

sys.path.insert(0, str(Path(__file__).parent))

import network
from cluster import Cluster, Row, Scores, table

from ptxcore.data.importing.run import import_cases
from ptxcore.data.phantom import write_phantom

_rows: list[Row] = []


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Head, two workers, a driver's place, PostgreSQL, MLflow and S3."""
    reason = network.why_not() or postgres_server.why_not()
    if reason is not None:
        if os.environ.get("PTXSWEEP_CLUSTER") == "required":
            pytest.fail(f"the cluster tests are required here, but {reason}")
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("cluster")
    for path in (folder, *folder.parents[:2]):
        path.chmod(0o755)
    files = write_phantom(folder / "source", num_cases=60, size=128, prevalence=0.5, seed=3)
    import_cases(files.dicom, files.rle, folder / "store")
    with closing(Cluster(folder, folder / "store", rows=_rows)) as made:
        yield made


@pytest.fixture(scope="session")
def undisturbed(cluster: Cluster) -> subprocess.Popen[bytes]:
    """The sweep that nothing disturbs; those who only ask for access do so meanwhile."""
    return cluster.run("calm")


@pytest.fixture(scope="session")
def calm(cluster: Cluster, undisturbed: subprocess.Popen[bytes]) -> Scores:
    """Its scores."""
    cluster.ended(undisturbed, "calm")
    cluster.note("none", "calm")
    scores = cluster.scores("calm")
    assert len(scores) == 9
    return scores


@pytest.fixture(autouse=True)
def whole(cluster: Cluster, undisturbed: subprocess.Popen[bytes]) -> None:
    """Every test begins with both workers."""
    cluster.settled()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The table of faults, after the results."""
    if _rows:
        terminalreporter.section("faults")
        for line in table(_rows):
            terminalreporter.write_line(line)
