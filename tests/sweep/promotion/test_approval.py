"""A second person says yes or no, and what is signed is what is used."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from signing_keys import line_of, write_key
from tiny_sweep import NAME, copy_sweep

from ptxcore.errors import CheckpointError
from sweep.errors import ChampionMoved, GateRefused, UsageError
from sweep.ledger.evidence import Evidence
from sweep.mlflow import registry
from sweep.mlflow.decision import DECISION_TAG, approval_of
from sweep.mlflow.open_model import open_model
from sweep.mlflow.registry import aliases
from sweep.mlflow.view import connect
from sweep.promotion.approval import approve, reject
from sweep.promotion.overview import registered_models
from sweep.promotion.promote import Gate, promote
from sweep.storage.home import Home

MODEL = "ptxsweep-phantom-average_precision"


def standing(home: Home) -> dict[str, str]:
    return aliases(connect(home.tracking_uri), MODEL)


def as_user(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    for variable in ("LOGNAME", "USER"):
        monkeypatch.setenv(variable, name)


def test_asked_for_turned_down_and_approved(
    tiny_home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_user(monkeypatch, "alice")
    with pytest.raises(UsageError, match=r"has no challenger that waits .* found no champion"):
        approve(tiny_home, MODEL)
    with pytest.raises(UsageError, match="--key: found without --request"):
        promote(tiny_home, NAME, key=Path("any"))
    with pytest.raises(GateRefused, match="dice over positives"):
        promote(tiny_home, NAME, request=True, gate=Gate(min_dice_positive=0.999))
    assert standing(tiny_home) == {}  # a refusal cannot be asked for
    asked = promote(tiny_home, NAME, request=True)
    assert (asked.requested, asked.is_new, asked.previous_version) == (True, True, None)
    assert asked.model_uri == f"models:/{MODEL}@challenger"
    again = promote(tiny_home, NAME, request=True)
    assert again.version == asked.version == "1"
    assert standing(tiny_home) == {"challenger": "1"}
    copy_sweep(tiny_home, "weak", [0])
    with pytest.raises(UsageError, match="version 1 waiting for a decision, expected one chall"):
        promote(tiny_home, "weak", request=True, force=True, reason="of the test")
    assert Evidence(tiny_home.ledger_url, "weak").uses() == []
    with pytest.raises(UsageError, match=r"approve: found the requester .alice@.*somebody else"):
        approve(tiny_home, MODEL)
    as_user(monkeypatch, "bob")
    with pytest.raises(UsageError, match="reject: found no reason"):
        reject(tiny_home, MODEL, reason=" ")
    no = reject(tiny_home, MODEL, reason="it misses\nlarge ones")
    assert (no.decision, no.reason, no.signed) == ("rejected", "it misses large ones", False)
    assert standing(tiny_home) == {}
    version = connect(tiny_home.tracking_uri).get_model_version(MODEL, "1")
    assert json.loads(version.tags[DECISION_TAG])["reason"] == "it misses large ones"
    as_user(monkeypatch, "alice")
    promote(tiny_home, NAME, request=True)
    as_user(monkeypatch, "bob")
    yes = approve(tiny_home, MODEL)
    assert (yes.decision, yes.by[:4], yes.previous_version) == ("approved", "bob@", None)
    assert standing(tiny_home) == {"champion": "1"}
    (found,) = registered_models(tiny_home)
    assert (found.champion, found.challenger, found.unfinished) == ("1", None, None)
    assert [(one["kind"], one["by"].split("@")[0]) for one in found.history] == [
        ("refusal", "alice"),
        ("request", "alice"),
        ("request", "alice"),
        ("rejection", "bob"),
        ("request", "alice"),
        ("approval", "bob"),
    ]
    (one,) = found.versions
    assert (one.sweep, one.trial, one.verdict, one.holdout_uses) == (NAME, 1, "passed", 1)
    assert one.approval is None


def test_a_verdict_against_another_champion_is_not_approved(
    tiny_home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_user(monkeypatch, "alice")
    copy_sweep(tiny_home, "weak", [0])
    promote(tiny_home, NAME, request=True)
    promote(tiny_home, "weak", force=True, reason="of the test")
    as_user(monkeypatch, "bob")
    with pytest.raises(GateRefused, match="given against no champion, and now there is champion v"):
        approve(tiny_home, MODEL)
    assert standing(tiny_home) == {"challenger": "1", "champion": "2"}
    as_user(monkeypatch, "alice")
    # Forced, since on so few cases no third use of a hold-out passes.
    asked = promote(tiny_home, NAME, request=True, force=True, reason="of the test")
    assert (asked.version, asked.previous_version) == ("3", "2")
    for path in tiny_home.artifacts.rglob("model.safetensors"):
        path.rename(path.with_suffix(".away"))
    as_user(monkeypatch, "bob")
    with pytest.raises(CheckpointError, match="version 3: found files with"):
        approve(tiny_home, MODEL)
    for path in tiny_home.artifacts.rglob("model.away"):
        path.rename(path.with_suffix(".safetensors"))
    assert approve(tiny_home, MODEL).previous_version == "2"
    assert standing(tiny_home) == {"champion": "3", "previous": "2"}


def test_of_two_decisions_at_once_the_version_bears_the_one_that_holds(
    tiny_home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_user(monkeypatch, "alice")
    promote(tiny_home, NAME, request=True)
    real, left = registry.require_intact, ["once"]

    def meanwhile(client: Any, version: Any) -> None:
        """Another person turns it down while its files are looked at."""
        real(client, version)
        if left:
            left.clear()
            as_user(monkeypatch, "carol")
            reject(tiny_home, MODEL, reason="it misses large ones")
            as_user(monkeypatch, "bob")

    as_user(monkeypatch, "bob")
    monkeypatch.setattr(registry, "require_intact", meanwhile)
    with pytest.raises(ChampionMoved, match="changed in this moment"):
        approve(tiny_home, MODEL)
    assert standing(tiny_home) == {}
    version = connect(tiny_home.tracking_uri).get_model_version(MODEL, "1")
    assert json.loads(version.tags[DECISION_TAG])["decision"] == "rejected"


@pytest.fixture
def keys(tiny_home: Home, tmp_path: Path) -> dict[str, Path]:
    """Alice and bob may approve, eve may not."""
    made = {name: write_key(tmp_path / name) for name in ("alice", "bob", "eve")}
    lines = [line_of(name, made[name]) for name in ("alice", "bob")]
    tiny_home.approvers.write_text("".join(lines), encoding="utf-8")
    return made


def test_a_home_with_keys_asks_for_a_signature(
    tiny_home: Home, keys: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match="this home asks for somebody's approval"):
        promote(tiny_home, NAME)
    assert Evidence(tiny_home.ledger_url, NAME).uses() == []
    # One account for all of them: their keys tell them apart.
    promote(tiny_home, NAME, request=True, key=keys["alice"])
    for key, found in ((None, "found none"), (keys["eve"], "found SHA256:")):
        with pytest.raises(UsageError, match=rf"--key: {found}.*expected one of the 2 key"):
            approve(tiny_home, MODEL, key=key)
    with pytest.raises(UsageError, match=r"approve: found the requester \(alice\)"):
        approve(tiny_home, MODEL, key=keys["alice"])
    done = approve(tiny_home, MODEL, key=keys["bob"], reason="looked at 40 cases")
    assert (done.by, done.signed) == ("bob", True)
    _, facts = open_model(tiny_home, f"models:/{MODEL}@champion")
    assert facts["approval"]["approved"]
    assert facts["approval"]["by"] == "bob"
    tiny_home.approvers.unlink()
    assert open_model(tiny_home, f"models:/{MODEL}@champion")[1]["approval"] is None


def test_what_is_not_signed_as_it_is_used_says_so(tiny_home: Home, keys: dict[str, Path]) -> None:
    promote(tiny_home, NAME, request=True, key=keys["alice"])
    client = connect(tiny_home.tracking_uri)

    def problem(**tags: Any) -> str:
        for key, value in tags.items():
            client.set_model_version_tag(MODEL, "1", f"ptxsweep.{key}", value)
        found = approval_of(tiny_home, client.get_model_version(MODEL, "1"))
        assert found is not None
        assert not found["approved"]
        return str(found["problem"])

    assert problem().startswith("this home asks for an approved model: nobody approved ptxsweep-")
    approve(tiny_home, MODEL, key=keys["bob"])
    good = client.get_model_version(MODEL, "1").tags
    package, said = good["ptxsweep.package_sha256"], good["ptxsweep.verdict_sha256"]
    other = "is that of another model, other files or verdict"
    assert problem(package_sha256="0" * 64).endswith(other)
    assert problem(package_sha256=package, verdict_sha256="0" * 64).endswith(other)
    statement = json.loads(good[DECISION_TAG])
    forged = json.dumps({**statement, "reason": "very good"})
    assert "is signed by none of the keys in approvers" in problem(
        verdict_sha256=said, decision=forged
    )
    for broken in ("{}", "[]", "nothing", json.dumps({**statement, "signature": None})):
        assert "signed" in problem(decision=broken)
    promote_tags = json.dumps(statement)
    client.set_model_version_tag(MODEL, "1", DECISION_TAG, promote_tags)
    found = approval_of(tiny_home, client.get_model_version(MODEL, "1"))
    assert found is not None
    assert found["approved"]
    lone = approval_of(tiny_home, None)
    assert lone is not None
    assert "it comes from no registry" in lone["problem"]
