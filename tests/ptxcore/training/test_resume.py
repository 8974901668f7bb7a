"""A fold that was stopped goes on as if it had not been; damage and strangers are refused."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Protocol

import pytest

from ptxcore.data.splits.fold_plan import make_plan
from ptxcore.data.store.case_store import CaseStore
from ptxcore.digest import with_digest
from ptxcore.errors import CheckpointError
from ptxcore.models import load_weights
from ptxcore.settings import FoldSettings
from ptxcore.training import train_fold
from ptxcore.training.fold import FoldRun
from ptxcore.types import EpochReport, Runtime


class Bench(Protocol):
    store: CaseStore
    plan: Any
    whole_plan: Any

    def train(self, settings: FoldSettings = ..., **options: Any) -> list[EpochReport]: ...


def numbers(reports: list[EpochReport]) -> dict[str, Any]:
    """Everything that must not depend on when a fold was stopped."""
    result = reports[-1].result
    assert result is not None
    return {
        "metrics": dict(result.metrics),
        "curves": {name: curve for name, curve in result.curves.items() if name != "seconds"},
        "truth": result.cases.truth.tolist(),
        "background": result.cases.background.tolist(),
        "epochs": (result.best_epoch, result.num_epochs),
    }


def change(path: Path, **values: Any) -> None:
    """Change a file and its digest, as another version would have written it."""
    content = json.loads(path.read_text())
    del content["digest"]
    path.write_text(json.dumps(with_digest(content | values)))


def weights(folder: Path) -> dict[str, Any]:
    network, _ = load_weights(folder / "best")
    return {name: value.tolist() for name, value in network.state_dict().items()}


def start(bench: Bench, settings: FoldSettings, folder: Path, *, num_epochs: int) -> None:
    """Train some epochs, then stop asking."""
    generator = train_fold(
        settings, bench.store, bench.plan, 0, seed=0, runtime=Runtime(), directory=folder
    )
    for _ in range(num_epochs):
        next(generator)
    generator.close()


@pytest.mark.parametrize(
    "values",
    [
        {"schedule": "cosine"},
        {"schedule": "plateau"},
        {"ema_decay": 0.9},
        {"average_best": 2},
        {"average_best": 3, "ema_decay": 0.9, "hard_negative_share": 0.5},
        {"swa_start": 0.25},
        {"swa_start": 0.5, "ema_decay": 0.9, "hard_negative_share": 0.5},
        {"deep_supervision": True, "levels": 3, "ema_decay": 0.9},
        {"hard_negative_share": 0.7, "positive_fraction_schedule": "cosine"},
    ],
)
def test_stopped_after_any_epoch(
    bench: Bench, small: FoldSettings, tmp_path: Path, values: dict[str, Any]
) -> None:
    settings = dataclasses.replace(small, patience=3, **values)
    undisturbed = bench.train(settings, directory=tmp_path / "whole")
    for num_epochs in range(1, len(undisturbed)):
        folder = tmp_path / f"stopped-{num_epochs}"
        start(bench, settings, folder, num_epochs=num_epochs)
        rest = bench.train(settings, directory=folder)
        assert [report.epoch for report in rest] == list(
            range(num_epochs + 1, len(undisturbed) + 1)
        )
        assert numbers(rest) == numbers(undisturbed)
        assert weights(folder) == weights(tmp_path / "whole")


@pytest.mark.parametrize(
    "runtime", [Runtime(channels_last=True), Runtime(precision="bfloat16", channels_last=True)]
)
def test_stopped_after_every_epoch(
    bench: Bench, small: FoldSettings, tmp_path: Path, runtime: Runtime
) -> None:
    undisturbed = bench.train(runtime=runtime)
    for epoch in range(1, small.max_epochs + 1):
        generator = train_fold(
            small, bench.store, bench.plan, 0, seed=0, runtime=runtime, directory=tmp_path
        )
        report = next(generator)
        generator.close()
        assert report.epoch == epoch
    assert numbers([report]) == numbers(undisturbed)


def test_wall_times_of_all_attempts_are_added(
    bench: Bench, small: FoldSettings, tmp_path: Path
) -> None:
    start(bench, small, tmp_path, num_epochs=3)
    (last,) = bench.train(directory=tmp_path)
    assert last.result is not None
    assert len(last.result.curves["seconds"]) == 4
    assert last.result.seconds >= sum(last.result.curves["seconds"])


@pytest.mark.parametrize("values", [{}, {"average_best": 2}, {"swa_start": 0.25}])
def test_killed_between_best_weights_and_checkpoint(
    bench: Bench, small: FoldSettings, tmp_path: Path, values: dict[str, Any]
) -> None:
    settings = dataclasses.replace(small, ema_decay=0.8, **values)
    undisturbed = bench.train(settings, directory=tmp_path / "whole")
    folder = tmp_path / "killed"
    start(bench, settings, folder, num_epochs=1)
    run = FoldRun(settings, bench.store, bench.plan, 0, seed=0, runtime=Runtime(), directory=folder)
    run.restore()
    run.train_epoch()
    run.keep_best()  # the weights of a later epoch beside an older checkpoint
    assert numbers(bench.train(settings, directory=folder)) == numbers(undisturbed)
    assert weights(folder) == weights(tmp_path / "whole")


@pytest.mark.parametrize("values", [{}, {"average_best": 2}, {"swa_start": 0.5}])
def test_killed_before_the_held_fold_was_scored(
    bench: Bench, small: FoldSettings, tmp_path: Path, values: dict[str, Any]
) -> None:
    small = dataclasses.replace(small, **values)
    undisturbed = bench.train(small)
    run = FoldRun(small, bench.store, bench.plan, 0, seed=0, runtime=Runtime(), directory=tmp_path)
    run.restore()
    while not run.is_over:
        run.train_epoch()
        run.keep_best()
        run.checkpoint()
    if values:
        run.load_kept()  # and killed after it replaced the best weights
    (last,) = bench.train(small, directory=tmp_path)
    assert last.epoch == small.max_epochs
    assert numbers([last]) == numbers(undisturbed)


def test_a_half_written_epoch_is_ignored_and_removed(
    bench: Bench, small: FoldSettings, tmp_path: Path
) -> None:
    undisturbed = bench.train()
    start(bench, small, tmp_path, num_epochs=2)
    (tmp_path / "last" / "epoch-0003.safetensors").write_bytes(b"half")
    (tmp_path / "last" / ".state.json.part").write_bytes(b"{")
    start(bench, small, tmp_path, num_epochs=1)
    assert {path.name for path in (tmp_path / "last").iterdir()} == {
        "state.json",
        "epoch-0003.safetensors",
    }
    assert numbers(bench.train(directory=tmp_path)) == numbers(undisturbed)


def test_a_finished_fold_reports_again_without_reading_a_case(
    bench: Bench, small: FoldSettings, tmp_path: Path
) -> None:
    reports = bench.train(directory=tmp_path)
    assert not (tmp_path / "last").exists()
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    (again,) = bench.train(directory=tmp_path)
    assert numbers([again]) == numbers(reports)
    assert (again.epoch, again.monitor) == (reports[-1].epoch, reports[-1].monitor)
    assert again.result is not None
    assert again.result.weights == tmp_path / "best"
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before
    shutil.rmtree(tmp_path / "best")  # a sweep keeps the weights of its best candidates alone
    (again,) = bench.train(directory=tmp_path)
    assert again.result is not None
    assert again.result.weights is None


@pytest.mark.parametrize("finished", [False, True])
def test_a_folder_of_another_fold_is_refused(
    bench: Bench, small: FoldSettings, tmp_path: Path, finished: bool
) -> None:
    if finished:
        bench.train(directory=tmp_path)
    else:
        start(bench, small, tmp_path, num_epochs=1)
    other = make_plan(bench.store, num_folds=3, seed=7).search_part()
    for options, what in (
        ({"settings": dataclasses.replace(small, dropout=0.3)}, r"settings\.dropout: found 0\.1"),
        ({"seed": 1}, "seed: found 0, expected 1"),
        ({"fold": 1}, "fold: found 0, expected 1"),
        ({"plan": other}, "plan_digest: found"),
        ({"runtime": Runtime(channels_last=True)}, r"runtime\.channels_last: found False"),
        ({"runtime": Runtime(folded_norms=True)}, r"runtime\.folded_norms: found False"),
    ):
        with pytest.raises(CheckpointError, match=what):
            bench.train(directory=tmp_path, **options)


def test_a_checkpoint_of_an_earlier_version_lacks_settings_that_had_their_default(
    bench: Bench, small: FoldSettings, tmp_path: Path
) -> None:
    undisturbed = bench.train()
    start(bench, small, tmp_path, num_epochs=1)
    path = tmp_path / "last" / "state.json"
    state = json.loads(path.read_text())
    del state["fold"]["settings"]["ema_decay"]
    del state["fold"]["runtime"]["folded_norms"]
    del state["digest"]  # which format 1 did not have
    path.write_text(json.dumps(state | {"format": 1}))
    with pytest.raises(CheckpointError, match=r"ema_decay: found 0\.0, expected 0\.5"):
        bench.train(dataclasses.replace(small, ema_decay=0.5), directory=tmp_path)
    assert numbers(bench.train(directory=tmp_path)) == numbers(undisturbed)


@pytest.mark.parametrize("section", ["settings", "runtime"])
def test_a_checkpoint_of_a_later_version_with_a_setting_more_is_refused(
    bench: Bench, small: FoldSettings, tmp_path: Path, section: str
) -> None:
    start(bench, small, tmp_path, num_epochs=1)
    path = tmp_path / "last" / "state.json"
    identity = json.loads(path.read_text())["fold"]
    identity[section]["imagined"] = True
    change(path, fold=identity)
    with pytest.raises(CheckpointError, match=rf"{section}\.imagined: found True"):
        bench.train(directory=tmp_path)


def test_a_checkpoint_of_other_data_is_refused(
    bench: Bench, small: FoldSettings, tmp_path: Path
) -> None:
    start(bench, small, tmp_path, num_epochs=1)
    path = tmp_path / "last" / "state.json"
    change(path, fold=json.loads(path.read_text())["fold"] | {"data_hash": "0" * 64})
    with pytest.raises(CheckpointError, match="data_hash: found '000"):
        bench.train(directory=tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("state.json", b"{", "found no readable state"),
        ("state.json", b"[]", "format: found None, expected 2"),
        ("state.json", b"[" * 100_000, "found no readable state"),
        ("state.json", b'{"format": 3}', "format: found 3, expected 2"),
        ("epoch-0001.safetensors", b"half", "found other bytes than were saved"),
        ("epoch-0001.safetensors", None, "found a checkpoint that cannot be read"),
    ],
)
def test_a_damaged_checkpoint_is_refused_by_name(
    bench: Bench,
    small: FoldSettings,
    tmp_path: Path,
    name: str,
    content: bytes | None,
    message: str,
) -> None:
    start(bench, small, tmp_path, num_epochs=1)
    path = tmp_path / "last" / name
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(CheckpointError, match=message) as caught:
        bench.train(directory=tmp_path)
    assert str(tmp_path / "last") in str(caught.value)


@pytest.mark.parametrize("finished", [False, True])
@pytest.mark.parametrize(
    "values",
    [
        {"curves": 3},
        {"curves": {"train_loss": [], "learning_rate": [], "seconds": [1.0]}},
        {"fold": 3},
        {"fold": None},
        {"digest": None},
    ],
)
def test_a_changed_state_or_result_is_refused(
    bench: Bench, small: FoldSettings, tmp_path: Path, finished: bool, values: dict[str, Any]
) -> None:
    start(bench, small, tmp_path, num_epochs=4 if finished else 1)
    path = tmp_path / ("result.json" if finished else "last/state.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | values))
    message = rf"{path.name}: found another content than was saved .*remove {path.parent} to train"
    with pytest.raises(CheckpointError, match=message):
        bench.train(directory=tmp_path)


def test_a_finished_fold_without_its_cases_is_refused(bench: Bench, tmp_path: Path) -> None:
    bench.train(directory=tmp_path)
    (tmp_path / "cases.npz").unlink()
    with pytest.raises(CheckpointError, match=r"cases\.npz"):
        bench.train(directory=tmp_path)


_CHILD = """
import os, signal, sys
from pathlib import Path
from torch.optim.optimizer import register_optimizer_step_post_hook
from ptxcore.data.splits.fold_plan import SearchPlan
from ptxcore.data.store.case_store import CaseStore
from ptxcore.settings import FoldSettings
from ptxcore.training import train_fold
from ptxcore.types import Runtime

