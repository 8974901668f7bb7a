"""Whatever bytes come in, a result comes out, or one of our errors. The same inputs every time."""

from __future__ import annotations

import contextlib
import gzip
import json
import sqlite3
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from optuna.distributions import FloatDistribution
from PIL import Image
from pydicom.uid import JPEG2000Lossless, JPEGBaseline8Bit
from tiny_dicom import write_dicom
from whole_ledger import read_sweep

from ptxcore.data.formats.dicom import read_dicom, read_header
from ptxcore.data.formats.png import read_png, read_png_header
from ptxcore.data.formats.rle import decode
from ptxcore.data.formats.rle_table import read_csv
from ptxcore.data.importing.sources import read_groups
from ptxcore.errors import CheckpointError, CoreError
from ptxcore.training.state_files import read_with_digest, write_with_digest
from sweep.errors import SweepError
from sweep.ledger import Ledger, list_sweeps
from sweep.ledger.evidence import Evidence
from sweep.ledger.header import SweepHeader
from sweep.records import Epoch, FoldScore, State, SweepState
from sweep.space import load_space, parse_space, shipped_spaces

# As for users: the command line silences the warnings of libraries.
pytestmark = pytest.mark.filterwarnings("ignore")


def budget(num_examples: int) -> settings:
    return settings(
        max_examples=num_examples,
        derandomize=True,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bytes")


@st.composite
def mutations(draw: st.DrawFn, max_size: int) -> list[tuple[str, int, bytes]]:
    """A few changes: bytes overwritten, put in, or everything behind a place cut off."""
    kinds = st.sampled_from(["set", "set", "set", "insert", "delete", "cut"])
    words = st.one_of(
        st.binary(min_size=1, max_size=6),
        st.sampled_from([b"\xff\xff\xff\xff", b"\0\0\0\0", b"\xfe\xff\0\xe0", b"SQ", b"UN", b"DS"]),
    )
    one = st.tuples(kinds, st.integers(0, max_size), words)
    return draw(st.lists(one, min_size=1, max_size=6))


def mutated(data: bytes, changes: list[tuple[str, int, bytes]]) -> bytes:
    for kind, at, word in changes:
        at %= len(data) + 1
        if kind == "cut":
            data = data[: max(at, 1)]
        else:
            skip = {"set": len(word), "insert": 0, "delete": 4 * len(word)}[kind]
            data = data[:at] + (b"" if kind == "delete" else word) + data[at + skip :]
    return data


def ends_well(action: Callable[[], object]) -> None:
    with contextlib.suppress(CoreError, SweepError):
        action()


RAMP = np.arange(256, dtype=np.uint8).reshape(16, 16)


@pytest.fixture(scope="module")
def dicoms(place: Path) -> list[bytes]:
    table = {"RescaleSlope": 2, "RescaleIntercept": -5, "WindowCenter": 90, "WindowWidth": 50}
    deep = RAMP.astype(np.uint16) * 16
    return [
        write_dicom(place / "a.dcm", RAMP, PatientID="p", PixelSpacing=[0.1, 0.2]).read_bytes(),
        write_dicom(
            place / "b.dcm", deep, BitsStored=12, PixelPaddingValue=0, **table
        ).read_bytes(),
        write_dicom(place / "c.dcm", RAMP, syntax=JPEGBaseline8Bit).read_bytes(),
        write_dicom(place / "d.dcm", RAMP, syntax=JPEG2000Lossless).read_bytes(),
    ]


@budget(400)
@given(st.integers(0, 3), mutations(1500))
def test_dicom(
    place: Path, dicoms: list[bytes], which: int, changes: list[tuple[str, int, bytes]]
) -> None:
    path = place / "x.dcm"
    path.write_bytes(mutated(dicoms[which], changes))
    ends_well(lambda: read_header(path))
    ends_well(lambda: read_dicom(path))


@budget(100)
@given(st.binary(max_size=300))
def test_anything_as_dicom(place: Path, data: bytes) -> None:
    path = place / "y.dcm"
    path.write_bytes(b"\0" * 128 + b"DICM" + data)
    ends_well(lambda: read_dicom(path))


@budget(150)
@given(mutations(400))
def test_png(place: Path, changes: list[tuple[str, int, bytes]]) -> None:
    path = place / "x.png"
    Image.fromarray(RAMP).save(path)
    path.write_bytes(mutated(path.read_bytes(), changes))
    ends_well(lambda: read_png_header(path))
    ends_well(lambda: read_png(path))


@budget(300)
@given(mutations(300))
@example([("cut", 0, b"")])
@example([("set", 0, b"[" * 100_000)])
def test_state_of_a_fold(place: Path, changes: list[tuple[str, int, bytes]]) -> None:
    """No number of it is taken for another."""
    path = place / "state.json"
    write_with_digest(path, {"fold": {"seed": 0}, "curves": {"train_loss": [0.5, float("inf")]}})
    content = read_with_digest(path)
    path.write_bytes(mutated(path.read_bytes(), changes))
    with contextlib.suppress(CheckpointError):
        assert read_with_digest(path) == content


numbers = st.one_of(st.integers(), st.integers(0, 300)).map(str)
rows = st.one_of(st.text(max_size=40), st.lists(numbers, max_size=9).map(" ".join))


@budget(300)
@given(st.lists(rows, max_size=4), st.integers(1, 20), st.integers(1, 20))
@example(["9" * 5000 + " 1"], 64, 64)
@example(["٣ ٤"], 4, 4)
def test_rle(texts: list[str], height: int, width: int) -> None:
    def read() -> None:
        assert decode(texts, height, width).shape == (height, width)

    ends_well(read)


lines = st.lists(st.tuples(st.text(max_size=9), rows).map(",".join), max_size=5).map("\n".join)


@budget(300)
@given(st.one_of(st.binary(max_size=200), lines.map(lambda text: text.encode("utf-8", "replace"))))
@example(b"\xef\xbb\xbf")
@example(b'"' + b"a" * 200_000 + b'",b')
def test_tables(place: Path, data: bytes) -> None:
    plain, packed = place / "x.csv", place / "x.csv.gz"
    plain.write_bytes(data)
    ends_well(lambda: read_csv(plain))
    ends_well(lambda: read_groups(plain))
    for content in (data, gzip.compress(data)[:-3], gzip.compress(data, mtime=0)):
        packed.write_bytes(content)
        ends_well(lambda: read_csv(packed))


keys = st.sampled_from(
    ["name", "objective", "metric", "direction", "folds", "policy", "num_trials", "pruner", "fixed",
     "sampler", "candidates", "parameters", "type", "low", "high", "log", "step", "default", "when",
     "choices", "x", "y", "min_gain", "num_completions", "keep_share"]
)  # fmt: skip
leaves = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), keys,
    st.sampled_from(["float", "int", "categorical", "greedy", "same_epoch", "tpe", 10**400, -1]),
)  # fmt: skip
trees = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=5),
    max_leaves=25,
)  # fmt: skip
parameters = st.dictionaries(
    st.sampled_from("xyz"),
    st.fixed_dictionaries(
        {"type": st.sampled_from(["float", "int", "categorical"]), "default": leaves},
        optional={
            key: leaves for key in ("low", "high", "log", "step")
        } | {"choices": st.lists(leaves, max_size=3), "when": trees},
    ),
    max_size=3,
)  # fmt: skip


