"""The examples run, and show what they say they show."""

from __future__ import annotations

import ast
import importlib.util
import json
import runpy
from pathlib import Path
from types import ModuleType

import optuna
import pytest
from synthetic_sweeps import run_sweep

from sweep import Home, load_sweep
from sweep.analysis.standing import standing
from sweep.records import State

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_fold_is_trained_in_a_loop(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = load("train_fold").main(tmp_path)
    assert result.num_epochs == 3
    assert capsys.readouterr().out.count("epoch ") == 3
    assert 0 <= result.metrics["average_precision"] <= 1


def test_an_own_policy_is_replayed_then_live_and_its_ledger_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = load("own_policy")
    run = own.replay(ROOT / "tests" / "data" / "tables" / "sk_wine_knn_k5.npz")
    assert run.reason == "10 trials completed, 10 were asked for"
    # Two folds for each of the table's 200 trials, the rest for ten of them, few in vain.
    assert 2 * 200 + 3 * 10 <= run.num_folds <= 2 * 200 + 3 * 10 + 5

    projection = own.live(tmp_path)
    states = [one.state for one in projection.trials]
    assert states.count(State.COMPLETE) == 2
    assert all(len(one.folds) >= 2 for one in projection.trials)

    home = Home.from_environment(tmp_path, ledger=f"sqlite:///{tmp_path / 'ledger.db'}")
    table = load("read_ledger").main(home, "own")
    for one in projection.trials:
        assert table.loc[one.number, "mean"] == pytest.approx(one.mean)
        assert table.loc[one.number, "count"] == len(one.folds)
    assert "average_precision: finished, winner" in capsys.readouterr().out


def test_the_own_policy_is_at_most_40_lines() -> None:
    tree = ast.parse((EXAMPLES / "own_policy.py").read_text(encoding="utf-8"))
    (policy,) = (one for one in tree.body if isinstance(one, ast.ClassDef))
    assert policy.end_lineno is not None
    assert policy.end_lineno - policy.lineno < 40


def test_paired_folds_prune_in_plain_optuna() -> None:
    verbosity = optuna.logging.get_verbosity()
    try:
        study = load("paired_fold_pruner").main()
    finally:
        optuna.logging.set_verbosity(verbosity)
    pruned = [one for one in study.trials if one.state is optuna.trial.TrialState.PRUNED]
    assert len(pruned) >= 10
    assert abs(study.best_params["x"] - 0.7) < 0.1


def test_the_notebook_draws_three_figures_and_compares_two_trials_in_ten_lines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_sweep(f"sqlite:///{tmp_path / 'ledger.db'}", "demo").close()
    notebook = json.loads((EXAMPLES / "look_at_a_sweep.ipynb").read_text(encoding="utf-8"))
    cells = ["".join(c["source"]) for c in notebook["cells"] if c["cell_type"] == "code"]
    lines = [line for cell in cells for line in cell.splitlines() if line]
    assert len(lines) <= 10
    names: dict[str, object] = {}
    shown = []
    for cell in cells:
        code = cell.replace('"runs/demo"', repr(str(tmp_path)))
        *first, last = ast.parse(code).body
        exec(compile(ast.Module(first, []), "notebook", "exec"), names)
        shown.append(eval(ast.unparse(last), names))  # what Jupyter shows of a cell
    assert [type(found).__name__ for found in shown[1:4]] == ["Figure"] * 3
    projection = load_sweep(tmp_path, "demo").projection
    assert vars(shown[4])["number"] == standing(projection).leader
    assert "Trial #" in capsys.readouterr().out


def test_every_example_is_run_here() -> None:
    names = {path.stem for path in EXAMPLES.iterdir() if path.is_file()}
    assert names == {
        *("train_fold", "own_policy", "read_ledger", "paired_fold_pruner", "look_at_a_sweep")
    }


@pytest.mark.parametrize("name", ["own_policy", "read_ledger", "train_fold"])
def test_an_example_without_arguments_says_what_it_wants(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", [f"examples/{name}.py"])
    with pytest.raises(SystemExit, match=f"usage: python examples/{name}.py"):
        runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
