"""The Makefile's habits: `make quick` names tests that are there, pre-commit runs `make check`."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


def recipe(target: str) -> list[str]:
    """The command lines of a target, with the folder of the environment's programs spelled out."""
    found = re.search(rf"^{target}:.*\n((?:\t.*\n)+)", MAKEFILE, re.MULTILINE)
    assert found is not None
    return [line.strip().replace("$(BIN)", ".venv/bin") for line in found[1].splitlines()]


def test_the_quick_tests_are_there() -> None:
    found = re.search(r"^QUICK :=((?:.*\\\n)*.*)", MAKEFILE, re.MULTILINE)
    assert found is not None
    names = found[1].replace("\\\n", " ").split()
    assert names
    assert [name for name in names if not (ROOT / name).exists()] == []


def test_pre_commit_runs_what_make_check_runs() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    hooks = [hook["entry"] for repository in config["repos"] for hook in repository["hooks"]]
    assert hooks == recipe("check")
