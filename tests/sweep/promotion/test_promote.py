"""The gate, the registry and a promotion from end to end, on a real MLflow store."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import pytest
from confirming import confirm_now, kept_confirmation
from mlflow.entities import LoggedModelStatus
from projections import folds, projection
from tiny_sweep import NAME, copy_sweep

from ptxcore.data.splits.fold_plan import make_plan
from ptxcore.data.store.case_store import CaseStore
from ptxcore.errors import CheckpointError
from ptxcore.metrics import load_table
from ptxcore.types import Rule
from sweep.demo import why_it_stays
from sweep.errors import GateRefused, TrackingError, UsageError
from sweep.ledger import Ledger, list_sweeps
from sweep.ledger.evidence import Evidence
from sweep.ledger.header import SweepHeader
from sweep.ledger.projection import Projection
from sweep.mlflow.model_package._example import input_example
from sweep.mlflow.open_model import load_champion
from sweep.mlflow.registry import aliases
from sweep.mlflow.view import connect
from sweep.promotion.champions import model_name
from sweep.promotion.confirmation import ChampionBeside, Confirmation
from sweep.promotion.gate import Champion, population, preliminary
from sweep.promotion.holdout import count_patients
from sweep.promotion.model_card import description_of
from sweep.promotion.promote import Gate, promote, verdict
from sweep.promotion.rollback import rollback
from sweep.records import State, SweepState
from sweep.report import publish_report
from sweep.storage.home import Home
from sweep.util.provenance import pixel_versions

MODEL = "ptxsweep-phantom-average_precision"
VERSION_TAGS = ("versions", "holdout_versions")
METRICS = {"dice": 0.85, "dice_positive": 0.5, "dice_all_empty": 0.78}


def won(selection: str = "monitor") -> Projection:
    """A finished sweep whose trial 1 wins."""
    made = projection(num_folds=3)
    made.header = dataclasses.replace(made.header, plan_digest="p" * 64, data_hash="d" * 64)
    for scores in ((0.5, 0.5, 0.5), (0.7, 0.7, 0.7), (0.9,)):
        number = folds(made, scores)
        if len(scores) == 3:
            made.end(number, State.COMPLETE, None, "then")
        made.trials[number].settings = {"selection": selection}
    made.sweep_state = SweepState.FINISHED
    return made


def confirmed(**changes: Any) -> Confirmation:
    """A confirmation that passes the gate as it stands."""
    values: dict[str, Any] = {
        "sweep": "s",
        "trial": 1,
        "metrics": METRICS,
        "rule": Rule(),
        "default": {**METRICS, "dice": 0.84},
        "intervals": {
            "dice": (0.8, 0.9),
            "dice_positive": (0.4, 0.6),
            "gain": (0.01, 0.12),
            "difference": (-0.01, 0.04),
            "challenge": (0.005, 0.05),
        },
        "num_cases": 50,
        "num_positive": 11,
        "num_groups": 48,
        "num_positive_groups": 10,
        "confidence": 0.95,
        "data_hash": "d" * 64,
        "plan_digest": "p" * 64,
        "holdout_digest": "h" * 64,
        "use": 1,
        "num_uses": 1,
        "timestamp": "2027-01-15T08:00:00+00:00",
        "git_sha": "unknown",
        "phantom": True,
        "champion": beside(),
        "subgroups": {},
    }
    return Confirmation(**{**values, **changes})


def spans(**changes: tuple[float, float]) -> dict[str, Any]:
    """Other intervals."""
    return {"intervals": {**confirmed().intervals, **changes}}


def beside(**changes: Any) -> ChampionBeside:
    """The champion on the same cases."""
    made = ChampionBeside(name="m", version="3", exposure="", metrics={"dice": 0.84}, problem=None)
    return dataclasses.replace(made, **changes)


CHAMPION = Champion(name="m", version="3")


def test_what_holds_passes() -> None:
    said = verdict(confirmed(), won(), champion=CHAMPION)
    assert said.passed
    older = confirmed(num_positive_groups=None).span("dice", ".2f")
    assert older == f"{confirmed().span('dice', '.2f')}, too short, of an earlier version"
    assert said.reasons == ()
    assert str(said.checks[0]) == "sweep: found finished, expected finished"
    assert len(said.checks) == 12


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"trial": 2}, r"confirmed trial: found 2, expected the winner, 1"),
        ({"plan_digest": "x" * 64}, r"plan digest: found x{12}, expected p{12} \(ledger\)"),
        ({"data_hash": "x" * 64}, r"data hash: found x{12}, expected d{12} \(ledger\)"),
        (
            spans(gain=(-0.001, 0.14)),
            r"dice above the all-empty baseline: found \+0\.0700 \(0\.8500 against 0\.7800, 95% "
            r"interval -0\.0010 to \+0\.1400\), expected a lower end above \+0\.0000",
        ),
        (
            spans(gain=(math.nan, math.nan)),
            r"dice above the all-empty baseline: found .* too few patients for an interval\)",
        ),
        (
            spans(dice_positive=(0.09, 0.9)),
            r"dice over positives: found 0\.5000 \(95% interval .*\), expected a lower end above "
            r"0\.1000",
        ),
        (
            spans(difference=(-0.021, 0.041)),
            r"dice against the default trial: found \+0\.0100 .*lower end above -0\.0200",
        ),
        (
            {"num_positive_groups": 4},
            r"patients with a pneumothorax in the hold-out: found 4, expected at least 5: fewer "
            r"are too few patients for an interval",
        ),
        (
            {"num_positive_groups": 48},
            r"patients without a pneumothorax in the hold-out: found 0 \(so predicting nothing "
            r"scores 0 by construction",
        ),
        (
            {"num_positive_groups": None},
            r"intervals: found those of an earlier version, .*`--again`",
        ),
        (
            spans(challenge=(-0.002, 0.03)),
            r"dice against the champion \(m version 3\): found \+0\.0100 on the same cases \(95% "
            r"interval -0\.0020 to \+0\.0300\), expected a lower end above \+0\.0000",
        ),
        ({"champion": None}, r"found one that was not scored on them, expected both scored"),
        ({"champion": beside(version="2")}, r"found one that was not scored on them"),
        (
            {"champion": beside(metrics=None, problem="cannot be scored here")},
            r"found one that cannot be scored here, expected both scored on the same cases",
        ),
    ],
)
def test_each_failed_check_is_a_reason(changes: dict[str, Any], reason: str) -> None:
    said = verdict(confirmed(**changes), won(), champion=CHAMPION)
    assert not said.passed
    (found,) = said.reasons
    assert re.search(reason, found), found


def test_a_champion_that_cannot_be_loaded_refuses() -> None:
    present = dataclasses.replace(CHAMPION, problem="cannot be loaded (gone)")
    (found,) = verdict(confirmed(), won(), champion=present).reasons
    assert "found one that cannot be loaded (gone), expected both scored" in found


def test_what_was_not_compared_is_said() -> None:
    said = verdict(confirmed(), won())
    found = {check.name: check.found for check in said.checks}
    assert found["dice against the champion"] == "no champion to compare with"
    assert str(said.checks[-1]) == "dice against the champion: no champion to compare with"
    seen = confirmed(champion=beside(exposure="it may have seen these cases"))
    last = verdict(seen, won(), champion=CHAMPION).checks[-1]
    assert last.passed
    assert last.found.endswith("+0.0500; it may have seen these cases)")
    itself = verdict(seen, won(), champion=dataclasses.replace(CHAMPION, is_winner=True))
    assert itself.checks[-1].found == "it is this trial"


def test_a_winner_that_is_the_default_has_no_default_to_beat() -> None:
    made = won()
    made.trials[1].folds.clear()
    made.trials[1].state = State.PRUNED
    said = verdict(confirmed(trial=0, default=None), made, champion=CHAMPION)
    assert said.passed
    (found,) = [one.found for one in said.checks if "default" in one.name]
    assert found == "nothing to compare with: the winner is the default"


@pytest.mark.parametrize(
    ("state", "reason", "found"),
    [
        (State.FAILED, "objective is NaN", r"one failed with 2 of 3 folds \(objective is NaN; "),
        (State.PRUNED, None, r"one pruned with 2 of 3 folds \(nobody knows why; "),
        (
            State.ABANDONED,
            "the budget of 1 h is used",
            r"one abandoned with 2 of 3 folds \(the budget of 1 h is used; a sweep with a default "
            r"that completes can tell\), expected both scored on the same cases$",
        ),
        (
            State.COMPLETE,
            None,
            r"one whose weights were gone or damaged when the hold-out was opened.*`--ag",
        ),
    ],
)
def test_a_default_that_cannot_be_compared_refuses(
    state: State, reason: str | None, found: str
) -> None:
    made = won()
    default = made.trials[0]
    default.state, default.reason = state, reason
    if state is not State.COMPLETE:
        del default.folds[2]
    (said,) = verdict(confirmed(default=None), made, champion=CHAMPION).reasons
    assert re.search(f"dice against the default trial: found {found}", said), said


def test_evidence_of_other_versions_than_the_folds_is_said() -> None:
    """No refusal: a security update must not cost a champion."""
    made, ours, other = won(), {"opencv": "5.0.0"}, {"opencv": "4.12.0"}
    made.header = dataclasses.replace(made.header, versions=ours)
    champion = beside(versions=ours, trained_versions=ours)
    said = verdict(confirmed(versions=ours, champion=champion), made, champion=CHAMPION)
    assert said.cautions == ()
    champion = beside(versions=other, trained_versions=ours)
    said = verdict(confirmed(versions=ours, champion=champion), made, champion=CHAMPION)
    start, end = (
        "the champion was scored under other versions than",
        "(opencv 4.12.0, not 5.0.0): the",
    )
    assert said.passed
    assert [one.startswith(f"{start} its folds {end}") for one in said.cautions] == [True, False]
    assert said.cautions[1].startswith(f"{start} the winner {end}")
    said = verdict(confirmed(versions=other, champion=None), made)
    (text,) = said.cautions
    assert text.startswith("the hold-out was scored under other versions than the folds (opencv 4")
    assert f"Caution: {text}." in description_of(confirmed(), said, made.header)
    (text,) = verdict(confirmed(champion=None), made).cautions
    assert text == "it is not known whether the hold-out was scored under the versions of the folds"


def test_the_gate_can_ask_for_more() -> None:
    gate = Gate(min_gain=0.1, min_dice_positive=0.6, max_loss=-0.05, min_lead=0.1, min_patients=11)
    assert len(verdict(confirmed(), won(), champion=CHAMPION, gate=gate).reasons) == 5


def test_a_gate_that_asks_for_less_says_so() -> None:
    assert verdict(confirmed(), won(), champion=CHAMPION).eased == ()
    assert Gate(min_gain=0.1, max_loss=0.0).eased == ()
    eased = Gate(min_dice_positive=0.0, max_loss=1.0).eased
    assert eased == ("min_dice_positive 0 (usually 0.1)", "max_loss 1 (usually 0.02)")
    said = verdict(confirmed(), won(), champion=CHAMPION, gate=Gate(max_loss=1.0))
    described = description_of(confirmed(), said, won().header)
    assert "asked for less than usual: max_loss 1" in described


def test_what_is_refused_before_the_hold_out_is_opened() -> None:
    assert preliminary(won()).passed
    (reason,) = preliminary(won(selection="fold")).reasons
    assert "checkpoints chosen on the scored cases" in reason
    unfinished = won()
    unfinished.sweep_state = SweepState.INTERRUPTED
    (reason,) = preliminary(unfinished).reasons
    assert reason.startswith("sweep: found interrupted (so it has no winner yet")
    empty = projection(num_folds=3)
    folds(empty, (0.5, 0.6))
    empty.sweep_state = SweepState.FINISHED
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
    assert metrics["holdout/dice_low"] == pytest.approx(found.stated["dice"][0])
    assert metrics["holdout/gain"] == pytest.approx(found.gain)
    assert found.default is not None
    assert metrics["holdout_default/dice"] == pytest.approx(found.default["dice"])
    assert metrics["dice_both_empty_1"] > metrics["dice_all_empty"]
    assert metrics["score_sd"] >= 0
    assert run.data.tags["ptxsweep.verdict"] == "passed"
    # The search's own verdict stays beside the gate's.
    assert run.data.tags["ptxsweep.standing"].startswith(("Trial #", "The default settings won"))
    assert run.data.tags["ptxsweep.holdout_uses"] == "1"
    version = client.get_model_version_by_alias(promoted.model_name, "champion")
    assert version.run_id == promoted.run_id
    assert version.tags["ptxsweep.trial"] == "1"
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


def test_promoting_the_champion_itself_changes_nothing(tiny_home: Home) -> None:
    first = promote(tiny_home, NAME)
    second = promote(tiny_home, NAME)
    assert (second.is_new, second.version) == (False, first.version)
    assert second.confirmation == first.confirmation
    assert len(Evidence(tiny_home.ledger_url, NAME).uses()) == 1
    third = promote(tiny_home, NAME, again=True)
    assert (third.is_new, third.version, third.previous_version) == (False, "1", None)
    assert third.confirmation.use == 2
    assert third.verdict.checks[-1].found == "it is this trial"


def test_a_champion_of_an_earlier_build_is_known_by_its_tags(tiny_home: Home) -> None:
    """They called its trial a candidate."""
    first, client = promote(tiny_home, NAME), connect(tiny_home.tracking_uri)
    client.set_model_version_tag(first.model_name, first.version, "ptxsweep.candidate", "1")
    client.delete_model_version_tag(first.model_name, first.version, "ptxsweep.trial")
    second = promote(tiny_home, NAME)
    assert (second.is_new, second.version) == (False, first.version)


def test_an_equal_challenger_does_not_replace_the_champion(tiny_home: Home) -> None:
    """The same networks again, from another sweep: neither better nor worse."""
    promote(tiny_home, NAME)
    copy_sweep(tiny_home, "equal", [0, 1])
    with pytest.raises(GateRefused, match=r"dice against the champion") as refusal:
        promote(tiny_home, "equal")
    (reason,) = refusal.value.reasons
    assert reason.startswith(f"dice against the champion ({MODEL} version 1): found +0.0000 on ")
    stays = str(why_it_stays(refusal.value))
    assert stays.startswith(f"{MODEL} version 1 stays. Nothing went wrong, this is the expected")
    assert "the winner equals it (the same seed trains the same networks again)" in stays
    client = connect(tiny_home.tracking_uri)
    assert aliases(client, MODEL) == {"champion": "1"}
    kept = kept_confirmation(tiny_home, "equal")
    assert kept is not None
    assert kept.champion is not None
    assert kept.champion.exposure == ""
    assert kept.champion.metrics == kept.metrics
    low, high = kept.intervals["challenge"]
    assert low < 0 < high
    table = tiny_home.sweep_folder("equal") / "confirmation" / "use-1" / "champion.npz"
    assert load_table(table).case_ids.tolist() == sorted(load_table(table).case_ids.tolist())


def test_a_champion_of_another_hold_out_is_scored_on_this_one(tiny_home: Home) -> None:
    """Its package gives what its table gave; that it may have seen the cases is said."""
    promote(tiny_home, NAME)
    client = connect(tiny_home.tracking_uri)
    client.set_model_version_tag(MODEL, "1", "ptxsweep.holdout_digest", "o" * 64)
    copy_sweep(tiny_home, "weak", [0])
    with pytest.raises(GateRefused, match="it may have seen these cases, which favours it"):
        promote(tiny_home, "weak")
    found, first = kept_confirmation(tiny_home, "weak"), kept_confirmation(tiny_home, NAME)
    assert found is not None
    assert first is not None
    assert found.champion is not None
    assert found.champion.metrics == pytest.approx(first.metrics)
    assert found.challenge == pytest.approx(found.metrics["dice"] - first.metrics["dice"])


def test_a_winner_confirmed_before_there_was_this_champion(tiny_home: Home) -> None:
    """The champion is scored on the cases that are open already, which is a use."""
    copy_sweep(tiny_home, "weak", [0])
    confirm_now(tiny_home, "weak")
    promote(tiny_home, NAME)
    with pytest.raises(GateRefused, match="one that was not scored on them"):
        promote(tiny_home, "weak", gate=Gate(min_dice_positive=0.999))
    assert len(Evidence(tiny_home.ledger_url, "weak").uses()) == 1  # refused without the champion
    easy = Gate(min_gain=-1, min_dice_positive=-1)
    for _ in range(2):  # the second time it is known
        with pytest.raises(GateRefused, match="dice against the champion"):
            promote(tiny_home, "weak", gate=easy)
        uses = Evidence(tiny_home.ledger_url, "weak").uses()
        assert [one.purpose for one in uses] == [
            "confirmation of the winner",
            f"champion {MODEL} version 1 beside the winner",
        ]
    found = kept_confirmation(tiny_home, "weak")
    assert found is not None
    assert (found.use, found.num_uses) == (2, 3)


def test_a_champion_that_is_gone_refuses_and_spends_nothing(tiny_home: Home) -> None:
    first = promote(tiny_home, NAME)
    client = connect(tiny_home.tracking_uri)
    source = client.get_model_version_download_uri(MODEL, "1").removeprefix("file://")
    shutil.rmtree(source)
    shutil.rmtree(tiny_home.sweep_folder(NAME) / "confirmation")
    copy_sweep(tiny_home, "equal", [0, 1])
    with pytest.raises(GateRefused, match=r"champion.*found one that cannot be loaded \("):
        promote(tiny_home, "equal")
    assert Evidence(tiny_home.ledger_url, "equal").uses() == []
    forced = promote(tiny_home, "equal", force=True, reason="its files are lost")
    assert (forced.version, forced.previous_version) == ("2", first.version)
    (reason,) = forced.verdict.reasons
    assert "both scored on the same cases" in reason


def test_too_few_patients_refuse_before_the_hold_out_is_opened(tiny_home: Home) -> None:
    with pytest.raises(GateRefused, match="fewer are too few patients for an interval"):
        promote(tiny_home, NAME, gate=Gate(min_patients=8))
    assert Evidence(tiny_home.ledger_url, NAME).uses() == []
    forced = promote(tiny_home, NAME, gate=Gate(min_patients=8), force=True, reason="of the test")
    assert len(forced.verdict.reasons) == 2


def test_deleting_the_defaults_weights_takes_no_check_away(tiny_home: Home) -> None:
    """Refused before the hold-out is opened; forced, the verdict says it."""
    trial = tiny_home.sweep_folder(NAME) / "trials" / "0000"
    trial.rename(trial.with_name("elsewhere"))
    with pytest.raises(GateRefused, match=r"one whose weights are gone from .*bring them back"):
        promote(tiny_home, NAME)
    assert Evidence(tiny_home.ledger_url, NAME).uses() == []
    forced = promote(tiny_home, NAME, force=True, reason="of the test")
    assert forced.forced
    (reason,) = forced.verdict.reasons
    assert (
        "default trial: found one whose weights were gone or damaged when the hold-out was"
        in reason
    )
    trial.with_name("elsewhere").rename(trial)
    with pytest.raises(
        GateRefused, match="weights were gone or damaged when the hold-out was opened"
    ):
        promote(tiny_home, NAME)
    mended = promote(tiny_home, NAME, again=True)
    assert mended.verdict.passed
    assert mended.confirmation.default is not None


def test_damaged_weights_of_the_default_do_not_stop_a_forced_promotion(tiny_home: Home) -> None:
    weights = next((tiny_home.sweep_folder(NAME) / "trials" / "0000").rglob("model.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(GateRefused, match=r"one whose weights are damaged, trial 0: .*bring them"):
        promote(tiny_home, NAME)
    assert Evidence(tiny_home.ledger_url, NAME).uses() == []
    forced = promote(tiny_home, NAME, force=True, reason="of the test")
    (reason,) = forced.verdict.reasons
    assert (
        "default trial: found one whose weights were gone or damaged when the hold-out was"
        in reason
    )


def test_a_hold_out_under_other_versions_is_told_by_all_that_tell_of_it(tiny_home: Home) -> None:
    folds_had = {**pixel_versions(), "opencv": "4.12.0"}
    copy_sweep(tiny_home, "older", [0, 1], versions=folds_had)
    promoted = promote(tiny_home, "older")
    (text,) = promoted.verdict.cautions
    assert f"the folds (opencv {pixel_versions()['opencv']}, not 4.12.0)" in text
    assert Evidence(tiny_home.ledger_url, "older").verdicts()[0]["cautions"] == [text]
    client = connect(tiny_home.tracking_uri)
    assert client.get_run(promoted.run_id).data.tags["ptxsweep.verdict_cautions"] == text
    version = client.get_model_version_by_alias(MODEL, "champion")
    assert text in version.description
    tags = {key: json.loads(version.tags[f"ptxsweep.{key}"]) for key in VERSION_TAGS}
    assert tags["versions"] == {**folds_had, "ptxsweep": "0.1.0"}
    assert tags["holdout_versions"] == pixel_versions()
    report = publish_report(tiny_home, "older").path.read_text(encoding="utf-8")
    assert f"Caution: {text}." in report
    copy_sweep(tiny_home, "next", [0, 1], versions=pixel_versions())
    with pytest.raises(GateRefused, match="dice against the champion") as refusal:
        promote(tiny_home, "next")
    (text,) = refusal.value.cautions
    assert text.startswith("the champion was scored under other versions than its folds (opencv ")


def test_a_hold_out_of_positives_alone_refuses(trained_home: Home) -> None:
    """As of a sweep that was run with `--cases positive`: predicting nothing scores 0 there."""
    ledger = Ledger.open(trained_home.ledger_url, NAME)
    store = CaseStore.open(Path(ledger.header.store))
    ledger.close()
    plan = make_plan(store, num_folds=2, holdout_fraction=0.3, cases="positive")
    found = count_patients(plan, store)
    assert found == (len(plan.holdout), 0)
    (refused,) = [str(check) for check in population(*found) if not check.passed]
    assert "found 0 (so predicting nothing scores 0 by construction" in refused


def test_a_hold_out_without_an_interval_is_not_opened_for_a_gate_that_asks_for_none() -> None:
    """Fewer than five patients of a kind give none, and nothing passes without."""
    easy = Gate(min_patients=0)
    for found, passes in (((4, 9), False), ((9, 4), False), ((0, 9), False), ((9, 0), True)):
        assert all(check.passed for check in population(*found, easy)) is passes


def test_evidence_of_an_earlier_version_is_read_and_not_decided_on(tiny_home: Home) -> None:
    confirm_now(tiny_home, NAME)
    evidence = Evidence(tiny_home.ledger_url, NAME)
    (use,) = evidence.uses()
    assert use.result is not None
    older = {key: value for key, value in use.result.items() if key != "num_positive_groups"}
    number = evidence.begin(
        purpose="an older one",
        git_sha="",
        holdout_digest=use.holdout_digest,
        trials=use.trials,
        again=True,
    )
    evidence.finish(number, older, 0.9)
    with pytest.raises(GateRefused, match=r"intervals: found those of an earlier version"):
        promote(tiny_home, NAME)
    # It is the third use of so few cases, which can show nothing at 99.17%; but it is judged.
    with pytest.raises(GateRefused, match=r"99\.17% interval") as refusal:
        promote(tiny_home, NAME, again=True)
    assert "earlier version" not in str(refusal.value)


def test_a_refusal_moves_no_alias_and_says_why(tiny_home: Home) -> None:
    with pytest.raises(GateRefused, match="dice over positives") as refusal:
        promote(tiny_home, NAME, gate=Gate(min_dice_positive=0.999))
    assert len(refusal.value.reasons) == 1
    assert refusal.value.confirmation == kept_confirmation(tiny_home, NAME)
    assert why_it_stays(refusal.value) is None
    client = connect(tiny_home.tracking_uri)
    assert list(client.search_registered_models()) == []
    confirmation = kept_confirmation(tiny_home, NAME)
    assert confirmation is not None
    run = next(iter(client.search_runs(_experiments(client), "metrics.`holdout/dice` > 0")))
    assert run.data.tags["ptxsweep.verdict"] == "refused"
    assert run.data.tags["ptxsweep.force_reason"] == ""
    with pytest.raises(UsageError, match="reason: found 501 characters, expected at most 500"):
        promote(tiny_home, NAME, force=True, reason="x" * 501)
    for given in ({}, {"reason": "  \n"}):
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
    ledger.set_sweep_state(SweepState.INTERRUPTED, "SIGINT")
    ledger.close()
    for how in ({}, {"force": True, "reason": "it looks good"}):
        with pytest.raises(GateRefused, match=r"sweep: found interrupted \(.*--force makes none"):
            promote(tiny_home, NAME, **how)
    assert Evidence(tiny_home.ledger_url, NAME).uses() == []
    assert aliases(connect(tiny_home.tracking_uri), MODEL) == {}


def test_rollback_and_back_again(tiny_home: Home) -> None:
    with pytest.raises(UsageError, match="found no champion, and none as the one before"):
        rollback(tiny_home, NAME)
    copy_sweep(tiny_home, "weak", [0])
    promote(tiny_home, "weak", force=True, reason="of the test")
    with pytest.raises(UsageError, match="found version 1 as champion, and none as the one before"):
        rollback(tiny_home, NAME)
    better = promote(tiny_home, NAME)
    assert better.verdict.checks[-1].name == f"dice against the champion ({MODEL} version 1)"
    client = connect(tiny_home.tracking_uri)
    for now, before, why in (("1", "2", "it misses\nlarge ones"), ("2", "1", None)):
        done = rollback(tiny_home, NAME, reason=why)
        assert (done.version, done.rolled_back_version) == (now, before)
        found = aliases(client, MODEL)
        assert found == {"champion": now, "previous": before}
    with pytest.raises(UsageError, match="reason: found 501 characters"):
        rollback(tiny_home, NAME, reason="x" * 501)


def test_a_rollback_is_kept_where_promotions_are(tiny_home: Home) -> None:
    copy_sweep(tiny_home, "weak", [0])
    copy_sweep(tiny_home, "bystander", [0])
    promote(tiny_home, "weak", force=True, reason="of the test")
    promote(tiny_home, NAME)
    first = rollback(tiny_home, NAME, reason="it misses\nlarge ones")
    second = rollback(tiny_home, "bystander", model_name=MODEL)
    assert (first.reason, second.reason) == ("it misses large ones", None)
    assert set(first.sweeps) == set(second.sweeps) == {NAME, "weak"}
    for name in (NAME, "weak"):
        kept = Evidence(tiny_home.ledger_url, name).rollbacks()
        assert [(one["model"], one["from"], one["to"], one["reason"]) for one in kept] == [
            (MODEL, "2", "1", "it misses large ones"),
            (MODEL, "1", "2", None),
        ]
        assert all("@" in one["by"] and one["at"] for one in kept)
    assert Evidence(tiny_home.ledger_url, "bystander").rollbacks() == []
    client = connect(tiny_home.tracking_uri)
    for version in ("1", "2"):  # the last one stands with both versions
        tag = client.get_model_version(MODEL, version).tags["ptxsweep.rollback"]
        assert json.loads(tag)["to"] == "2"
    published = publish_report(tiny_home, NAME).path.read_text(encoding="utf-8")
    assert f"{MODEL} went back from version 2 to version 1 (by " in published
    assert "because: it misses large ones)" in published
    assert list_sweeps(tiny_home.ledger_url) == [NAME, "weak", "bystander"]


def test_all_sweeps_of_a_home_compete_under_one_name(tiny_home: Home) -> None:
    first = promote(tiny_home, NAME)
    (said,) = [one for one in first.verdict.checks if "champion" in one.name]
    assert said.passed
    assert said.found == "no champion to compare with"
    copy_sweep(tiny_home, "weak", [0])
    with pytest.raises(GateRefused, match=r"dice against the champion \(.* version 1\): found -"):
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
    with pytest.raises(GateRefused, match=r"dice against the champion \(.* version 1\): found -"):
        promote(tiny_home, "weak", gate=Gate(min_gain=-1, min_dice_positive=0))
    forced = promote(tiny_home, "weak", force=True, reason="of the test")
    assert (forced.model_name, forced.version) == (MODEL, "1")
    with pytest.raises(UsageError, match=f"'{MODEL}' has no previous champion"):
        rollback(tiny_home, "weak")


def test_what_is_registered_is_what_the_hold_out_scored(tiny_home: Home) -> None:
    """Whole weights of another trial in the place of the winner's, once the hold-out was opened."""
    confirm_now(tiny_home, NAME)
    other, scored = (
        tiny_home.sweep_folder(NAME) / "trials" / trial / "fold-0" / "attempt-1" / "best"
        for trial in ("0000", "0001")
    )
    shutil.rmtree(scored)
    shutil.copytree(other, scored)
    with pytest.raises(CheckpointError, match=r"trial 1: found other weights in .*--again"):
        promote(tiny_home, NAME, force=True, reason="of the test")
    assert aliases(connect(tiny_home.tracking_uri), MODEL) == {}


