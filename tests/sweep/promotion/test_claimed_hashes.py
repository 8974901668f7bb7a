"""What a manifest claims is computed before anything is decided on it.

Each test inverts every mask of a store whose manifest still says the old hash; one of them also
renews the table of cases, as a tool would that knows the format but for the data hash.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from command_line import TINY_SPACE
from confirming import confirm_now
from tiny_store import drawn_store
from tiny_sweep import NAME, home_at

from ptxcore.data.store.case_store import (
    CASES,
    MANIFEST,
    MASKS,
    CaseStore,
    case_digest,
    write_table,
)
from ptxcore.errors import StoreError
from sweep import launch
from sweep.ledger import Ledger, list_sweeps
from sweep.ledger.evidence import Evidence
from sweep.promotion.promote import promote
from sweep.ray.resources import Resources
from sweep.storage.home import Home

CHANGED = r"found \d+ of \d+ cases changed or damaged|another data hash than the cases have"


def invert(folder: Path, *, with_table: bool) -> None:
    """Every mask becomes its opposite under the old data hash."""
    store = CaseStore.open(folder)
    masks = [~store.mask(index) for index in range(len(store))]
    packed = [np.packbits(mask) for mask in masks]
    cases = [
        dataclasses.replace(
            case,
            mask_px=int(mask.sum()),
            digest=case_digest(store.image(index), packed[index]),
        )
        for index, (case, mask) in enumerate(zip(store.cases, masks, strict=True))
    ]
    del store
    (folder / MASKS).write_bytes(b"".join(mask.tobytes() for mask in packed))
    if with_table:
        manifest = json.loads((folder / MANIFEST).read_text())
        manifest["cases_sha256"] = write_table(folder / CASES, cases)
        (folder / MANIFEST).write_text(json.dumps(manifest))


@pytest.fixture(params=[False, True], ids=["masks alone", "masks and table"])
def inverted(request: pytest.FixtureRequest, trained_home: Home, tmp_path: Path) -> Path:
    """The store of the finished sweep with every mask inverted."""
    ledger = Ledger.open(trained_home.ledger_url, NAME)
    shutil.copytree(str(ledger.header.store), tmp_path / "inverted")
    ledger.close()
    invert(tmp_path / "inverted", with_table=request.param)
    return tmp_path / "inverted"


def test_the_hold_out_stays_unspent(tiny_home: Home, inverted: Path) -> None:
    with pytest.raises(StoreError, match=CHANGED):
        confirm_now(tiny_home, NAME, store=inverted)
    with pytest.raises(StoreError, match=CHANGED):
        promote(tiny_home, NAME, store=inverted)
    assert Evidence(tiny_home.ledger_url, NAME).uses() == []
    seen: list[tuple[int, int]] = []
    found = confirm_now(tiny_home, NAME, on_verify=lambda done, total: seen.append((done, total)))
    assert found.use == 1
    assert seen[-1] == (48, 48)


def test_the_hold_out_is_opened_on_what_is_computed(tiny_home: Home, inverted: Path) -> None:
    """A note that the store was verified once counts for a resume, not for a hold-out."""
    (inverted / "derived").mkdir(exist_ok=True)
    state = {
        name: [one.st_size, one.st_mtime_ns, one.st_ctime_ns, one.st_ino]
        for name in ("manifest.json", "cases.csv", "images.bin", "masks.bin")
        for one in ((inverted / name).stat(),)
    }
    (inverted / "derived" / "verified.json").write_text(json.dumps(state))
    with pytest.raises(StoreError, match=CHANGED):
        confirm_now(tiny_home, NAME, store=inverted)


@pytest.mark.parametrize("with_table", [False, True])
def test_run_and_resume_refuse_it_and_change_nothing(
    with_table: bool, tmp_path: Path, mlflow_template: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = home_at(tmp_path / "home")
    home.folder.mkdir()
    shutil.copy(mlflow_template, home.folder / "mlflow.db")
    store = tmp_path / "store"
    drawn_store(store, num_cases=24, num_positive=12, side_px=64)
    space = tmp_path / "tiny.yaml"
    space.write_text(TINY_SPACE.replace("POLICY", "greedy").replace("EPOCHS", "1"))
    monkeypatch.setattr(launch, "ray_cluster", lambda request: nullcontext(Resources()))
    monkeypatch.setattr(launch, "drive", lambda *_, **__: None)
    name = launch.run(str(space), store=store, home=home, precision="float32").name
    seen: list[int] = []
    launch.resume(name, home=home, on_verify=lambda done, total: seen.append(done))
    assert seen == []  # the same files were read by `run`
    invert(store, with_table=with_table)
    with pytest.raises(StoreError, match=CHANGED):
        launch.resume(name, home=home)
    with pytest.raises(StoreError, match=CHANGED):
        launch.run(str(space), store=store, home=home, name="another", precision="float32")
    assert list_sweeps(home.ledger_url) == [name]
    assert not home.sweep_folder("another").exists()
