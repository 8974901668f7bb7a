"""`space list`, `space check` and `run --dry-run` say what a sweep would be."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tiny_store import drawn_store

from ptxcore.training import has_gpu
from sweep.cli import main
from sweep.errors import UsageError
from sweep.forecast import slow_without_gpu
from sweep.launch import PlanOptions
from sweep.ray.resources import ResourceRequest
from sweep.space import load_space, shipped_spaces
from sweep.space.overrides import Overrides
from sweep.storage.home import Home

BROKEN = """
name: bad space
objective: {metric: dicee}
folds: 1
policy: {name: greedyy}
fixed: {networkk: attention_unet}
candidates: [{dropout: 0.2}]
parameters:
  learning_rate: {type: float, low: 1.0e-2, high: 1.0e-4, log: true, default: 1.0e-3}
  patch_sizes: {type: categorical, choices: [128, 256], default: 256}
  weight_decay: {type: float, low: 0.1, high: 0.3, default: 0.2, when: {learning_rate: 0.001}}
  dropout: {type: flot, low: 0.0, high: 0.4, default: 0.1}
"""
SMALL = """
name: small
objective: {metric: dice}
folds: 2
policy: {name: greedy, num_trials: 4, num_completions: 2}
fixed: {channels: 4, levels: 2, image_size: 32, patch_size: 32, batch_size: 2, steps_per_epoch: 3,
        max_epochs: 2, warmup_epochs: 0}
parameters:
  learning_rate: {type: float, low: 1.0e-4, high: 1.0e-2, log: true, default: 1.0e-3}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "space.yaml"
    file.write_text(SMALL.lstrip())
    return file


def test_all_mistakes_are_told_in_order_but_nothing_that_hangs_on_one(
    file: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file.write_text(BROKEN.lstrip())
    assert main(["space", "check", str(file)]) == 2
    lines = capfd.readouterr().err.splitlines()
    assert all(line.startswith(f"error: {file}:") for line in lines)
    found = [line.removeprefix(f"error: {file}:").split(": ")[:2] for line in lines]
    assert found == [
        ["1", "name"],
        ["2", "objective.metric"],
        ["3", "folds"],
        ["4", "policy.name"],
        ["5", "fixed.networkk"],
        ["8", "parameters.learning_rate.low"],
        ["9", "parameters.patch_sizes"],
        ["11", "parameters.dropout.type"],
    ]


def test_values_that_are_no_settings_are_told_at_once_too(
    file: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    more = "  dropout: {type: float, low: 0.0, high: 1.5, default: 0.1}\n"
    more += "  weight_decay: {type: float, low: -1.0, high: 0.1, default: 0.01}\n"
    file.write_text(SMALL.lstrip() + more)
    assert main(["space", "check", str(file)]) == 2
    first, second = capfd.readouterr().err.splitlines()
    assert ":9: at 1.5: dropout" in first
    assert ":10: at -1.0: weight_decay" in second


def test_a_sound_space_says_how_many_folds(file: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["space", "check", str(file)]) == 0
    shown = capfd.readouterr().out
    assert "learning_rate            0.0001 to 0.01, logarithmic [0.001]" in shown
    assert "4 trials of 2 folds, policy greedy: about 6 folds, and 8 in a full grid" in shown


def test_a_wave_says_where_it_looks_and_where_the_measured_ones_did(
    file: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    said = "with looks after a sixth and five twelfths of a fold; here after"
    assert main(["space", "check", str(file)]) == 0
    assert said not in capfd.readouterr().out
    file.write_text(file.read_text().replace("greedy, num_trials: 4, num_completions: 2", "wave"))
    assert main(["space", "check", str(file)]) == 0
    assert f"{said} 2 and 5 of 2 epochs" in capfd.readouterr().out
    assert main(["space", "check", "attention_unet"]) == 0
    said = "end at 0.1, cost"
    assert said in (told := capfd.readouterr().out)
    assert "with a look after a third of a fold; here after 20 of 60 epochs" in told


def test_the_shipped_spaces_are_listed(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["space", "list", "--json"]) == 0
    told = json.loads(capfd.readouterr().out)["spaces"]
    assert [space["name"] for space in told] == list(shipped_spaces())
    for space in told:
        policy = load_space(space["name"]).policy
        assert space["num_trials"] == policy.num_trials
        assert space["num_folds_expected"] <= space["num_folds_most"]


def test_a_space_for_gpus_is_told_what_it_takes_without_one(file: Path, tmp_path: Path) -> None:
    store = drawn_store(tmp_path / "store", num_cases=30, num_positive=12).folder
    home = Home.from_environment(tmp_path / "home")

    def told(request: ResourceRequest, **fixed: int) -> str | None:
        return slow_without_gpu(
            str(file),
            store=store,
            home=home,
            name=None,
            seed=0,
            overrides=Overrides(fixed=fixed),
            plan_options=PlanOptions(),
            request=request,
        )

    assert told(ResourceRequest()) is None  # as small as the space for CPUs
    large = {"image_size": 512, "patch_size": 0, "batch_size": 16}
    assert told(ResourceRequest(address="elsewhere:6379"), **large) is None
    if has_gpu():
        assert told(ResourceRequest(), **large) is None
        return
    found = told(ResourceRequest(workers=1), **large)
    assert found is not None
    assert "found no GPU on this machine, and the training steps of small take about" in found
    assert "1 fold at once; the space 'cpu' is for such machines" in found
    with pytest.raises(UsageError, match="expected"):
        told(ResourceRequest(), channels=0, **large)


def test_a_dry_run_starts_and_writes_nothing(
    file: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    store = drawn_store(tmp_path / "store", num_cases=30, num_positive=12)
    home = tmp_path / "home"
    words = ["run", str(file), "--store", str(store.folder), "--home", str(home), "--dry-run"]
    before = sorted(tmp_path.rglob("*"))
    assert main([*words, "--json"]) == 0
    told = json.loads(capfd.readouterr().out)
    assert told["sweep"] == "small"
    assert told["space"]["num_folds_expected"] == 6
    assert told["cohort"]["num_holdout"] > 0
    assert told["seconds"] == pytest.approx(6 * told["seconds_per_fold"])
    assert told["seconds_per_fold"] > 0
    assert main([*words, "--hours", "2"]) == 0
    shown = capfd.readouterr().out
    assert "--hours ends it after 2 h 0 min" in shown
    assert "nothing was started" in shown
    assert "so all about" in shown
    file.write_text(file.read_text().replace("greedy, num_trials: 4, num_completions: 2", "wave"))
    assert main(words) == 0
    assert "so all at most" in capfd.readouterr().out  # as the number of folds, which is a bound
    file.write_text(SMALL.lstrip())
    assert sorted(tmp_path.rglob("*")) == before
