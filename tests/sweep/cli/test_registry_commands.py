"""`rollback`, `registry`, `approve` and `reject`, and how `predict` says that nobody approved."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from signing_keys import line_of, write_key
from tiny_sweep import copy_sweep

from sweep.cli import main
from sweep.mlflow.model_package._example import input_example
from sweep.storage.home import Home

MODEL = "ptxsweep-phantom-average_precision"


def call(home: Home, capfd: pytest.CaptureFixture[str], *words: str) -> tuple[int, Any, str]:
    """Exit code, standard output as JSON (None if empty), standard error."""
    capfd.readouterr()
    code = main([*words, "--home", str(home.folder), "--json"])
    shown = capfd.readouterr()
    return code, json.loads(shown.out) if shown.out else None, shown.err


def test_from_a_refusal_to_a_rollback(
    tiny_home: Home, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    code, empty, _ = call(tiny_home, capfd, "registry")
    assert (code, empty) == (0, {"models": []})
    copy_sweep(tiny_home, "weak", [0])
    forced = ("--force", "--reason", "a first one")
    assert call(tiny_home, capfd, "promote", "weak", *forced)[0] == 0
    assert call(tiny_home, capfd, "promote", "tiny", "--min-gain", "0.99")[0] == 3
    assert call(tiny_home, capfd, "promote", "tiny", "--max-loss", "1")[0] == 0
    code, done, _ = call(tiny_home, capfd, "rollback", "tiny", "--reason", "misses large ones")
    assert (code, done["version"], done["rolled_back_version"]) == (0, "1", "2")
    code, _, said = call(tiny_home, capfd, "rollback")
    assert code == 2
    assert "expected the NAME of a sweep, or --model-name" in said
    assert call(tiny_home, capfd, "rollback", "--model-name", MODEL)[1]["version"] == "2"
    code, printed, _ = call(tiny_home, capfd, "registry")
    (model,) = printed["models"]
    assert (code, model["champion"], model["previous"]) == (0, "2", "1")
    assert model["challenger"] is None
    kinds = ["promotion", "refusal", "promotion", "rollback", "rollback"]
    assert [one["kind"] for one in model["history"]] == kinds
    assert model["history"][0]["reason"] == "a first one"
    assert model["history"][1]["reasons"][0].startswith("dice above the all-empty baseline")
    first = model["versions"][-1]
    assert (first["verdict"], first["judged_against"]) == ("forced", "none")
    assert first["holdout_uses"] == 2  # of the same cases, by both sweeps
    assert main(["registry", "--home", str(tiny_home.folder)]) == 0
    lines = capfd.readouterr().out.splitlines()
    assert lines[0] == MODEL
    assert lines[1].startswith("  champion: version 2; sweep tiny, trial 1; verdict passed; hold-")
    assert lines[2].startswith("  previous: version 1; sweep weak, trial 0; verdict forced (")
    assert "a first one" in lines[3]
    assert len(lines) == 3 + len(kinds)


def test_a_decision_is_signed_and_predict_looks(
    tiny_home: Home, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    alice, bob = (write_key(tmp_path / name) for name in ("alice", "bob"))
    uri, ask = f"models:/{MODEL}@challenger", ("promote", "tiny", "--request")
    code, asked, said = call(tiny_home, capfd, *ask, "--key", str(alice))
    assert (code, asked["requested"], asked["model_uri"]) == (0, True, uri)
    tiny_home.approvers.write_text(line_of("alice", alice) + line_of("bob", bob), encoding="utf-8")
    file = tmp_path / "image.dcm"
    file.write_bytes(input_example()["dicom"][0])
    predict = ("predict", str(file), "--out", str(tmp_path / "masks"), "--model")
    code, found, said = call(tiny_home, capfd, *predict, uri)
    assert (code, found["approval"]["approved"]) == (0, False)
    assert "caution: this home asks for an approved model: nobody approved" in said
    code, _, said = call(tiny_home, capfd, "promote", "tiny")
    assert code == 2
    assert "expected --request; `ptxsweep approve` then moves" in said
    code, _, said = call(tiny_home, capfd, "approve", MODEL, "--key", str(alice))
    assert code == 2
    assert "found the requester" in said
    code, done, _ = call(tiny_home, capfd, "approve", MODEL, "--key", str(bob))
    assert (code, done["by"], done["signed"], done["decision"]) == (0, "bob", True, "approved")
    code, found, said = call(tiny_home, capfd, *predict, f"models:/{MODEL}@champion")
    assert (code, found["approval"]["by"], found["approval"]["problem"]) == (0, "bob", None)
    assert "asks for an approved model" not in said
    code, _, said = call(tiny_home, capfd, "reject", MODEL, "--reason", "x", "--key", str(bob))
    assert code == 2
    assert "has no challenger that waits for a decision: found version 1 as champion" in said
