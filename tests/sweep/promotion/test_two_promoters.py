"""Two promotions at once, one that is cut off, and a model that is tried out before it is named."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import cut_off
import numpy as np
import pytest
from confirming import confirm_now, kept_confirmation
from tiny_sweep import NAME, copy_sweep

from ptxcore.errors import CheckpointError
from sweep.errors import GateRefused
from sweep.ledger.evidence import Evidence
from sweep.mlflow import registry
from sweep.mlflow.open_model import load_champion
from sweep.mlflow.registry import aliases
from sweep.mlflow.view import connect
from sweep.promotion.move import record_of
from sweep.promotion.promote import promote
from sweep.promotion.register import try_out
from sweep.storage.home import Home

MODEL = "ptxsweep-phantom-average_precision"


def history(home: Home) -> list[tuple[str, str | None]]:
    with record_of(home, MODEL) as record:
        return [(one["kind"], one.get("version")) for one in record.events()]


def meanwhile(home: Home, name: str) -> dict[str, object]:
    """Options for a promotion, in the midst of which another sweep is promoted."""
    left = [name]

    def on_progress(done: int, total: int) -> None:
        if done == total and left:
            promote(home, left.pop(), force=True, reason="of the test")

    return {"on_progress": on_progress}


def test_the_loser_is_judged_against_the_new_champion_and_refused(tiny_home: Home) -> None:
    copy_sweep(tiny_home, "equal", [0, 1])
    with pytest.raises(GateRefused, match=r"dice against the champion \(.* version 1\): found \+0"):
        promote(tiny_home, "equal", **meanwhile(tiny_home, NAME))
    client = connect(tiny_home.tracking_uri)
    assert aliases(client, MODEL) == {"champion": "1"}
    assert client.get_model_version(MODEL, "1").tags["ptxsweep.sweep"] == NAME
    # Once for the winner alone, once with the champion that came in between beside it.
    assert [use.number for use in Evidence(tiny_home.ledger_url, "equal").uses()] == [1, 2]
    kept = Evidence(tiny_home.ledger_url, "equal").verdicts()
    assert [one["passed"] for one in kept] == [True, False]
    assert history(tiny_home) == [("promotion", "1"), ("refusal", None)]


def test_the_loser_that_passes_again_follows(tiny_home: Home) -> None:
    """Forced, since on so few cases no third use of a hold-out passes."""
    copy_sweep(tiny_home, "weak", [0])
    how = {"force": True, "reason": "of the test", **meanwhile(tiny_home, "weak")}
    done = promote(tiny_home, NAME, **how)
    client = connect(tiny_home.tracking_uri)
    assert (done.is_new, done.previous_version, done.confirmation.use) == (True, "1", 2)
    assert aliases(client, MODEL) == {"champion": done.version, "previous": "1"}
    judged = client.get_model_version(MODEL, done.version).tags["ptxsweep.judged_against"]
    assert judged == f"{MODEL} version 1"
    assert [kind for kind, _ in history(tiny_home)] == ["promotion", "promotion"]


def test_a_champion_is_never_its_own_previous(tiny_home: Home) -> None:
    """Its files are damaged and it is promoted again: the one before stays the one before."""
    copy_sweep(tiny_home, "weak", [0])
    promote(tiny_home, "weak", force=True, reason="of the test")
    first = promote(tiny_home, NAME)
    client = connect(tiny_home.tracking_uri)
    assert aliases(client, MODEL)["previous"] == "1"
    client.set_model_version_tag(MODEL, first.version, "ptxsweep.package_sha256", "0" * 64)
    second = promote(tiny_home, NAME)
    assert (second.is_new, second.version) == (True, "3")
    assert aliases(client, MODEL) == {"champion": "3", "previous": "1"}


def test_a_promotion_that_was_cut_off_is_finished_by_the_next(tiny_home: Home) -> None:
    copy_sweep(tiny_home, "weak", [0])
    promote(tiny_home, "weak", force=True, reason="of the test")
    confirm_now(tiny_home, NAME)
    done = subprocess.run(
        [sys.executable, cut_off.__file__, "promote", str(tiny_home.folder)],
        capture_output=True,
        text=True,
        check=False,
        env=cut_off.environment(),
    )
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    *cut, last = found
    assert all(one["code"] == 9 and one["champion"] == "1" for one in cut), found
    assert len(cut) == 3
    assert (last["code"], last["champion"]) == (0, last["newest"])
    client = connect(tiny_home.tracking_uri)
    assert aliases(client, MODEL) == {"champion": last["champion"], "previous": "1"}
    # The version that one of them had registered was used, and the hold-out once more at most.
    assert last["newest"] == "2"
    assert [use.number for use in Evidence(tiny_home.ledger_url, NAME).uses()] == [1, 2]
    assert history(tiny_home)[-1] == ("promotion", "2")


def test_a_registered_model_is_tried_out(tiny_home: Home, tmp_path: Path) -> None:
    done = promote(tiny_home, NAME)
    client = connect(tiny_home.tracking_uri, tiny_home.artifacts)
    version = client.get_model_version(MODEL, done.version)
    own = load_champion(tiny_home, done.model_uri)
    image = np.arange(64 * 48, dtype=np.uint16).reshape(64, 48)
    try_out(client, version, own, image)
    other = dataclasses.replace(own, members=own.members[:1])
    with pytest.raises(CheckpointError, match=r"version 1, tried out .* that differ by"):
        try_out(client, version, other, image)
    weights = next(tiny_home.artifacts.rglob("model.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-4] + b"\0\0\0\1")
    assert not registry.is_intact(client, version)
    with pytest.raises(CheckpointError, match="found files with SHA-256"):
        try_out(client, version, own, image)
    assert kept_confirmation(tiny_home, NAME) == done.confirmation


def test_a_rollback_that_is_asked_for_again_is_finished_and_not_undone(tiny_home: Home) -> None:
    copy_sweep(tiny_home, "weak", [0])
    for name in ("weak", NAME):
        promote(tiny_home, name, force=True, reason="of the test")
    done = subprocess.run(
        [sys.executable, cut_off.__file__, "rollback", str(tiny_home.folder)],
        capture_output=True,
        text=True,
        check=False,
        env=cut_off.environment(),
    )
    assert done.returncode == 0, done.stderr
    killed = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(killed) > 6
    for one in killed:
        before = one["before"]
        assert one["after"] == {"champion": before["previous"], "previous": before["champion"]}, one
        assert one["kept"] == one["step"], one
