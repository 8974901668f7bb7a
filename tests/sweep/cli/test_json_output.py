"""With --json, standard output carries one JSON object whatever else is printed."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from sweep.cli._common import parse_settings, plain
from sweep.errors import UsageError

_NOISY = """
import os, subprocess, sys
import click
from sweep.cli._common import emit, json_option

@click.command()
@json_option
def noisy(as_json):
    print("a library prints")
    subprocess.run(["echo", "a child prints"], check=True)
    os.write(1, b"a C library prints\\n")
    emit({"answer": 42})

noisy(["--json"], standalone_mode=False)
print("after", flush=True)
"""


def test_stray_output_goes_to_standard_error() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _NOISY], capture_output=True, text=True, check=True
    )
    text, _, rest = done.stdout.rpartition("after\n")
    assert json.loads(text) == {"answer": 42}
    assert rest == ""
    for printed in ("a library prints", "a child prints", "a C library prints"):
        assert printed in done.stderr


@dataclass
class Point:
    x: float
    where: Path


def test_plain_values() -> None:
    value = {"a": Point(float("nan"), Path("b")), 1: (np.float32(0.5), np.int64(3)), "s": {2}}
    assert plain(value) == {"a": {"x": None, "where": "b"}, "1": [0.5, 3], "s": [2]}
    assert plain([True, None, float("inf"), np.bool_(True)]) == [True, None, None, True]


def test_settings_are_typed() -> None:
    pairs = ["a=1", "b=1e-3", "c=true", "d=batch", "e=x=y", "f=null"]
    assert parse_settings(pairs) == {
        "a": 1,
        "b": 0.001,
        "c": True,
        "d": "batch",
        "e": "x=y",
        "f": None,
    }


@pytest.mark.parametrize("pair", ["a", "=1"])
def test_settings_need_key_and_value(pair: str) -> None:
    with pytest.raises(UsageError, match="expected KEY=VALUE"):
        parse_settings([pair])
