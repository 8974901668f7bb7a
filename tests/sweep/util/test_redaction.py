"""Passwords stay hidden, whatever is in them; what hides none stays readable."""

from __future__ import annotations

import pytest

from sweep.util.redaction import redact, shown_uri


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://bob:pass word@host/db", "postgresql://bob:***@host/db"),
        ("postgresql://bob:p@ss wo rd@host:1/db is away", "postgresql://bob:***@host:1/db is away"),
        ("postgresql+psycopg://u:12 34@h failed", "postgresql+psycopg://u:***@h failed"),
        ("https://me:s3 cret@host/x", "https://me:***@host/x"),
        ("http://me:12@host", "http://me:***@host"),
        ("a://u:p w@h, then b://u:q r@h", "a://u:***@h, then b://u:***@h"),
        ("http://host:5000 is away; ask bob@here.org", None),
        ("http://host:5000/a; ask bob@here.org", None),
        ("sqlite:////a@b/c.db: locked", None),
    ],
)
def test_addresses(text: str, shown: str | None) -> None:
    assert redact(text, {}) == (text if shown is None else shown)


def test_the_password_of_an_address_in_the_environment_is_hidden_alone_too() -> None:
    known = {"PTXSWEEP_LEDGER": "postgresql://u:pa%20ss%40word@h/x", "PLACE": "http://h:5000/x"}
    assert redact("no entry for u with pa ss@word or pa%20ss%40word", known) == (
        "no entry for u with *** or ***"
    )


def test_an_address_is_shown_without_its_user() -> None:
    assert shown_uri("https://me:p@s s@host:5000/a") == "https://host:5000/a"
    assert shown_uri("sqlite:////a@b/mlflow.db") == "sqlite:////a@b/mlflow.db"
