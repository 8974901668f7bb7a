"""The gate, the registry and a promotion from end to end, on a real MLflow store."""

from __future__ import annotations

import dataclasses
import math
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import pytest
from mlflow.entities import LoggedModelStatus
from projections import folds, projection
from tiny_sweep import NAME, copy_sweep

from ptxcore.types import Rule
from sweep.champions import model_name
from sweep.confirmation import Confirmation, load_confirmation
from sweep.errors import GateRefused, TrackingError, UsageError
from sweep.evidence import Evidence
from sweep.gate import Champion, preliminary
from sweep.home import Home
from sweep.ledger import Ledger
from sweep.mlflow_view import connect
from sweep.model_package._example import input_example
from sweep.projection import Projection
from sweep.promote import Gate, promote, rollback, verdict
from sweep.records import State
from sweep.registry import aliases

MODEL = "ptxsweep-phantom-average_precision"
METRICS = {"dice": 0.85, "dice_positive": 0.5, "dice_all_empty": 0.78}


def won(selection: str = "monitor") -> Projection:
    """A finished sweep whose candidate 1 wins."""
    made = projection(num_folds=3)
    made.header = {**made.header, "plan_digest": "p" * 64, "data_hash": "d" * 64}
    for scores in ((0.5, 0.5, 0.5), (0.7, 0.7, 0.7), (0.9,)):
        number = folds(made, scores)
        if len(scores) == 3:
            made.end(number, State.COMPLETE, None, "then")
        made.candidates[number].settings = {"selection": selection}
    made.sweep_state = "finished"
    return made


def confirmed(**changes: Any) -> Confirmation:
    """A confirmation that passes the gate as it stands."""
    values: dict[str, Any] = {
        "sweep": "s",
        "candidate": 1,
        "metrics": METRICS,
        "rule": Rule(),
        "default": {**METRICS, "dice": 0.84},
        "intervals": {
            "dice": (0.8, 0.9),
            "dice_positive": (0.4, 0.6),
            "gain": (0.01, 0.12),
            "difference": (-0.02, 0.04),
        },
        "num_cases": 50,
        "num_positive": 11,
        "num_groups": 48,
        "confidence": 0.95,
        "data_hash": "d" * 64,
        "plan_digest": "p" * 64,
        "holdout_digest": "h" * 64,
        "use": 1,
        "num_uses": 1,
        "at": "2027-01-15T08:00:00+00:00",
        "git_sha": "unknown",
        "phantom": True,
    }
    return Confirmation(**{**values, **changes})


def champion(**changes: Any) -> Champion:
    made = Champion(version="3", sweep="t", candidate=0, holdout_digest="h" * 64, dice=0.84)
    return dataclasses.replace(made, **changes)


def test_what_holds_passes() -> None:
    said = verdict(confirmed(), won(), champion=champion())
    assert said.passed
    assert said.reasons == ()
    assert len(said.checks) == 10


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"candidate": 2}, r"confirmed candidate: found 2, expected the winner, 1"),
        ({"plan_digest": "x" * 64}, r"plan digest: found x{12}, expected p{12} \(ledger\)"),
        ({"data_hash": "x" * 64}, r"data hash: found x{12}, expected d{12} \(ledger\)"),
        (
            {"metrics": {**METRICS, "dice": 0.78}, "default": None},
            r"dice above the all-empty baseline: found \+0\.0000 \(0\.7800 against 0\.7800, 95% "
            r"interval \+0\.0100 to \+0\.1200\), expected more than \+0\.0000",
        ),
        (
            {"metrics": {**METRICS, "dice": math.nan}, "default": None},
            r"dice above the all-empty baseline: found \+nan",
        ),
        (
            {"metrics": {**METRICS, "dice_positive": 0.05}},
            r"dice over positives: found 0\.0500 .*, expected at least 0\.1000",
        ),
        (
            {"metrics": {**METRICS, "dice_positive": math.nan}},
            r"dice over positives: found nan",
        ),
        (
            {"default": {**METRICS, "dice": 0.88}},
            r"dice against the default candidate: found -0\.0300 .*expected at least -0\.0200",
        ),
        (
            {
                "default": {**METRICS, "dice": 0.86},
                "intervals": {**confirmed().intervals, "difference": (-0.015, -0.005)},
            },
            r"dice against the default candidate: found -0\.0100 .*not wholly below 0",
        ),
    ],
)
def test_each_failed_check_is_a_reason(changes: dict[str, Any], reason: str) -> None:
    said = verdict(confirmed(**changes), won())
    assert not said.passed
    (found,) = said.reasons
    assert re.search(reason, found), found


