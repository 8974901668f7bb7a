"""One Slurm cluster for all tests of this folder; where it cannot be built they are skipped.

`PTXSWEEP_SLURM=required` turns a skip into a failure.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "cluster"))
sys.path.insert(0, str(Path(__file__).parent))

import slurm_cluster
from slurm_cluster import Scores, SlurmCluster

from ptxcore.data.importing.run import import_cases
from ptxcore.data.phantom import write_phantom

_rows: list[tuple[str, ...]] = []


@pytest.fixture(scope="session")
def slurm() -> Iterator[SlurmCluster]:
    """A controller and two hosts."""
    reason = slurm_cluster.why_not()
    if reason is not None:
        if os.environ.get("PTXSWEEP_SLURM") == "required":
            pytest.fail(f"the Slurm tests are required here, but {reason}")
        pytest.skip(reason)
    # Not pytest's own folder, which each further run of pytest closes to other users.
    folder = Path(tempfile.mkdtemp(prefix="ptxsweep-slurm-"))
    folder.chmod(0o755)
    try:
        files = write_phantom(folder / "source", num_cases=60, size=128, prevalence=0.5, seed=3)
        import_cases(files.dicom, files.rle, folder / "store")
        with closing(SlurmCluster(folder, folder / "store", rows=_rows)) as made:
            yield made
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def calm(slurm: SlurmCluster) -> Scores:
    """Scores of the sweep that nothing disturbs."""
    job = slurm.submit("calm")
    slurm.in_the_middle(job, "calm")
    for host in (slurm.a, slurm.b):
        token = Path(slurm_cluster.LOCAL) / f"ptxsweep-{job}" / "token"
        assert host.run("stat", "--format=%a", token).stdout == "600\n"
    slurm.ended(job, "calm")
    slurm.is_clean(job)
    scores = slurm.scores("calm")
    assert len(scores) == 9
    slurm.check("none", job, "calm", scores)
    return scores


@pytest.fixture(autouse=True)
def whole(slurm: SlurmCluster) -> None:
    """Every test begins with two idle hosts."""
    slurm.wait(slurm.is_whole, "two idle hosts")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The table of faults, after the results."""
    if _rows:
        terminalreporter.section("faults")
        head = ("queued again", "attempts", "epochs again")
        terminalreporter.write_line(f"{'fault':<44}" + "".join(f"{word:>14}" for word in head))
        for fault, *cells in _rows:
            terminalreporter.write_line(f"{fault:<44}" + "".join(f"{one:>14}" for one in cells))