@budget(300)
@given(trees, parameters, st.sampled_from(["fixed", "candidates", "policy", "pruner", "sampler"]))
def test_space_of_any_shape(tree: Any, some: dict[str, Any], section: str) -> None:
    whole = {"name": "a", "objective": {"metric": "m"}, "parameters": some, section: tree}
    for data in (tree, whole):

        def read(data: Any = data) -> None:
            space = parse_space(json.dumps(data), "a.yaml")
            space.distributions()

        ends_well(read)


@budget(200)
@given(st.sampled_from(sorted(shipped_spaces())), mutations(3000))
def test_mutated_space(place: Path, name: str, changes: list[tuple[str, int, bytes]]) -> None:
    path = place / "x.yaml"
    path.write_bytes(mutated(shipped_spaces()[name].read_bytes(), changes))
    ends_well(lambda: load_space(path))


BOMB = "a0: &a0 [x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 30)
)


@pytest.mark.parametrize(
    "text",
    [
        BOMB,
        "a: " + "[" * 5000,
        "a: &a [*a]",
        "a: \0",
        "a: 2001-13-45",
        "a: !!int ''",
        "a: !!float x",
        "a: !!bool maybe",
        "a: !!timestamp x",
        "a: " + "9" * 10_000,
        "1: 2",
        "? [a]\n: b",
        "a: !!python/object/apply:os.system [echo]",
        "a: !!binary '*'",
        "<<: 3",
        "a: 1\n---\nb: 2",
        "\ud800",
    ],
)
def test_spaces_that_trap_readers(text: str) -> None:
    with pytest.raises(SweepError, match=r"^a\.yaml:\d+: "):
        parse_space(text, "a.yaml")


