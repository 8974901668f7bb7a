from __future__ import annotations

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from sweep.cli import main
from sweep.cli._common import home_options, open_home
from sweep.cli.profile import KEYS, read_profile
from sweep.errors import UsageError


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in {variable for key in KEYS.values() for variable in key.variables}:
        monkeypatch.delenv(name, raising=False)


def write(folder: Path, text: str) -> Path:
    path = folder / "cluster.yaml"
    path.write_text(text, encoding="utf-8")
    return path


@click.command()
@click.option("--workers", type=click.IntRange(1), envvar="PTXSWEEP_WORKERS", default=9)
@home_options
def probe(workers: int, **options: object) -> None:
    home = open_home(dict(options))
    click.echo(f"{workers}|{home.folder}|{home.ledger_url}|{home.tracking_uri}|{home.storage}")


def asked(*words: str | Path) -> list[str]:
    done = CliRunner().invoke(probe, [*map(str, words)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output.strip().split("|")


def test_line_before_environment_before_profile_before_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    profile = write(tmp_path, "workers: 3\nhome: here\nledger: sqlite:///profile.db\n")
    assert asked("--profile", profile)[:3] == ["3", str(tmp_path / "here"), "sqlite:///profile.db"]
    monkeypatch.setenv("PTXSWEEP_WORKERS", "4")
    monkeypatch.setenv("PTXSWEEP_LEDGER", "sqlite:///environment.db")
    assert asked("--profile", profile)[0] == "4"
    assert asked("--profile", profile)[2] == "sqlite:///environment.db"
    assert asked("--profile", profile, "--workers", "5", "--ledger", "x://")[::2][:2] == [
        "5",
        "x://",
    ]
    assert asked()[0] == "4"
    monkeypatch.delenv("PTXSWEEP_WORKERS")
    assert asked()[0] == "9"


def test_a_secret_file_of_the_environment_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secret").write_text("sqlite:///secret.db\n", encoding="utf-8")
    assert read_profile(write(tmp_path, "ledger_file: secret")) == {"ledger": "sqlite:///secret.db"}
    (tmp_path / "other").write_text("sqlite:///other.db", encoding="utf-8")
    monkeypatch.setenv("PTXSWEEP_LEDGER_FILE", str(tmp_path / "other"))
    profile = write(tmp_path, "ledger: sqlite:///profile.db")
    assert asked("--profile", profile)[2] == "sqlite:///other.db"


def test_the_profile_itself_comes_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PTXSWEEP_PROFILE", str(write(tmp_path, "workers: 2\nstorage: /shared")))
    assert asked()[0] == "2"
    assert asked()[4] == "/shared"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("worker: 3", "worker: no such key; did you mean 'workers'"),
        ("workers: many", "workers: found str, expected int"),
        ("workers: true", "workers: found bool, expected int"),
        ("hours: [1]", "hours: found list, expected int or float"),
        ("- 1", ":1: found no keys, expected lines"),
        ("a: b: c", ":1: not YAML"),
        ("hours: 2026-13-01", ":1: found a value that does not fit its type"),
        ("home: a\nhome: b", ":2: home: found a second time"),
        ("1: x", "found a key that is no text"),
        ("home: [" * 5000, "levels|not YAML"),
        ("\0", "not YAML"),
        ("ledger: x\nledger_file: y", "found both ledger and ledger_file"),
        ("ledger_file: nowhere", "ledger_file: cannot read"),
        ("!!python/object/apply:os.getcwd []", "found no keys"),
    ],
)
def test_refusals(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read_profile(write(tmp_path, text))


def test_a_command_takes_it(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    profile = write(tmp_path, "home: nowhere")
    assert main(["list", "--profile", str(profile)]) == 2
    assert f"no sweep was started in {tmp_path / 'nowhere'}" in capfd.readouterr().err
    assert main(["list", "--profile", str(write(tmp_path, "hom: x"))]) == 2
    assert "did you mean 'home'?" in capfd.readouterr().err
