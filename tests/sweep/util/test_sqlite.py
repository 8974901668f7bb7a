from __future__ import annotations

from pathlib import Path

import pytest

from sweep.util.sqlite import missing_file, sqlite_file


@pytest.mark.parametrize(
    ("url", "file"),
    [
        ("sqlite:////folder/ledger.db", "/folder/ledger.db"),
        ("sqlite:///ledger.db", "ledger.db"),
        ("sqlite+pysqlite:////folder/ledger.db", "/folder/ledger.db"),
        ("sqlite:////folder/ledger.db?timeout=3", "/folder/ledger.db"),
        ("sqlite:///:memory:", None),
        ("sqlite://", None),
        ("postgresql+psycopg://me:secret@host/ledger", None),
        ("http://host:5000", None),
        ("databricks", None),
    ],
)
def test_only_sqlite_has_a_file(url: str, file: str | None) -> None:
    assert sqlite_file(url) == (None if file is None else Path(file))


def test_a_file_is_missing_until_it_is_made(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    assert missing_file(url) == tmp_path / "ledger.db"
    (tmp_path / "ledger.db").touch()
    assert missing_file(url) is None
    assert missing_file("http://host:5000") is None