store, plan, folder = map(Path, sys.argv[1:])
settings = FoldSettings(**eval(sys.stdin.read()))

def after_a_step(*_):
    if (folder / "last" / "epoch-0002.safetensors").exists():
        os.kill(os.getpid(), signal.SIGKILL)

register_optimizer_step_post_hook(after_a_step)
for _ in train_fold(settings, CaseStore.open(store), SearchPlan.load(plan), 0, seed=0,
                    runtime=Runtime(), directory=folder):
    pass
"""


def test_killed_by_signal_in_mid_epoch(bench: Bench, small: FoldSettings, tmp_path: Path) -> None:
    """In a process of its own, after the first of several steps of the third epoch."""
    undisturbed = bench.train()
    plan, folder = tmp_path / "plan.json", tmp_path / "fold"
    bench.plan.save(plan)
    child = subprocess.Popen(
        [sys.executable, "-c", _CHILD, str(bench.store.folder), str(plan), str(folder)],
        stdin=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert child.stdin is not None
    child.stdin.write(repr(small.as_dict()))
    child.stdin.close()
    assert child.wait() == -signal.SIGKILL
    assert not (folder / "result.json").exists()
    rest = bench.train(directory=folder)
    assert [report.epoch for report in rest] == [3, 4]
    assert numbers(rest) == numbers(undisturbed)
