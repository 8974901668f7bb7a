"""A trial is called a trial wherever a user reads of it, and its number is an integer.

The code once called it a candidate, and so did half of what it showed. `candidates` is a key of
search spaces alone: configurations that are yet to be tried.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from sweep.cli import main
from sweep.cli._app import cli
from sweep.mlflow.view import connect
from sweep.storage.home import Home

OLD = re.compile("candidate", re.IGNORECASE)
MODEL = "ptxsweep-phantom-average_precision"


def helps(command: click.Command, *words: str) -> Iterator[tuple[str, ...]]:
    """The words of every command below one, itself included."""
    yield words
    if isinstance(command, click.Group):
        with click.Context(command) as context:
            for name in command.list_commands(context):
                child = command.get_command(context, name)
                assert child is not None
                yield from helps(child, *words, name)


def test_no_help_has_the_old_word(capfd: pytest.CaptureFixture[str]) -> None:
    commands = list(helps(cli))
    assert ("data", "import") in commands
    for words in commands:
        assert main([*words, "--help"]) == 0
        shown = capfd.readouterr().out
        assert "Usage" in shown
        assert not OLD.search(shown), words


def test_nothing_that_a_user_reads_has_the_old_word(
    tiny_home: Home,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    said: dict[str, str] = {}
    for words in (
        ("list",),
        ("show", "tiny"),
        ("compare", "tiny"),
        ("promote", "tiny", "--max-loss", "1"),
        ("report", "tiny"),
        ("sync", "tiny"),
        ("export-table", "tiny"),
    ):
        where = ["--home", tiny_home.folder, "--ledger", tiny_home.ledger_url]
        where += ["--storage", tiny_home.storage, "--tracking-uri", tiny_home.tracking_uri]
        for form in ([], ["--json"]):
            Path("tiny.npz").unlink(missing_ok=True)
            capfd.readouterr()
            assert main([*words, *map(str, where), *form]) == 0, capfd.readouterr().err
            said[" ".join([*words, *form])] = capfd.readouterr().out
    said["page"] = (tiny_home.sweep_folder("tiny") / "report.html").read_text(encoding="utf-8")
    said["page"] = re.sub(r"<script.*?</script>", _data_of, said["page"], flags=re.DOTALL)
    said |= in_mlflow(tiny_home)
    for place, text in said.items():
        assert not OLD.search(text), place

    shown = json.loads(said["show tiny --json"])
    assert [trial["number"] for trial in shown["trials"]] == [0, 1]
    assert shown["best"] == 1
    promoted = json.loads(said["promote tiny --max-loss 1 --json"])
    assert promoted["trial"] == promoted["confirmation"]["trial"] == 1
    compared = json.loads(said["compare tiny --json"])
    assert [trial["number"] for trial in compared["comparisons"][0]["trials"]] == [0, 1]
    assert json.loads(said["export-table tiny --json"])["num_trials"] == 2


def _data_of(script: re.Match[str]) -> str:
    """A script without Plotly's own code, which is another's text."""
    return "" if len(script[0]) > 1_000_000 else script[0]


def in_mlflow(home: Home) -> dict[str, str]:
    """What MLflow holds of runs and of the model: tags, params, names of metrics, texts."""
    client = connect(home.tracking_uri)
    experiment = client.get_experiment_by_name("ptxsweep")
    assert experiment is not None
    runs = client.search_runs([one.experiment_id for one in client.search_experiments()])
    numbers = {run.data.tags["ptxsweep.trial"] for run in runs if run.info.run_name != "tiny"}
    assert numbers == {"0", "1"}
    found: dict[str, Any] = {
        str(run.info.run_name): [run.data.tags, run.data.params, sorted(run.data.metrics)]
        for run in runs
    }
    version = client.get_model_version_by_alias(MODEL, "champion")
    model = client.get_registered_model(MODEL)
    (logged,) = client.search_logged_models([experiment.experiment_id])
    found["version"] = [version.tags, version.description]
    found["model"] = [model.tags, model.description, logged.tags, logged.params]
    files = [*home.artifacts.rglob("*.json"), *home.artifacts.rglob("MLmodel")]
    assert files
    found |= {file.name: file.read_text(encoding="utf-8") for file in files}
    return {place: json.dumps(what) for place, what in found.items()}
