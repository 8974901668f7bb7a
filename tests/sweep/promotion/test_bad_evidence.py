"""What no promotion can be made of: refused in words, no hold-out spent, nothing half-promoted."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_sweep import NAME, RATES, copy_sweep

from ptxcore.data.formats.subject import main_subject
from ptxcore.data.splits.fold_plan import FoldPlan, make_plan
from ptxcore.data.store.case_store import CaseStore
from ptxcore.errors import CoreError
from sweep.errors import GateRefused, SweepError, UsageError
from sweep.evaluate import evaluate_model
from sweep.ledger import Ledger
from sweep.ledger.evidence import Evidence
from sweep.mlflow.registry import aliases
from sweep.mlflow.view import connect
from sweep.promotion.promote import promote
from sweep.records import State, SweepState
from sweep.storage.home import Home

MODEL = "ptxsweep-phantom-average_precision"


def without_a_fold(home: Home) -> None:
    """Another sweep, finished, in which each trial lacks its last fold."""
    first = Ledger.open(home.ledger_url, NAME)
    ledger = Ledger.create(home.ledger_url, "bad", header=first.header)
    ledger.acquire("test")
    ledger.set_sweep_state(SweepState.RUNNING)
    for trial in first.projection.trials:
        rate = trial.settings["learning_rate"]
        number = ledger.add_trial(
            {"learning_rate": rate}, {"learning_rate": RATES}, settings=trial.settings
        )
        attempt = ledger.start_fold(number, 0)
        score = dataclasses.replace(trial.folds[0], trial=number, attempt=attempt)
        ledger.finish_fold(score)
        ledger.end(number, State.ABANDONED, "the budget is used")
    ledger.set_sweep_state(SweepState.FINISHED, "the budget is used")
    ledger.close()
    first.close()
    shutil.copytree(home.sweep_folder(NAME), home.sweep_folder("bad"))


def without_a_holdout(home: Home) -> None:
    path = home.sweep_folder(NAME) / "plan.json"
    old = FoldPlan.load(path)
    ledger = Ledger.open(home.ledger_url, NAME)
    plan = make_plan(CaseStore.open(Path(str(ledger.header.store))), num_folds=old.num_folds)
    plan = dataclasses.replace(plan, holdout=())
    ledger.close()
    copy_sweep(
        home,
        "bad",
        [0, 1],
        plan_digest=plan.digest,
        search_plan_digest=plan.search_part().digest,
    )
    plan.save(home.sweep_folder("bad") / "plan.json")


def with_weights_of_another_network(home: Home) -> None:
    """Its settings name a network that this version does not know."""
    copy_sweep(home, "bad", [0, 1])
    for file in home.sweep_folder("bad").glob("trials/0001/*/*/best/*.json"):
        text = file.read_text(encoding="utf-8")
        file.write_text(text.replace('"unet"', '"vision_mamba"'), encoding="utf-8")


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (without_a_fold, r"winner: found none; the furthest has 1 of 2 folds, expected a trial"),
        (without_a_holdout, r"the plan has no hold-out.*--holdout-fraction above 0"),
        (with_weights_of_another_network, r"settings: found others than were saved"),
    ],
)
def test_a_sweep_that_cannot_be_confirmed(
    tiny_home: Home, spoil: Callable[[Home], None], expected: str
) -> None:
    spoil(tiny_home)
    for how in ({}, {"force": True, "reason": "of the test"}):
        with pytest.raises((SweepError, CoreError), match=expected):
            promote(tiny_home, "bad", **how)
    assert Evidence(tiny_home.ledger_url, "bad").uses() == []
    assert aliases(connect(tiny_home.tracking_uri), MODEL) == {}


def test_a_champion_with_other_files_than_its_digest_says(tiny_home: Home) -> None:
    promote(tiny_home, NAME)
    client = connect(tiny_home.tracking_uri)
    source = client.get_model_version_download_uri(MODEL, "1").removeprefix("file://")
    file = next(Path(source).rglob("*.safetensors"))
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(bytes(content))
    shutil.rmtree(tiny_home.sweep_folder(NAME) / "confirmation")
    copy_sweep(tiny_home, "equal", [0, 1])
    with pytest.raises(GateRefused, match=r"champion.*found one that cannot be loaded \("):
        promote(tiny_home, "equal")
    assert Evidence(tiny_home.ledger_url, "equal").uses() == []
    assert aliases(client, MODEL) == {"champion": "1"}


def test_a_champion_of_other_pictures_is_no_rival(tiny_home: Home, tmp_path: Path) -> None:
    """A winner on CT would replace a champion of radiographs, which finds nothing there."""
    promote(tiny_home, NAME)
    client = connect(tiny_home.tracking_uri)
    assert client.get_model_version(MODEL, "1").tags["ptxsweep.pictures"] == "unknown"
    client.set_model_version_tag(MODEL, "1", "ptxsweep.pictures", "radiographs")
    ledger = Ledger.open(tiny_home.ledger_url, NAME)
    store = shutil.copytree(str(ledger.header.store), tmp_path / "tomography")
    ledger.close()
    manifest = json.loads((store / "manifest.json").read_text(encoding="utf-8"))
    manifest["contents"] = {"modality": {"CT": 48}, "view": {"unknown": 48}}
    (store / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    copy_sweep(tiny_home, "tomography", [0, 1])
    with pytest.raises(GateRefused, match=r"found one that is one of radiographs, where .* CT"):
        promote(tiny_home, "tomography", store=store)
    assert Evidence(tiny_home.ledger_url, "tomography").uses() == []
    assert aliases(client, MODEL) == {"champion": "1"}
    apart = promote(tiny_home, "tomography", model_name="ct", store=store)
    assert client.get_model_version("ct", apart.version).tags["ptxsweep.pictures"] == "CT"
    manifest["contents"]["modality"] = {"DX": 48}
    (store / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    with pytest.raises(UsageError, match="is a model of CT, found radiographs in the store"):
        evaluate_model(tiny_home, "models:/ct/1", CaseStore.open(store), allow_seen=True)


@pytest.mark.parametrize(
    ("modality", "view", "expected"),
    [
        ({"CR": 9, "CT": 1}, {"PA": 10}, "radiographs"),
        ({"MG": 10}, {"unknown": 10}, "MG"),
        ({"DX": 10}, {"LATERAL": 6, "PA": 4}, "lateral radiographs"),
        ({"unknown": 10}, {"unknown": 10}, None),
        ({}, {}, None),
    ],
)
def test_what_most_pictures_are(
    modality: dict[str, int], view: dict[str, int], expected: str | None
) -> None:
    assert main_subject({"modality": modality, "view": view}) == expected
