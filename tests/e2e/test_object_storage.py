"""A sweep whose cases and results are in object storage alone, finished from another machine."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import ptxsweep

from ptxcore.data.store.host_copy import CACHE_VARIABLE
from sweep.ledger import Ledger


@pytest.mark.slow
def test_run_here_promote_and_report_there(
    tmp_path: Path,
    phantom_store: Path,
    space_file: Callable[..., Path],
    s3: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Both machines share a ledger, MLflow and the bucket: no folder of the first is left."""
    shared = tmp_path / "shared"
    shared.mkdir()
    monkeypatch.setenv("PTXSWEEP_LEDGER", f"sqlite:///{shared / 'ledger.db'}")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{shared / 'mlflow.db'}")
    monkeypatch.setenv("PTXSWEEP_STORAGE", f"{s3}/sweeps")
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "here-cache"))
    here, there = tmp_path / "here", tmp_path / "there"

    put = ptxsweep("data", "upload", phantom_store, f"{s3}/phantom", home=None)
    assert put["new"]
    assert put["num_cases"] == 60
    words = ("--store", f"{s3}/phantom", "--precision", "float32")
    ran = ptxsweep("run", space_file(), *words, home=here)
    assert ran["state"] == "finished"
    assert list((tmp_path / "here-cache").glob(put["data_hash"]))

    shutil.rmtree(here)
    shutil.rmtree(tmp_path / "here-cache")
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "there-cache"))
    promoted = ptxsweep("promote", "tiny", "--force", "--reason", "of the test", home=there)
    assert promoted["confirmation"]["num_cases"] == 9
    report = ptxsweep("report", "tiny", "--out", tmp_path / "report.html", home=there)
    text = (tmp_path / "report.html").read_text("utf-8")
    assert "no pictures" not in text, report
    assert promoted["version"] == "1"

    ledger = Ledger.open(f"sqlite:///{shared / 'ledger.db'}", "tiny")
    assert ledger.header.store == f"{s3}/phantom"
    ledger.close()
