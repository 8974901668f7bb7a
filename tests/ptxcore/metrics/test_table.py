from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from case_tables import case_tables
from hypothesis import HealthCheck, given, settings

from ptxcore.errors import CheckpointError, DataError
from ptxcore.metrics import build_table, concatenate, load_table, save_table
from ptxcore.types import CaseTable

ROW = (np.ones(256, dtype=np.int64), np.ones(256, dtype=np.int64))


def same(one: CaseTable, other: CaseTable) -> bool:
    return (
        np.array_equal(one.case_ids, other.case_ids)
        and np.array_equal(one.truth, other.truth)
        and np.array_equal(one.background, other.background)
    )


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(case_tables())
def test_round_trip(tmp_path: Path, table: CaseTable) -> None:
    path = tmp_path / "fold-0" / "cases.npz"
    save_table(path, table)
    assert same(load_table(path), table)
    assert [entry.name for entry in path.parent.iterdir()] == ["cases.npz"]


def test_an_empty_table_round_trips(tmp_path: Path) -> None:
    save_table(tmp_path / "cases.npz", build_table([], []))
    assert load_table(tmp_path / "cases.npz").truth.shape == (0, 256)


def test_tables_join_in_order() -> None:
    joined = concatenate([build_table(["a"], [ROW]), build_table(["long name", "c"], [ROW, ROW])])
    assert joined.case_ids.tolist() == ["a", "long name", "c"]
    assert joined.truth.shape == (3, 256)


def test_a_case_comes_once() -> None:
    with pytest.raises(DataError, match="rows: found 2 rows of 1 cases"):
        build_table(["a", "a"], [ROW, ROW])
    with pytest.raises(DataError, match="tables: found 2 rows of 1 cases"):
        concatenate([build_table(["a"], [ROW]), build_table(["a"], [ROW])])


def test_one_row_per_case() -> None:
    with pytest.raises(DataError, match="rows: found 1, expected one for each of 2 cases"):
        build_table(["a", "b"], [ROW])


def test_nothing_cannot_be_joined() -> None:
    with pytest.raises(DataError, match="tables: found none"):
        concatenate([])


def test_rows_have_one_count_per_bin() -> None:
    short = np.ones(10, dtype=np.int64)
    with pytest.raises(DataError, match=r"truth: found int64 of shape \(1, 10\)"):
        build_table(["a"], [(short, short)])


def test_a_file_that_is_no_table_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cases.npz"
    with pytest.raises(CheckpointError, match=r"cases\.npz: not a readable table"):
        load_table(path)
    path.write_bytes(b"not a zip file")
    with pytest.raises(CheckpointError, match="not a readable table"):
        load_table(path)
    save_table(path, build_table(["a"], [ROW]))
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(CheckpointError, match="not a readable table"):
        load_table(path)
    np.savez(path, case_ids=np.array(["a"]), truth=ROW[0])
    with pytest.raises(CheckpointError, match="background"):
        load_table(path)


def test_damage_anywhere_in_the_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cases.npz"
    save_table(path, build_table(["a"], [(np.arange(256), np.arange(256))]))
    content = path.read_bytes()
    start = content.index(b"truth.npy") + len(b"truth.npy") + 40  # inside the compressed counts
    for position in range(start, start + 60, 7):
        path.write_bytes(
            content[:position] + bytes([content[position] ^ 255]) + content[position + 1 :]
        )
        with pytest.raises(CheckpointError, match="not a readable table"):
            load_table(path)


def test_a_bare_array_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cases.npz"
    with path.open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(CheckpointError, match="not a readable table"):
        load_table(path)


def test_pickled_arrays_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "cases.npz"
    np.savez(path, case_ids=np.array([object()]), truth=ROW[0], background=ROW[1])
    with pytest.raises(CheckpointError, match="not a readable table"):
        load_table(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"truth": np.ones((1, 8), dtype=np.int64)}, r"truth: found int64 of shape \(1, 8\)"),
        ({"background": np.ones((1, 256))}, "background: found float64"),
        ({"background": np.full((1, 256), -1)}, "background: found a negative count"),
        ({"case_ids": np.array([7])}, "case_ids: found int64"),
    ],
)
def test_a_table_of_another_layout_is_refused(
    tmp_path: Path, changes: dict[str, np.ndarray], message: str
) -> None:
    ones = np.ones((1, 256), dtype=np.int64)
    content = {"case_ids": np.array(["a"]), "truth": ones, "background": ones, **changes}
    np.savez(tmp_path / "cases.npz", **content)
    with pytest.raises(CheckpointError, match=message):
        load_table(tmp_path / "cases.npz")
