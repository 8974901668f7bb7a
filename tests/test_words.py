"""Words: what the glossary calls by one name is called so everywhere; entries say something."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("ptxcore", "sweep", "dashboards")

#: Private words, and the field's word for each.
INSTEAD = {
    "candidate": "trial",
    "num_candidates": "num_trials",
    "open_candidates": "open_trials",
    "conductor": "controller",
    "contender": "arm",
    "contenders": "arms",
    "standings": "incumbent",
    "vouched": "package digest",
    "sealed": "with_digest",
    "crown": "set_champion",
    "swap_back": "roll_back",
    "twins": "duplicates",
    "entrant": "model",
    "entrants": "models",
    "kept_weights": "final weights",
    "fitted_step": "split step",
    "recorded_step": "captured step",
    "pruner_judge": "pruner adapter",
    "untold": "not_told_optuna",
}
#: Rooms in which nothing is about people, so no trial, fold or file is "who".
WITHOUT_PERSONS = (
    *(f"sweep/{room}" for room in ("policies", "pruners", "search", "simulate", "space", "ledger")),
    *(f"ptxcore/{room}" for room in ("training", "inference", "metrics", "models")),
    *("sweep/analysis", "dashboards/figures", "dashboards/report"),
)
_PERSON = re.compile(
    r"\b(?:who|whose|whom|whoever|(?:no|some|any|every)body|(?:some|any|every)one)\b", re.IGNORECASE
)
#: "name: Of the sweep." leaves out the noun: "name: Name of the sweep."
_WITHOUT_NOUN = re.compile(
    r'^\s+(?:(?:\w+: (?:Of|Whose|Who)|"""Of)\b.*|\w+: As there\.$)', re.MULTILINE
)


def files() -> list[Path]:
    return [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]


def identifiers(tree: ast.AST) -> Iterator[str]:
    """Names that a file defines, assigns or takes, and keywords and attributes that it uses."""
    for node in ast.walk(tree):
        match node:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.Name(id=name):
                yield name
            case ast.Attribute(attr=name) | ast.arg(arg=name) | ast.keyword(arg=str(name)):
                yield name


def snake(name: str) -> str:
    """CamelCase as snake_case, without a leading underscore."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower().strip("_")


@pytest.mark.parametrize("package", PACKAGES)
def test_names_are_the_words_of_the_field(package: str) -> None:
    found = {
        f"{path.relative_to(ROOT)}: {name}": INSTEAD[snake(name)]
        for path in files()
        if path.is_relative_to(ROOT / package)
        for name in identifiers(ast.parse(path.read_text(encoding="utf-8")))
        if snake(name) in INSTEAD
    }
    assert found == {}
    assert not {path.stem for path in files()} & INSTEAD.keys()


def test_entries_of_docstrings_begin_with_a_noun() -> None:
    found = {
        str(path.relative_to(ROOT)): entries
        for path in files()
        if (entries := _WITHOUT_NOUN.findall(path.read_text(encoding="utf-8")))
    }
    assert found == {}


@pytest.mark.parametrize("room", WITHOUT_PERSONS)
def test_trials_and_folds_are_no_persons(room: str) -> None:
    found = {
        f"{path.relative_to(ROOT)}:{number}": line.strip()
        for path in sorted((ROOT / room).rglob("*.py"))
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if _PERSON.search(line)
    }
    assert found == {}


def test_what_is_looked_at() -> None:
    tree = ast.parse("class KeptWeights:\n    def a(self, twins): self._conductor = f(crown=1)")
    assert INSTEAD.keys() & set(map(snake, identifiers(tree))) == {
        "kept_weights", "twins", "conductor", "crown"
    }  # fmt: skip
    assert _PERSON.search("Who is complete")
    assert not _PERSON.search("a whole body of one")
    assert _WITHOUT_NOUN.findall('"""Do.\n\n    name: Of the sweep.\n    seed: Seed of it."""')