@pytest.mark.parametrize(
    ("present", "reason"),
    [
        (champion(dice=0.851), "found 0.8500, expected at least 0.8510"),
        (champion(dice=math.nan), "expected at least nan"),
        (
            champion(holdout_digest="o" * 64),
            "a champion confirmed on another hold-out (oooooooooooo)",
        ),
    ],
)
def test_a_challenge_that_fails(present: Champion, reason: str) -> None:
    (found,) = verdict(confirmed(), won(), champion=present).reasons
    assert "champion (version 3)" in found
    assert reason in found


def test_an_equal_challenger_passes() -> None:
    assert verdict(confirmed(), won(), champion=champion(dice=0.85)).passed


def test_the_gate_can_ask_for_more() -> None:
    gate = Gate(min_gain=0.1, min_dice_positive=0.6, max_loss=-0.05)
    assert len(verdict(confirmed(), won(), gate=gate).reasons) == 3


def test_what_is_refused_before_the_hold_out_is_opened() -> None:
    assert preliminary(won()).passed
    (reason,) = preliminary(won(selection="fold")).reasons
    assert "checkpoints chosen on the scored cases" in reason
    unfinished = won()
    unfinished.sweep_state = "interrupted"
    (reason,) = preliminary(unfinished).reasons
    assert reason.startswith("sweep: found interrupted, expected finished")
    empty = projection(num_folds=3)
    folds(empty, (0.5, 0.6))
    empty.sweep_state = "finished"
    (reason,) = preliminary(empty).reasons
    assert reason.startswith("winner: found none; the furthest has 2 of 3 folds")


def test_a_winner_becomes_champion_and_another_process_loads_it(
    tiny_home: Home, tmp_path: Path
) -> None:
    promoted = promote(tiny_home, NAME)
    assert promoted.is_new
    assert not promoted.forced
    assert promoted.verdict.passed
    assert (promoted.model_name, promoted.version) == (MODEL, "1")
    assert promoted.model_uri == f"models:/{MODEL}@champion"
    assert promoted.previous_version is None

    file = tmp_path / "unseen.dcm"
    file.write_bytes(input_example()["dicom"][0])
    code = (
        "import sys, pandas, mlflow.pyfunc\n"
        "model = mlflow.pyfunc.load_model(sys.argv[1])\n"
        "content = open(sys.argv[2], 'rb').read()\n"
        "(one,) = model.predict(pandas.DataFrame({'dicom': [content]}))\n"
        "print(one['probability'].dtype, one['mask'].shape, one['case_positive'])\n"
    )
    environment = {"PATH": os.environ["PATH"], "MLFLOW_TRACKING_URI": tiny_home.tracking_uri}
    done = subprocess.run(
        [sys.executable, "-c", code, promoted.model_uri, str(file)],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env=environment,
    )
    assert done.stdout.split()[:3] == ["float32", "(64,", "64)"], done.stderr
    assert not (tmp_path / "mlflow.db").exists()