def test_a_number_that_is_given_twice_is_not_the_same_champion(tiny_home: Home) -> None:
    """Versions count from 1 again in another registry, and where a model was deleted."""
    copy_sweep(tiny_home, "equal", [0, 1])
    copy_sweep(tiny_home, "weak", [0])
    promote(tiny_home, NAME)
    with pytest.raises(GateRefused, match=r"dice against the champion \(.* version 1\): found \+0"):
        promote(tiny_home, "equal")
    connect(tiny_home.tracking_uri).delete_registered_model(MODEL)
    assert promote(tiny_home, "weak", force=True, reason="of the test").version == "1"
    done = promote(tiny_home, "equal", force=True, reason="of the test")
    weak = kept_confirmation(tiny_home, "weak")
    assert weak is not None
    assert done.confirmation.champion is not None
    assert done.confirmation.champion.metrics == weak.metrics
    assert done.confirmation.use == 2


@pytest.mark.parametrize(
    ("phantom", "name"),
    [(False, "ptxsweep-dice"), (None, "ptxsweep-dice"), (True, "ptxsweep-phantom-dice")],
)
def test_drawings_and_patients_have_names_apart(phantom: bool | None, name: str) -> None:
    header = SweepHeader(metric="dice", maximize=True, num_folds=2, seed=0, phantom=phantom)
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


def test_the_same_trial_under_another_rule_is_another_version(
    tiny_home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after one for another prevalence: a model keeps the rule it was registered with."""
    first = promote(tiny_home, NAME)
    other = Rule(top=0.35, min_area=0.001, bottom=0.35)
    assert first.confirmation.rule != other
    chooser = "sweep.promotion.confirm.choose_rule"
    monkeypatch.setattr(chooser, lambda _table, _prevalence: other)
    again = promote(tiny_home, NAME, again=True, force=True, reason="a test")
    assert (again.is_new, again.version, again.previous_version) == (True, "2", "1")
    assert load_champion(tiny_home, f"models:/{MODEL}@champion").rule == other
    assert not promote(tiny_home, NAME, force=True, reason="a test").is_new
