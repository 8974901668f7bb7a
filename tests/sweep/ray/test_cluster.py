"""What a driver hands to workers it did not start, and where its address comes from."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from sweep.cli.run import resource_options, take_resources
from sweep.ray.cluster import worker_environment


@click.command()
@resource_options
def _show(**options: object) -> None:
    resources = take_resources(options)
    click.echo(f"{resources.address} {resources.workers}")


def test_workers_get_rays_variables_and_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PTXSWEEP_LEDGER", "postgresql://user:secret@db/ledger")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "secret")
    monkeypatch.setenv("RAY_DEDUP_LOGS", "1")
    found = worker_environment()
    assert found["RAY_DEDUP_LOGS"] == "1"
    assert found["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] == "0"
    assert all(name.startswith(("RAY_", "TUNE_")) for name in found)


def test_command_line_wins_over_environment() -> None:
    given = {"PTXSWEEP_ADDRESS": "10.0.0.1:6379", "PTXSWEEP_WORKERS": "3"}
    from_environment = CliRunner().invoke(_show, [], env=given)
    from_command_line = CliRunner().invoke(_show, ["--address", "10.0.0.2:6379"], env=given)
    assert from_environment.output.split() == ["10.0.0.1:6379", "3"]
    assert from_command_line.output.split() == ["10.0.0.2:6379", "3"]
