"""Tables in other dialects, and on other grids, than SIIM-ACR's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from ptxcore.data.formats.rle import Dialect, decode
from ptxcore.data.formats.rle_fit import Asked, dialect_of
from ptxcore.data.formats.rle_table import Table, read_csv, read_table
from ptxcore.errors import MaskError

Mask = NDArray[np.bool_]


def write(mask: Mask, dialect: Dialect) -> str:
    """An encoding, run by run, as the dialect says."""
    flat = mask.ravel() if dialect.by_row else mask.T.ravel()
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flat.astype(np.int8), [0]])))
    words, behind = [], -dialect.base
    for start, stop in edges.reshape(-1, 2).tolist():
        words += [start + dialect.base if dialect.is_absolute else start - behind, stop - start]
        behind = stop
    return " ".join(map(str, words)) or "-1"


def crescent(height: int, width: int, shift: float) -> Mask:
    """A mask as a pneumothorax has: a thin arc."""
    y, x = (np.mgrid[:height, :width] + 0.5) / min(height, width)
    outside = np.hypot(y - 0.5, x - 0.3 - shift) < 0.25
    mask: Mask = outside & (np.hypot(y - 0.55, x - 0.34 - shift) > 0.24)
    return mask


def table_of(masks: list[Mask], dialect: Dialect) -> Table:
    return Table(name="t.csv", rows={str(n): [write(m, dialect)] for n, m in enumerate(masks)})


def shapes_of(masks: list[Mask]) -> dict[str, tuple[int, int]]:
    return {str(number): mask.shape for number, mask in enumerate(masks)}  # type: ignore[misc]


SQUARE = [crescent(96, 96, shift / 40) for shift in range(6)]
UPRIGHT = [crescent(120, 80, shift / 40) for shift in range(6)]
DIALECTS = [
    Dialect(by_row=by_row, base=base, is_absolute=is_absolute)
    for by_row in (False, True)
    for base in (0, 1)
    for is_absolute in (False, True)
]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_dialect_is_read_when_it_is_named(dialect: Dialect) -> None:
    table = table_of(SQUARE, dialect)
    asked = Asked(by_row=dialect.by_row, base=dialect.base, is_absolute=dialect.is_absolute)
    table.dialect = dialect_of(table, shapes_of(SQUARE), asked)
    for number, mask in enumerate(SQUARE):
        assert np.array_equal(table.decode(str(number), *mask.shape), mask)


@given(
    dialect=st.sampled_from(DIALECTS),
    flags=st.lists(st.booleans(), min_size=12, max_size=12),
)
def test_any_mask_comes_back(dialect: Dialect, flags: list[bool]) -> None:
    mask = np.array(flags).reshape(3, 4)
    assert np.array_equal(decode([write(mask, dialect)], 3, 4, dialect), mask)


@pytest.mark.parametrize("by_row", [False, True])
def test_the_order_is_told_by_images_that_are_no_squares(by_row: bool) -> None:
    written = Dialect(by_row=by_row)
    assert dialect_of(table_of(UPRIGHT, written), shapes_of(UPRIGHT), Asked()) == written


def test_absolute_starts_are_told_and_the_rest_is_asked_for() -> None:
    table = table_of(UPRIGHT, Dialect(is_absolute=True, base=1))
    shapes = shapes_of(UPRIGHT)
    with pytest.raises(
        MaskError, match=r"first pixel is number 0 and when it is number 1.*--rle-base"
    ):
        dialect_of(table, shapes, Asked())
    found = dialect_of(table, shapes, Asked(base=1))
    assert found == Dialect(is_absolute=True, base=1)
    square = table_of(SQUARE, Dialect(is_absolute=True, base=1))
    with pytest.raises(MaskError, match=r"--rle-base 0, .*; and --rle-order column"):
        dialect_of(square, shapes_of(SQUARE), Asked())
    with pytest.raises(MaskError, match=r"fit down columns and along rows.*--rle-order"):
        dialect_of(square, shapes_of(SQUARE), Asked(base=1))
    whole = [*UPRIGHT, np.ones((120, 80), dtype=bool)]  # its last pixel is number 9,600
    found = dialect_of(
        table_of(whole, Dialect(is_absolute=True, base=0)), shapes_of(whole), Asked()
    )
    assert found == Dialect(is_absolute=True, base=0)


def test_numbers_that_fit_as_gaps_and_as_starts_are_asked_about() -> None:
    table = Table(name="t.csv", rows={"a": ["3 2 9 2"]})
    with pytest.raises(MaskError, match=r"fit as gaps .* and as starts.*--rle-starts"):
        dialect_of(table, {"a": (8, 8)}, Asked())
    assert not dialect_of(table, {"a": (8, 8)}, Asked(is_absolute=False)).is_absolute


@pytest.mark.parametrize(("made", "shown"), [(512, 1024), (1024, 512), (256, 1024), (1024, 1000)])
@pytest.mark.parametrize("num_masks", [1, 4])
def test_a_table_of_another_resolution_lands_nowhere(made: int, shown: int, num_masks: int) -> None:
    masks = [crescent(made, made, shift / 40) for shift in range(num_masks)]
    table = table_of(masks, Dialect())
    shapes = {name: (shown, shown) for name in table.rows}
    with pytest.raises(MaskError, match=rf"a column has {made} px, not {shown}.*--rle-size {made}"):
        dialect_of(table, shapes, Asked())
    table.dialect = dialect_of(table, shapes, Asked(grid=(made, made)))
    truth = crescent(shown, shown, 0)
    found = table.decode("0", shown, shown)
    assert 2 * (truth & found).sum() / (truth.sum() + found.sum()) > 0.97
    with pytest.raises(MaskError, match="the table was made on a grid of"):
        dialect_of(table, shapes, Asked(grid=(768, 768)))


def test_masks_that_lie_anyhow_are_taken_as_they_are() -> None:
    noise = [np.random.default_rng(n).random((64, 64)) < 0.2 for n in range(4)]
    tall = [np.tile(np.arange(96) < 40, (96, 1)) for _ in range(2)]
    for masks in (noise, tall, [~mask for mask in SQUARE]):
        assert dialect_of(table_of(masks, Dialect()), shapes_of(masks), Asked()) == Dialect()


@pytest.mark.siim
def test_real_masks_line_up_on_their_own_grid_alone(siim: Path) -> None:
    table = read_table(siim / "train-rle.csv")
    own = dict.fromkeys(table.rows, (1024, 1024))
    assert dialect_of(table, own, Asked()) == Dialect()
    for name in [name for name, rows in table.rows.items() if rows]:  # each by itself, too
        assert dialect_of(table, {name: (1024, 1024)}, Asked()) == Dialect()
    with pytest.raises(MaskError, match="a column has 1024 px, not 2048"):
        dialect_of(table, dict.fromkeys(table.rows, (2048, 2048)), Asked())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("ImageId,EncodedPixels\na,1 2\nb,nan\n", r"t\.csv:3: found 'nan'.*as pandas writes"),
        ("ImageId,EncodedPixels\na,-1.0\n", r"t\.csv:2: found numbers with a decimal point"),
        ("ImageId,EncodedPixels\na,20.0 3.0\n", r"t\.csv:2: found numbers with a decimal point"),
        ("EncodedPixels,ImageId\n100 5,a\n", r"t\.csv:1: found the encoding before the id"),
        ("x,y\n-1,1.2.3.4\n", r"t\.csv:2: found the encoding before the id"),
        (
            "ImageId,EncodedPixels\na,1 2\n1.2.3.dcm,1 2\n",
            r"t\.csv:3: found an id that ends in \.dcm",
        ),
    ],
)
def test_what_programs_make_of_tables_is_said_with_the_line(
    content: str, message: str, tmp_path: Path
) -> None:
    (tmp_path / "t.csv").write_text(content)
    with pytest.raises(MaskError, match=message) as caught:
        read_csv(tmp_path / "t.csv")
    assert "1.2.3" not in str(caught.value)  # an id


def test_the_table_of_candid_ptx(tmp_path: Path) -> None:
    path = tmp_path / "Pneumothorax_reports.csv"
    path.write_text(
        'SOPInstanceUID,EncodedPixels,Report,filename\n1.2.3,3 2 1 1,"Left apex,\nsmall.",7_1\n'
        '1.2.4,-1,"""Clear""",8_1\n'
    )
    assert read_csv(path) == {"1.2.3": ["3 2 1 1"], "1.2.4": []}
    assert read_table(path).places["1.2.3"] == [(3, 1)]
    path.write_text("SOPInstanceUID,EncodedPixels,Report\n1.2.3,3 2\n")
    with pytest.raises(MaskError, match=r"csv:2: found 2 columns, or no id, expected 3"):
        read_csv(path)