def test_mlflow_holds_the_evidence(tiny_home: Home) -> None:
    """What "Done when" asks of MLflow's own client, and more."""
    promoted = promote(tiny_home, NAME)
    client, found = connect(tiny_home.tracking_uri), promoted.confirmation
    run = client.get_run(promoted.run_id)
    assert run.info.status == "FINISHED"
    metrics = run.data.metrics
    assert metrics["holdout/dice"] == pytest.approx(found.metrics["dice"])
    assert metrics["holdout/dice_low"] == pytest.approx(found.intervals["dice"][0])
    assert metrics["holdout/gain"] == pytest.approx(found.gain)
    assert found.default is not None
    assert metrics["holdout_default/dice"] == pytest.approx(found.default["dice"])
    assert metrics["winner/mean/dice"] > metrics["winner/mean/dice_all_empty"]
    assert metrics["winner/sd/dice"] >= 0
    assert run.data.tags["ptxsweep.verdict"] == "passed"
    assert run.data.tags["ptxsweep.holdout_uses"] == "1"
    version = client.get_model_version_by_alias(promoted.model_name, "champion")
    assert version.run_id == promoted.run_id
    assert version.tags["ptxsweep.candidate"] == "1"
    assert version.tags["ptxsweep.holdout_digest"] == found.holdout_digest
    assert "drawn phantom" in version.description
    assert "Not for clinical use" in version.description
    (model,) = client.search_logged_models([run.info.experiment_id])
    assert model.status == LoggedModelStatus.READY
    assert model.source_run_id == promoted.run_id
    loaded = mlflow.pyfunc.load_model(model.artifact_location)
    assert loaded.metadata.run_id == promoted.run_id
    assert loaded.metadata.metadata["holdout_dice"] == pytest.approx(found.metrics["dice"])
    (kept,) = Evidence(tiny_home.ledger_url, NAME).verdicts()
    assert kept["passed"] is True
    assert len(kept["checks"]) == len(promoted.verdict.checks)


def test_promoting_twice_changes_nothing_and_opens_nothing(tiny_home: Home) -> None:
    first = promote(tiny_home, NAME)
    second = promote(tiny_home, NAME)
    assert (second.is_new, second.version) == (False, first.version)
    assert second.confirmation == first.confirmation
    assert len(Evidence(tiny_home.ledger_url, NAME).uses()) == 1
    third = promote(tiny_home, NAME, again=True)
    assert (third.is_new, third.version, third.previous_version) == (True, "2", "1")
    assert third.confirmation.use == 2


def test_a_refusal_moves_no_alias_and_says_why(tiny_home: Home) -> None:
    with pytest.raises(GateRefused, match="dice over positives") as refusal:
        promote(tiny_home, NAME, gate=Gate(min_dice_positive=0.999))
    assert len(refusal.value.reasons) == 1
    client = connect(tiny_home.tracking_uri)
    assert list(client.search_registered_models()) == []
    confirmation = load_confirmation(tiny_home, NAME)
    assert confirmation is not None
    run = next(iter(client.search_runs(_experiments(client), "metrics.`holdout/dice` > 0")))
    assert run.data.tags["ptxsweep.verdict"] == "refused"
    assert run.data.tags["ptxsweep.force_reason"] == ""
    for given in ({}, {"reason": "  \n"}, {"reason": "x" * 501}):
        with pytest.raises(UsageError, match=r"force: found .*reason.*expected --force together"):
            promote(tiny_home, NAME, force=True, **given)
    with pytest.raises(UsageError, match="found a reason of 3 characters without --force"):
        promote(tiny_home, NAME, reason="why")
    why = "a demonstration\nfor the board"
    forced = promote(tiny_home, NAME, gate=Gate(min_dice_positive=0.999), force=True, reason=why)
    assert forced.forced
    assert forced.reason == "a demonstration for the board"
    assert client.get_run(forced.run_id).data.tags["ptxsweep.force_reason"] == forced.reason
    kept = Evidence(tiny_home.ledger_url, NAME).verdicts()
    assert [one["reason"] for one in kept] == [None, forced.reason]
    assert forced.confirmation == confirmation  # the hold-out was not opened again
    version = client.get_model_version_by_alias(forced.model_name, "champion")
    assert version.tags["ptxsweep.forced"] == "true"
    assert version.tags["ptxsweep.force_reason"] == forced.reason
    assert "against the gate, because: a demonstration for the board. " in version.description


