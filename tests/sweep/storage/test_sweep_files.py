"""A sweep's files, the same in a shared folder and in object storage."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from projections import add, finish, projection, start

from sweep.errors import NameTaken, StorageError
from sweep.ledger.projection import Projection, Trial
from sweep.records import State
from sweep.storage.home import Home
from sweep.storage.sweep_files import BucketFiles, SweepFiles, files_of

MARK = {"ledger": "ours", "host": "here", "at": 1.0}
PLAN = {"plan.json": "whole", "search_plan.json": "search", "space.yaml": "space"}


def home_at(folder: Path, storage: str | None) -> Home:
    return Home.from_environment(folder, storage=storage)


def write(files: SweepFiles, contents: dict[str, str]) -> None:
    for name, text in contents.items():
        path = files.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def finished() -> Projection:
    """Three trials with a fold each; the second is the best."""
    made = projection(num_folds=1)
    for number in (0, 1, 2):
        start(made, add(made), 0)
        finish(made, number, 0, (0.5, 0.9, 0.7)[number])
        place = f"trials/{number:04d}/fold-0/attempt-1"
        score = made.trials[number].folds[0]
        made.trials[number].folds[0] = dataclasses.replace(score, cases=f"{place}/cases.npz")
        made.end(number, State.COMPLETE, None, "then")
    return made


def attempt(one: Trial) -> dict[str, str]:
    place = f"trials/{one.number:04d}/fold-0/attempt-1"
    return {f"{place}/cases.npz": "table", f"{place}/best/weights": f"{one.number}"}


@pytest.mark.parametrize("kind", ["folder", "bucket"])
def test_a_plan_and_a_folder_come_back(kind: str, tmp_path: Path, s3: str) -> None:
    place = s3 if kind == "bucket" else str(tmp_path / "shared")
    here, there = (files_of(home_at(tmp_path / n, place), "one") for n in ("here", "there"))
    assert isinstance(here, BucketFiles) == (kind == "bucket")
    assert here.address == (f"{s3}/one" if kind == "bucket" else None)
    here.claim(may_take=lambda mark: False)
    write(here, PLAN)
    here.save_plan({})
    write(here, {"confirmation/use-1/table": "scores"})
    here.save_folder("confirmation/use-1")
    there.bring_plan()
    there.bring_folder("confirmation/use-1")
    assert {name: (there.folder / name).read_text() for name in PLAN} == PLAN
    assert (there.folder / "confirmation/use-1/table").read_text() == "scores"


def test_a_bucket_holds_one_sweep_of_a_name(tmp_path: Path, s3: str) -> None:
    files = files_of(home_at(tmp_path / "here", s3), "one")
    with pytest.raises(StorageError, match="holds no sweep"):
        files.bring_plan()
    write(files, PLAN)
    files.save_plan(MARK)
    with pytest.raises(NameTaken, match=r"one holds a sweep already; .* resume one"):
        files_of(home_at(tmp_path / "there", s3), "one").claim(may_take=lambda mark: False)
    files.claim(may_take=MARK.__eq__)  # of a driver that was killed before its row was there
    assert not files_of(home_at(tmp_path / "there", s3), "one")._bucket.keys("")


@pytest.mark.parametrize("kind", ["folder", "bucket"])
def test_tables_come_without_weights_and_tidying_keeps_the_best_and_the_default(
    kind: str, tmp_path: Path, s3: str
) -> None:
    place = s3 if kind == "bucket" else str(tmp_path / "shared")
    here, there = (files_of(home_at(tmp_path / n, place), "one") for n in ("here", "there"))
    made = finished()
    for one in made.trials:
        write(here, attempt(one))
        here.save_folder(f"trials/{one.number:04d}/fold-0/attempt-1")
    there.bring_folds(made.trials)
    names = [name for one in made.trials for name in attempt(one)]
    has_weights = kind == "folder"
    assert [(there.folder / name).exists() for name in names] == [True, has_weights] * 3
    here.tidy(made, num_kept=1)
    there.bring_folds(made.trials, weights=True)
    kept = [name for name in names if (there.folder / name).exists()]
    assert set(names) - set(kept) == {"trials/0002/fold-0/attempt-1/best/weights"}
