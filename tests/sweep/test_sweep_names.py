"""Sweeps are renamed, cloned and deleted with all that has their name, and nothing is forgotten."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from mlflow.entities import ViewType
from tiny_sweep import NAME, copy_sweep

from ptxcore.data.splits.fold_plan import FoldPlan
from sweep import delete as verb
from sweep.clone import clone
from sweep.delete import delete, foresee
from sweep.errors import LeaseHeld, NameTaken, UnknownSweep, UsageError
from sweep.ledger import Ledger, list_sweeps
from sweep.ledger.evidence import Evidence
from sweep.mlflow.view import connect, sweep_id
from sweep.rename import rename
from sweep.space.overrides import Overrides
from sweep.storage import renaming
from sweep.storage.home import Home
from sweep.storage.sweep import Sweep
from sweep.sync import sync

SPACE = """
name: tiny
objective: {metric: average_precision}
folds: 2
policy: {name: greedy, num_trials: 4, num_completions: 2}
pruner: {name: none}
parameters:
  learning_rate: {type: float, low: 1.0e-4, high: 1.0e-2, log: true, default: 1.0e-3}
"""


@pytest.fixture
def family(tiny_home: Home) -> Home:
    """A home with the sweep "tiny", which was confirmed and whose hold-out was used twice."""
    copy_sweep(tiny_home, f"{NAME}.confirm", [0, 1], confirms=NAME)
    for name in (NAME, f"{NAME}.confirm"):
        use_holdout(tiny_home, name)
    return tiny_home


def use_holdout(home: Home, name: str) -> None:
    kept = Evidence(home.ledger_url, name)
    kept.begin(purpose="a test", git_sha="0", holdout_digest="d" * 64, trials=[1])
    kept.close()


def uses(home: Home) -> int:
    """Uses of the hold-out by all sweeps."""
    kept = Evidence(home.ledger_url, "any")
    try:
        return len(kept.ids_of_uses("d" * 64))
    finally:
        kept.close()


def runs(home: Home, **how: Any) -> dict[str, str]:
    """Names of the runs in MLflow by id, and below which experiment."""
    client = connect(home.tracking_uri)
    places = {
        place.experiment_id: place.name
        for place in client.search_experiments(filter_string="name LIKE 'ptxsweep%'")
    }
    found = client.search_runs(list(places), **how)
    return {
        run.info.run_id: f"{places[run.info.experiment_id]}: {run.info.run_name}" for run in found
    }


def register(home: Home) -> None:
    """A version that says that it comes from the sweep."""
    with Sweep.open(home, NAME) as sweep:
        own = sweep_id(NAME, sweep.header)
    client = connect(home.tracking_uri, home.artifacts)
    client.create_registered_model("mine")
    client.create_model_version("mine", "nowhere", tags={"ptxsweep.sweep_id": own})


def test_a_rename_takes_everything_along(family: Home) -> None:
    before = sync(family, NAME)
    known = runs(family)
    done = rename(family, NAME, "other")
    assert (done.name, done.confirmation, done.in_mlflow) == ("other", "other.confirm", True)
    assert sorted(list_sweeps(family.ledger_url)) == ["other", "other.confirm"]
    with Sweep.open(family, "other.confirm") as sweep:
        assert sweep.header.confirms == "other"
        assert len(sweep.evidence.uses()) == 1
    with Sweep.open(family, "other") as sweep:
        assert len(sweep.evidence.uses()) == 1
        assert (sweep.folder / "plan.json").is_file()
    assert uses(family) == 2
    assert not family.sweep_folder(NAME).exists()
    assert not family.journal.exists()
    # The same runs, under the new name.
    assert sync(family, "other").run_id == before.run_id
    expected = {
        run: text.replace(f"/{NAME}", "/other").replace(f": {NAME}", ": other")
        for run, text in known.items()
    }
    now = runs(family)
    assert {run: now[run] for run in known} == expected
    # And back again, as if nothing had been.
    rename(family, "other", NAME)
    assert sync(family, NAME).run_id == before.run_id
    now = runs(family)
    assert {run: now[run] for run in known} == known


def test_a_rename_that_was_cut_off_is_ended_or_undone(
    family: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    end = renaming._end

    def crash(home: Home) -> None:
        raise RuntimeError("cut off")

    # Before the ledger has the new name: nothing has happened.
    monkeypatch.setattr(renaming, "_end", crash)
    with (
        pytest.raises(RuntimeError, match="cut off"),
        renaming.moving(family, {NAME: "other"}),
    ):
        pass
    monkeypatch.setattr(renaming, "_end", end)
    assert family.journal.exists()
    with Sweep.open(family, NAME) as sweep:
        assert (sweep.folder / "plan.json").is_file()
    assert not family.journal.exists()
    # Behind it: the folders follow.
    monkeypatch.setattr(renaming, "_end", crash)
    with pytest.raises(RuntimeError, match="cut off"):
        rename(family, NAME, "other")
    monkeypatch.setattr(renaming, "_end", end)
    assert family.sweep_folder(NAME).exists()
    with Sweep.open(family, "other") as sweep:
        assert (sweep.folder / "plan.json").is_file()
    assert family.sweep_folder("other.confirm").exists()
    assert not family.sweep_folder(NAME).exists()
    assert not family.journal.exists()


@pytest.mark.parametrize(
    ("names", "error", "says"),
    [
        ((NAME, f"{NAME}.confirm"), UsageError, "one that does not end in '.confirm'"),
        ((NAME, "../x"), UsageError, "sweep name: found"),
        ((NAME, "taken"), NameTaken, "sweep named 'taken'"),
        ((f"{NAME}.confirm", "x"), UsageError, "is the confirmation of 'tiny', expected a search"),
        (("tin", "x"), UnknownSweep, "did you mean 'tiny'"),
    ],
)
def test_names_that_cannot_be_are_refused(
    family: Home, names: tuple[str, str], error: type[Exception], says: str
) -> None:
    family.sweep_folder("taken").mkdir()
    for act in (rename, clone):
        with pytest.raises(error, match=says):
            act(family, *names)
    assert sorted(list_sweeps(family.ledger_url)) == [NAME, f"{NAME}.confirm"]


def test_what_runs_or_became_a_model_stays(family: Home) -> None:
    driver = Ledger.open(family.ledger_url, f"{NAME}.confirm")
    driver.acquire("host:1", ttl_seconds=30)
    for act in (lambda: rename(family, NAME, "x"), lambda: delete(family, NAME)):
        with pytest.raises(LeaseHeld, match=r"`ptxsweep stop tiny\.confirm` stops it"):
            act()
    driver.close()
    register(family)
    for act in (lambda: rename(family, NAME, "x"), lambda: delete(family, NAME)):
        with pytest.raises(UsageError, match="models:/mine/1 came from it"):
            act()


def test_a_deleted_sweep_leaves_its_uses_of_the_hold_out(
    family: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy_sweep(family, "stays", [0, 1], space_text=SPACE)
    for name in (NAME, "stays"):
        sync(family, name)
    found = foresee(family, NAME)
    assert (found.num_trials, found.num_holdout_uses, found.confirmation) == (
        *(2, 2),
        f"{NAME}.confirm",
    )
    assert found.num_bytes > 1000
    with monkeypatch.context() as patch:
        patch.setattr(verb, "remove_runs", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError, match="division"):
            delete(family, NAME)
    assert uses(family) == 2
    gone = dataclasses.replace(found, num_bytes=0, num_holdout_uses=0, num_runs=3)
    assert delete(family, NAME) == gone  # what was cut off is ended
    assert list_sweeps(family.ledger_url) == ["stays"]
    assert [path.name for path in family.storage.iterdir()] == ["stays"]
    assert {text.split("stays")[0] for text in runs(family).values()} == {
        *("ptxsweep: ", "ptxsweep/"),
    }
    assert len(runs(family, run_view_type=ViewType.DELETED_ONLY)) == 3
    assert uses(family) == 2
    with pytest.raises(UnknownSweep, match="no sweep is named 'tiny'"):
        delete(family, NAME)
    # The name is free, and what has it is another sweep.
    clone(family, "stays", NAME)
    with Sweep.open(family, NAME) as sweep:
        assert sweep.evidence.uses() == []
    assert uses(family) == 2


def test_a_clone_has_the_folds_and_no_results(tiny_home: Home) -> None:
    copy_sweep(tiny_home, "first", [0, 1], space_text=SPACE)
    done = clone(tiny_home, "first", "second", Overrides(fixed={"batch_size": 8}, num_trials=3))
    assert (done.num_trials, done.changed) == (3, {"batch_size": 8, "num_trials": 3})
    with Sweep.open(tiny_home, "first") as one, Sweep.open(tiny_home, "second") as two:
        plans = [FoldPlan.load(sweep.folder / "plan.json").digest for sweep in (one, two)]
        same = ("plan_digest", "search_plan_digest", "data_hash", "seed", "store", "runtime")
        for fact in same:
            assert getattr(one.header, fact) == getattr(two.header, fact)
        assert two.header.space_digest != one.header.space_digest
        assert "batch_size: 8" in (two.folder / "space.yaml").read_text(encoding="utf-8")
        assert (two.projection.trials, two.projection.sweep_state) == ([], "created")
        assert not (two.folder / "trials").exists()
    assert plans[0] == plans[1] == done.plan_digest
    with pytest.raises(UsageError, match="batch_sise"):
        clone(tiny_home, "first", "third", Overrides(fixed={"batch_sise": 8}))
    assert not tiny_home.sweep_folder("third").exists()