@pytest.fixture(scope="module")
def ledger(place: Path) -> bytes:
    """A ledger with a bit of everything."""
    path = place / "whole.db"
    header = SweepHeader(metric="dice", maximize=True, num_folds=2, seed=0)
    one = Ledger.create(f"sqlite:///{path}", "first", header=header)
    one.acquire("test")
    one.set_sweep_state(SweepState.RUNNING)
    for _ in range(2):
        number = one.add_trial({"x": 0.5}, {"x": FloatDistribution(0.0, 1.0)})
        attempt = one.start_fold(number, 0)
        key = {"trial": number, "fold": 0, "attempt": attempt}
        one.record_epoch(Epoch(**key, epoch=1, value=0.3, seconds=1.0))
        score = {"value": 0.4, "score": 0.4, "seconds": 1.0, "num_epochs": 1, "best_epoch": 1}
        one.finish_fold(FoldScore(**key, **score, metrics={"dice": 0.4}, curves={"a": (0.1,)}))
    one.start_fold(0, 1)
    one.lose_fold(0, "host left")
    one.end(1, State.PRUNED, "weak")
    one.close()
    evidence = Evidence(f"sqlite:///{path}", "first")
    evidence.begin(purpose="p", git_sha="g", holdout_digest="d", trials=[0])
    evidence.finish(1, {"dice": 0.5}, 0.5)
    evidence.close()
    return path.read_bytes()


def read_ledger(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.db"
        path.write_bytes(data)
        url = f"sqlite:///{path}"
        ends_well(lambda: list_sweeps(url))

        ends_well(lambda: read_sweep(url, "first"))

        def uses() -> None:
            evidence = Evidence(url, "first")
            try:
                evidence.uses()
                evidence.ids_of_uses("d")
            finally:
                evidence.close()

        ends_well(uses)


@budget(25)
@given(mutations(200_000))
def test_ledger_file(ledger: bytes, changes: list[tuple[str, int, bytes]]) -> None:
    read_ledger(mutated(ledger, changes))


COLUMNS = (
    ("study_user_attributes", "value_json"),
    ("trial_user_attributes", "value_json"),
    ("trial_user_attributes", "key"),
    ("trial_params", "distribution_json"),
    ("trial_params", "param_value"),
    ("trial_intermediate_values", "intermediate_value"),
    ("trial_intermediate_values", "step"),
    ("trials", "state"),
    ("trials", "number"),
    ("study_directions", "direction"),
    ("version_info", "schema_version"),
    ("version_info", "library_version"),
    ("alembic_version", "version_num"),
)
values = st.one_of(
    trees.map(json.dumps), st.text(max_size=9), st.integers(-(2**63), 2**63 - 1), st.none(),
    st.binary(max_size=9), st.floats(allow_nan=False),
    st.sampled_from(["fold:x:score", "fold:0", "added", "fold:0:attempt:1:lost", '{"seq": 1e999}']),
)  # fmt: skip


@budget(60)
@given(st.sampled_from(COLUMNS), st.integers(0, 9), values)
def test_ledger_rows(ledger: bytes, column: tuple[str, str], which: int, value: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.db"
        path.write_bytes(ledger)
        table, name = column
        connection = sqlite3.connect(path)
        try:
            ids = [row[0] for row in connection.execute(f"SELECT rowid FROM {table}")]
            sql = f"UPDATE OR IGNORE {table} SET {name} = ? WHERE rowid = ?"
            connection.execute(sql, (value, ids[which % len(ids)]))
            connection.commit()
        except (sqlite3.IntegrityError, UnicodeEncodeError):
            pass
        finally:
            connection.close()
        read_ledger(path.read_bytes())
