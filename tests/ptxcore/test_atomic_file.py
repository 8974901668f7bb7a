from __future__ import annotations

from pathlib import Path

import pytest

from ptxcore.atomic_file import whole_file


def test_the_file_is_there_at_the_end_and_replaces_another(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.txt"
    for text in ("first", "second"):
        with whole_file(path) as draft:
            draft.write_text(text, encoding="utf-8")
        assert path.read_text(encoding="utf-8") == text
    assert list(path.parent.iterdir()) == [path]


def test_nothing_is_left_of_a_draft_that_fails(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError, match="folder"), whole_file(tmp_path / "folder") as draft:
        draft.write_text("whole", encoding="utf-8")
    with pytest.raises(RuntimeError, match="half"), whole_file(tmp_path / "a.txt") as draft:
        _write_half(draft)
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def _write_half(draft: Path) -> None:
    draft.write_text("h", encoding="utf-8")
    raise RuntimeError("half")


def test_two_that_write_one_file_do_not_disturb_each_other(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with whole_file(path) as first, whole_file(path) as second:
        first.write_text("first", encoding="utf-8")
        second.write_text("second", encoding="utf-8")
    assert path.read_text(encoding="utf-8") == "first"  # which was done last
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("is_durable", [False, True])
def test_the_longest_name_has_a_draft_too(is_durable: bool, tmp_path: Path) -> None:
    path = tmp_path / ("\N{GREEK SMALL LETTER MU}" * 127)  # 254 bytes
    with whole_file(path, is_durable=is_durable) as draft:
        draft.write_text("whole", encoding="utf-8")
    assert list(tmp_path.iterdir()) == [path]