def test_an_unfinished_sweep_spends_no_hold_out(tiny_home: Home) -> None:
    ledger = Ledger.open(tiny_home.ledger_url, NAME)
    ledger.acquire("test")
    ledger.set_sweep_state("interrupted", "SIGINT")
    ledger.close()
    with pytest.raises(GateRefused, match="sweep: found interrupted"):
        promote(tiny_home, NAME)
    assert Evidence(tiny_home.ledger_url, NAME).uses() == []


def test_rollback_and_back_again(tiny_home: Home) -> None:
    with pytest.raises(UsageError, match="no previous champion"):
        rollback(tiny_home, NAME)
    promote(tiny_home, NAME)
    with pytest.raises(UsageError, match="no previous champion"):
        rollback(tiny_home, NAME)
    promote(tiny_home, NAME, again=True)
    client = connect(tiny_home.tracking_uri)
    for now, before in (("1", "2"), ("2", "1")):
        done = rollback(tiny_home, NAME)
        assert (done.version, done.rolled_back_version) == (now, before)
        found = aliases(client, MODEL)
        assert found == {"champion": now, "previous": before}


def test_all_sweeps_of_a_home_compete_under_one_name(tiny_home: Home) -> None:
    first = promote(tiny_home, NAME)
    (said,) = [one for one in first.verdict.checks if "champion" in one.name]
    assert said.passed
    assert said.found == "no champion to compare with"
    copy_sweep(tiny_home, "weak", [0])
    with pytest.raises(GateRefused, match=r"dice against the champion \(version 1\)"):
        promote(tiny_home, "weak", gate=Gate(min_gain=-1, min_dice_positive=0))
    found = connect(tiny_home.tracking_uri).search_registered_models()
    assert [one.name for one in found] == [MODEL]


def test_a_champion_under_its_sweeps_name_is_still_found(tiny_home: Home) -> None:
    """Earlier versions registered `ptxsweep-<sweep>`."""
    older = promote(tiny_home, NAME, model_name="ptxsweep-tiny")
    again = promote(tiny_home, NAME)
    assert (again.is_new, again.model_uri) == (False, older.model_uri)
    with pytest.raises(UsageError, match="'ptxsweep-tiny' has no previous champion"):
        rollback(tiny_home, NAME)
    copy_sweep(tiny_home, "weak", [0])
    with pytest.raises(GateRefused, match=r"dice against the champion \(version 1\)"):
        promote(tiny_home, "weak", gate=Gate(min_gain=-1, min_dice_positive=0))
    forced = promote(tiny_home, "weak", force=True, reason="of the test")
    assert (forced.model_name, forced.version) == (MODEL, "1")
    with pytest.raises(UsageError, match=f"'{MODEL}' has no previous champion"):
        rollback(tiny_home, "weak")


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ({"metric": "dice", "phantom": False}, "ptxsweep-dice"),
        ({"metric": "dice"}, "ptxsweep-dice"),
        ({"metric": "dice", "phantom": True}, "ptxsweep-phantom-dice"),
    ],
)
def test_drawings_and_patients_have_names_apart(header: dict[str, Any], name: str) -> None:
    assert model_name(header) == name


def test_an_outage_before_the_hold_out_spends_nothing(tiny_home: Home, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    home = dataclasses.replace(
        tiny_home, tracking_uri=f"sqlite:///{tmp_path / 'file' / 'mlflow.db'}"
    )
    with pytest.raises(TrackingError, match="the hold-out was not opened"):
        promote(home, NAME)
    assert Evidence(tiny_home.ledger_url, NAME).uses() == []
    with pytest.raises(TrackingError, match="failed"):
        rollback(home, NAME)


def test_a_name_that_no_registry_takes(tiny_home: Home) -> None:
    with pytest.raises(UsageError, match="model name: found 'a/b'"):
        promote(tiny_home, NAME, model_name="a/b")


def _experiments(client: Any) -> list[str]:
    return [str(one.experiment_id) for one in client.search_experiments()]
