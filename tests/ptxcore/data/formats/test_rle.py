from __future__ import annotations

import csv
import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from strategies import masks, split_masks
from tiny_dicom import rle_of

from ptxcore.data.formats.png_mask import read_png_mask
from ptxcore.data.formats.rle import decode, encode
from ptxcore.data.formats.rle_table import read_csv
from ptxcore.errors import MaskError


def test_counts_down_columns_and_skips_relative_gaps() -> None:
    # Three rows, four columns: skip 1, mark 2 (end of column 0), skip 3, mark 1, skip 0, mark 2.
    assert decode(["1 2 3 1 0 2"], 3, 4).astype(int).tolist() == [
        [0, 0, 1, 0],
        [1, 0, 1, 0],
        [1, 0, 1, 0],
    ]


@given(masks())
def test_round_trip_and_agreement_with_a_plain_encoder(mask: NDArray[np.bool_]) -> None:
    assert encode(mask) == rle_of(mask)
    decoded = decode([encode(mask)], *mask.shape)
    assert decoded.dtype == np.bool_
    assert decoded.flags.c_contiguous
    assert np.array_equal(decoded, mask)


@given(split_masks())
def test_rows_of_an_image_are_united(parts: list[NDArray[np.bool_]]) -> None:
    union = np.logical_or.reduce(parts)
    assert np.array_equal(decode([encode(part) for part in parts], *union.shape), union)


@pytest.mark.parametrize("rows", [[], ["-1"], [" -1"], [""]])
def test_empty(rows: list[str]) -> None:
    assert not decode(rows, 3, 5).any()
    assert decode(rows, 3, 5).shape == (3, 5)


@given(masks(max_side=8), st.integers(1, 100))
def test_a_run_past_the_image_is_refused(mask: NDArray[np.bool_], excess: int) -> None:
    with pytest.raises(MaskError, match=r"the last run ends at pixel|above the number"):
        decode([f"{mask.size} {excess}"], *mask.shape)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("3", "found 1 numbers, expected pairs"),
        ("3 4 5", "found 3 numbers, expected pairs"),
        ("1 x", "no whole number"),
        ("1 2.5", "no whole number"),
        ("1_0 2", "no whole number"),
        ("1 -2", "below 0"),
        ("1 99999999999999999999999", "no whole number|above the number"),
        ("9223372036854775807 9223372036854775807", "above the number of pixels"),
        ("1 1 1 1 8 3", "the last run ends at pixel 15, the image has 12"),
    ],
)
def test_refusals(text: str, message: str) -> None:
    with pytest.raises(MaskError, match=message):
        decode([text], 3, 4)


@pytest.mark.parametrize(
    "text",
    [
        "ImageId, EncodedPixels\na, -1\nb, 1 2\nb, 5 1\n",
        "ImageId,EncodedPixels\r\na,-1\r\nb,1 2\r\nb,5 1\r\n",
        "\ufeffa,-1\r\nb,1 2\r\nb,5 1\r\n",
        'image_id,rle\n"a"," -1"\n"b","1 2"\n\nb,5 1',
        "a,\nb,1 2\nb,5 1",
    ],
)
def test_dialects(text: str, tmp_path: Path) -> None:
    path = tmp_path / "masks.csv"
    path.write_bytes(text.encode())
    assert read_csv(path) == {"a": [], "b": ["1 2", "5 1"]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "found no rows"),
        (b"ImageId,EncodedPixels\n", "found no rows"),
        (b"a,1 2,3\n", "masks.csv:1: found 3 columns"),
        (b"a,1 2\nb\n", "masks.csv:2: found 1 columns"),
        (b"a,1 2\na,-1\n", "masks.csv:2: found an image both with and without a mask"),
        ("a,1 2".encode("utf-16"), "not a csv file in UTF-8"),
    ],
)
def test_refused_tables(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "masks.csv"
    path.write_bytes(content)
    with pytest.raises(MaskError, match=message):
        read_csv(path)


def test_no_table(tmp_path: Path) -> None:
    with pytest.raises(MaskError, match="found no readable file"):
        read_csv(tmp_path / "none.csv")


@pytest.mark.siim
def test_real_masks_equal_their_png_twins(siim: Path) -> None:
    rows = read_csv(siim / "png" / "train-rle.csv")
    paths = sorted((siim / "png" / "masks").glob("*.png"))
    assert len(paths) == 42
    for path in paths:
        mask = read_png_mask(path)
        assert mask.any()
        assert np.array_equal(decode(rows[path.stem], *mask.shape), mask)


@pytest.mark.siim
def test_real_masks_have_the_areas_that_were_published(siim: Path) -> None:
    rows = read_csv(siim / "train-rle.csv")
    with (siim / "meta.csv").open(encoding="utf-8") as file:
        expected = {line["ImageId"]: int(line["mask_px"] or 0) for line in csv.DictReader(file)}
    known = rows.keys() & expected.keys()
    assert len(known) > 200
    for name in known:
        assert decode(rows[name], 1024, 1024).sum() == expected[name]


@pytest.mark.siim
def test_real_tables_of_every_dialect(siim: Path, tmp_path: Path) -> None:
    whole = tmp_path / "whole.csv"
    packed = siim / "stage1-train-annotations-only.csv.gz"
    whole.write_bytes(gzip.decompress(packed.read_bytes()))
    rows = read_csv(whole)
    assert len(rows) == 10_675
    assert sum(len(own) > 1 for own in rows.values()) > 0
    assert len(read_csv(siim / "train-rle.csv")) == 252
    odd = read_csv(siim / "oddities" / "train-rle-sample.bom-noheader-crlf.csv")
    known = read_csv(siim / "train-rle.csv")
    assert next(iter(odd)) in known
    assert all(known[name] == odd[name] for name in odd.keys() & known.keys())
