from __future__ import annotations

from pathlib import Path

import pytest

from sweep.util.atomic_file import whole_file


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
