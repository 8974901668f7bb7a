"""What the simulator makes of tables that are not as they should be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from synthetic_sweeps import run_sweep

from sweep.cli import main
from sweep.errors import UsageError
from sweep.records import State
from sweep.simulate import Cluster, Missing, load_table, outcome, parse_arm, replay
from sweep.storage.home import Home


def saved(folder: Path, scores: Any, **arrays: Any) -> Path:
    path = folder / "made.npz"
    np.savez(path, scores=np.array(scores, np.float64), **arrays)
    return path


@pytest.mark.parametrize(("missing", "num_rows"), [("drop", 2), ("worst", 3)])
def test_a_missing_score_needs_no_seconds(tmp_path: Path, missing: Missing, num_rows: int) -> None:
    path = saved(
        tmp_path,
        [[0.5, 0.6], [0.7, np.nan], [0.1, 0.2]],
        fit_s=np.array([[1.0, 2.0], [3.0, np.nan], [4.0, 5.0]]),
    )
    table = load_table(path, missing=missing)
    assert table.scores.shape == (1, num_rows, 2)
    if missing == "worst":
        assert table.seconds[0].tolist() == [[1.0, 2.0], [3.0, 3.0], [4.0, 5.0]]
    with pytest.raises(UsageError, match=r"1 of 3 .*\(--missing drop\).*\(--missing worst\)"):
        load_table(path)


def test_no_seconds_at_all_are_none(tmp_path: Path) -> None:
    path = saved(tmp_path, [[np.nan], [np.inf]], fit_s=np.array([[np.nan], [-1.0]]))
    with pytest.raises(UsageError, match="1 of 2 configurations miss scores"):
        load_table(path)


@pytest.mark.parametrize("seconds", [np.nan, -1.0, np.inf])
def test_a_score_needs_seconds(tmp_path: Path, seconds: float) -> None:
    path = saved(tmp_path, [[0.5], [0.6]], seconds=np.array([[1.0], [seconds]]))
    with pytest.raises(UsageError, match="beside a score"):
        load_table(path)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_table_without_a_best_is_refused(tmp_path: Path, value: float) -> None:
    path = saved(tmp_path, [[[0.5, value]], [[value, 0.6]]])
    with pytest.raises(UsageError, match="found no configuration with finite scores"):
        load_table(path, missing="worst")


def said(capfd: pytest.CaptureFixture[str], *words: str | Path) -> str:
    """What `simulate` says beside its JSON."""
    arguments = map(str, words)
    assert main(["simulate", *arguments, "--policy", "standard", "--seeds", "1", "--json"]) == 0
    out, err = capfd.readouterr()
    (row,) = json.loads(out)
    assert row["hit"] == 1
    return err


def test_scores_that_are_not_finite_are_said(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = saved(tmp_path, [[0.5, 0.6], [0.7, np.nan], [np.inf, 0.2]])
    worst = said(capfd, path, "--missing", "worst")
    assert worst == "made: 2 scores are not finite and count as worst\n"
    dropped = said(capfd, path, "--missing", "drop")
    assert dropped == "made: 1 score is not finite and counts as worst\n"
    assert not said(capfd, saved(tmp_path, [[0.5, 0.6]]))


def test_equal_params_with_unequal_scores_are_told_apart(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    scores = np.random.default_rng(0).uniform(0, 1, (40, 4)).round(3)
    scores[39] = 2.0  # the best, hidden among its equals
    scores[1] = scores[0]
    params = [{"x": 0, "y": "a"}] * 20 + [{"y": "b", "x": 1}] * 19 + [{"x": 1, "y": "b"}]
    path = saved(tmp_path, scores, params=np.array(json.dumps(params)))
    assert "made: 40 configurations have the params of another" in said(capfd, path)
    table = load_table(path)
    names = [repr(sorted(one.items())) for one in table.params]
    assert names[0] == names[1]
    assert len(set(names)) == 39
    layout, run = replay(table, parse_arm("default"), Cluster(), 0)
    assert outcome(table, layout, run, Cluster()).hit == 1


def test_twins_and_params_that_differ_stay_as_they_are(tmp_path: Path) -> None:
    params = [{"x": 0}, {"x": 0}, {"x": 1}, {"x": 2}, {}, {}]
    scores = [[0.5], [0.5], [0.5], [0.7], [0.1], [0.2]]
    table = load_table(saved(tmp_path, scores, params=np.array(json.dumps(params))))
    assert list(table.params) == params
    assert not table.notes


@pytest.mark.parametrize(
    "params",
    [
        np.array(b'[{"x": 1}, {"x": "\xc3\xa9"}]'),
        np.frombuffer(b'[{"x": 1}, {"x": "\xc3\xa9"}]', np.uint8),
        np.array(['[{"x": 1}, {"x": "\u00e9"}]']),
        np.array(['{"x": 1}', '{"x": "\u00e9"}']),
        np.array([b'{"x": 1}', b'{"x": "\xc3\xa9"}']),
    ],
)
def test_params_come_in_several_forms(tmp_path: Path, params: Any) -> None:
    table = load_table(saved(tmp_path, [[0.5], [0.6]], params=params))
    assert table.params == ({"x": 1}, {"x": "\u00e9"})


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (np.array([1.0, 2.0]), "params: not JSON: found float64 values, expected text"),
        (np.array([b"\xff", b"{}"]), "params: not JSON: 'utf-8' codec"),
        (np.array("[" * 100_000), "params: not JSON"),
        (np.array(["{}", "3"]), "params: expected a list of objects"),
        (np.array("{}"), "params: found 1, expected 2"),
        (
            np.array(["{}", f'{{"x": 1{"0" * 400}}}']),
            "params: x of configuration 1: found a number",
        ),
        (np.array(["{}", '{"x": -Infinity}']), "params: x of configuration 1: found a"),
    ],
)
def test_params_that_are_none_are_refused(tmp_path: Path, params: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load_table(saved(tmp_path, [[0.5], [0.6]], params=params))


def test_a_pruner_of_epochs_without_curves_is_said(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = saved(tmp_path, [[0.5, 0.6]])
    assert "made: has no curves, so the pruner median sees" in said(capfd, path, "--pruner=median")
    assert not said(capfd, path, "--pruner=median", "--set=scope=folds")


def test_a_sweep_is_replayed_even_beside_a_folder_of_its_name(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home.from_environment(tmp_path / "home")
    home.folder.mkdir()
    ledger = run_sweep(home.ledger_url)
    states = [one.state for one in ledger.projection.trials]
    ledger.close()
    num_open = sum(state is not State.COMPLETE for state in states)
    assert 0 < num_open < len(states)
    (tmp_path / "synthetic").mkdir()
    monkeypatch.chdir(tmp_path)
    expected = f"synthetic: {num_open} of {len(states)} trials are left out: not complete\n"
    assert said(capfd, "synthetic", "--home", home.folder) == expected


def test_files_that_are_no_tables_are_refused(tmp_path: Path) -> None:
    path = saved(tmp_path, np.random.default_rng(0).uniform(size=(500, 5)))
    whole = path.read_bytes()
    with path.open("wb") as file:
        np.save(file, np.ones((3, 2)))
    with pytest.raises(UsageError, match="cannot be read as a table"):
        load_table(path)
    method = bytearray(whole)
    method[method.rindex(b"PK\x01\x02") + 10] = 99  # no compression that there is
    path.write_bytes(method)
    with pytest.raises(UsageError, match="cannot be read as a table"):
        load_table(path)
    for size in range(0, len(whole), 1001):
        path.write_bytes(whole[:size])
        with pytest.raises(UsageError, match="cannot be read as a table"):
            load_table(path)
    for name in ("scores", "fit_s", "curves"):
        arrays = {"scores": np.ones((2, 2)), name: np.array([["a", "b"], ["c", "d"]])}
        np.savez(path, **arrays)
        with pytest.raises(UsageError, match=f"{name}: found <U1 values, expected numbers"):
            load_table(path)
