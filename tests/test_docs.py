"""The documentation says what the code does: links, names, defaults, commands, the picture."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import json
import math
import re
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from ptxcore.metrics import OBJECTIVES
from ptxcore.settings import CHOICES, RANGE, FoldSettings
from sweep.policies import GreedySpec, PolicySpec
from sweep.promotion.gate_file import Cheaper, Gate, Subgroups
from sweep.pruners import PrunerSpec
from sweep.space import _models as models
from sweep.space import parse_space
from sweep.space.settings import check_settings

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "docker" / "README.md"])
PAGES.remove(ROOT / "CHANGELOG.md")  # speaks of what was
REFERENCE = ROOT / "docs" / "reference"

_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
_FILE = re.compile(
    r"`((?:sweep|ptxcore|dashboards|tests|docs|examples|search_spaces|gates)/[\w./-]+)`"
)
_DOTTED = re.compile(r"`((?:sweep|ptxcore|dashboards)(?:\.\w+)+)`")


def anchors(page: Path) -> set[str]:
    """Ids of the headings, as GitHub makes them."""
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    heads = re.findall(r"^#+ (.+)$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for link in _LINK.findall(_FENCE.sub("", page.read_text(encoding="utf-8"))):
        if "://" in link:
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_and_modules_that_are_named_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for name in _FILE.findall(text):
        assert (ROOT / name).exists(), name
    for name in _DOTTED.findall(text):
        assert resolved(name), name


def resolved(name: str) -> bool:
    """Whether a dotted name is a module, or what a module holds."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        path = ROOT.joinpath(*parts[:length])
        if path.is_dir() or path.with_suffix(".py").is_file():
            found: Any = importlib.import_module(".".join(parts[:length]))
            for part in parts[length:]:
                fields = getattr(found, "__dataclass_fields__", {})
                found = getattr(found, part, fields.get(part))
            return found is not None
    return False


def code_blocks(language: str) -> Iterator[tuple[Path, str]]:
    for page in PAGES:
        for found, text in _FENCE.findall(page.read_text(encoding="utf-8")):
            if found == language:
                yield page, text


def test_python_in_the_pages_imports_what_there_is() -> None:
    seen = 0
    for page, text in code_blocks("python"):
        for node in ast.walk(ast.parse(text, str(page))):
            if isinstance(node, ast.ImportFrom) and node.module:
                module = importlib.import_module(node.module)
                for alias in node.names:
                    assert hasattr(module, alias.name), f"{page}: {node.module}.{alias.name}"
                    seen += 1
    assert seen > 10


def test_search_spaces_in_the_pages_are_sound() -> None:
    known = {field.name for field in dataclasses.fields(FoldSettings)}
    spaces = [(page, text) for page, text in code_blocks("yaml") if text.startswith("name:")]
    assert spaces
    for page, text in spaces:
        check_settings(parse_space(text, page.name, known=known, metrics=OBJECTIVES))


# The reference pages, table by table.


def tables(page: Path) -> dict[str, dict[str, list[str]]]:
    """Heading: name in the first cell: the other cells."""
    found: dict[str, dict[str, list[str]]] = {}
    heading = ""
    for line in page.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            heading = line.lstrip("# ")
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        name = re.fullmatch(r"`(\w+)`", cells[0])
        if line.startswith("|") and name and name[1] not in found.setdefault(heading, {}):
            found[heading][name[1]] = cells[1:]
    return found


SPACES = tables(REFERENCE / "search-spaces.md")
SECTIONS: dict[str, type[BaseModel]] = {
    "The file": models.SpaceFile,
    "float": models.FloatParameter,
    "int": models.IntParameter,
    "categorical": models.CategoricalParameter,
    "Objective": models.Objective,
    "Policy": GreedySpec,
    "Sampler": models.SamplerSpec,
    "Inference": models.InferenceSpec,
    **{
        f"policy {name}": spec
        for name, spec in PolicySpec.known.items()
        if set(spec.model_fields) > set(PolicySpec.model_fields)
    },
    **{f"pruner {name}": spec for name, spec in PrunerSpec.known.items()},
}


@pytest.mark.parametrize("section", SECTIONS)
def test_the_page_of_search_spaces_names_every_field(section: str) -> None:
    fields, told = dict(SECTIONS[section].model_fields), SPACES[section]
    if section == "Policy":  # a second table names the policies
        told = {name: cells for name, cells in told.items() if len(cells) == 3}
    elif section.startswith("policy "):  # those of every policy stand above
        fields = {name: fields[name] for name in fields.keys() - PolicySpec.model_fields.keys()}
    assert set(fields) <= set(told), set(fields) - set(told)
    assert set(told) <= set(fields), set(told) - set(fields)
    for name, field in fields.items():
        default, values = told[name][:2]
        if default not in ("see below", "`none`", "`{}`"):
            assert default == default_of(field), name
        for bound in bounds_of(field):
            assert bound in values, f"{name}: {bound} is not in {values!r}"


GATES = tables(REFERENCE / "gates.md")
GATE_SECTIONS: dict[str, type[BaseModel]] = {
    "The file": Gate,
    "Subgroups": Subgroups,
    "Cheaper": Cheaper,
}


@pytest.mark.parametrize("section", GATE_SECTIONS)
def test_the_page_of_gates_names_every_field(section: str) -> None:
    fields, told = GATE_SECTIONS[section].model_fields, GATES[section]
    assert set(fields) == set(told)
    for name, field in fields.items():
        default, values = told[name][:2]
        if name != "name" and default != "see below":  # every file has its own name
            assert default == default_of(field), name
        for bound in bounds_of(field):
            assert bound in values, f"{name}: {bound} is not in {values!r}"


def default_of(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True) if not field.is_required() else None
    if field.is_required():
        return "required"
    if isinstance(value, str) and value:
        return f"`{value}`"
    return f"`{json.dumps(value)}`"


def bounds_of(field: FieldInfo) -> Iterator[str]:
    """Limits as numbers, and words that may be given."""
    for limit in field.metadata:
        for kind in ("ge", "gt", "le", "lt"):
            if (value := getattr(limit, kind, None)) is not None:
                yield number(value)
    if get_origin(field.annotation) is Literal:
        yield from get_args(field.annotation)


def test_every_policy_and_every_objective_is_on_the_page() -> None:
    text = (REFERENCE / "search-spaces.md").read_text(encoding="utf-8")
    for name in PolicySpec.known:
        assert f"| `{name}` |" in text, name
    for name in OBJECTIVES:
        assert f"`{name}`" in text, name


def test_the_page_of_settings_names_every_setting_with_its_default_and_values() -> None:
    told = {name: cells for rows in tables(REFERENCE / "settings.md").values()
            for name, cells in rows.items()}  # fmt: skip
    assert set(told) == {field.name for field in dataclasses.fields(FoldSettings)}
    for field in dataclasses.fields(FoldSettings):
        default, values = told[field.name][:2]
        value = field.default
        assert default == f"`{value if isinstance(value, str) else json.dumps(value)}`", field.name
        if CHOICES in field.metadata:
            assert values == ", ".join(field.metadata[CHOICES])
        elif field.type == "bool":
            assert values == "true, false"
        else:
            low, high, is_closed = field.metadata[RANGE]
            assert number(low) in values, field.name
            if math.isfinite(high):
                assert number(high) in values, field.name
                assert (f"{number(high)})" in values) == (not is_closed), field.name


def number(value: float) -> str:
    """As people write it."""
    return str(int(value)) if value == int(value) else str(value)


def test_the_page_of_commands_names_every_command_code_and_variable() -> None:
    from sweep.cli._app import _COMMANDS, _EPILOG
    from sweep.cli.data import data_command
    from sweep.cli.profile import KEYS

    text = (REFERENCE / "commands.md").read_text(encoding="utf-8")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for name in [*_COMMANDS, *(f"data {name}" for name in data_command.commands)]:
        assert name == "data" or re.search(rf"`ptxsweep {name}\b", text), name
        assert re.search(rf"`(ptxsweep (data )?)?{name.removeprefix('data ')}\b", readme), name
    for code in re.findall(r"^  (\d+) ", _EPILOG, re.M):
        assert f"| {code} |" in text, code
    for key in KEYS:
        assert f"`{key}`" in text, key
    sources = (ROOT / "sweep").rglob("*.py")
    used = {name for file in sources for name in re.findall(r"PTXSWEEP_[A-Z_]+", file.read_text())}
    assert used
    for name in used:
        assert f"`{name}`" in text, name


def test_the_public_names_are_on_the_page() -> None:
    import sweep

    text = (REFERENCE / "python.md").read_text(encoding="utf-8")
    for name in sweep.__all__:
        assert f"| `{name}` |" in text, name


def test_every_decision_is_in_the_index() -> None:
    folder = ROOT / "docs" / "decisions"
    index = (folder / "README.md").read_text(encoding="utf-8")
    files = sorted(folder.glob("0*.md"))
    assert [file.name[:4] for file in files] == [f"{n:04d}" for n in range(1, len(files) + 1)]
    for file in files:
        assert f"[{file.name[:4]}]({file.name})" in index
        text = file.read_text(encoding="utf-8")
        assert "**Context.**" in text
        assert "**Decision.**" in text


def test_the_picture_of_the_layers_is_that_of_the_rules() -> None:
    script = runpy.run_path(str(ROOT / "docs" / "make_layers.py"))
    drawn = (ROOT / "docs" / "layers.svg").read_text(encoding="utf-8")
    assert drawn == script["main"](), "run: python docs/make_layers.py"


@pytest.mark.parametrize(("page", "most"), [("README.md", 150), ("CONTRIBUTING.md", 90)])
def test_pages_stay_short(page: str, most: int) -> None:
    assert len((ROOT / page).read_text(encoding="utf-8").splitlines()) < most


def test_the_citation_names_the_version() -> None:
    from importlib.metadata import version

    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert cited["version"] == version("ptxsweep")


def test_the_changelog_is_in_order() -> None:
    """Unreleased, then versions downwards, each with its changes under the usual headings."""
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    heads, kinds = re.findall(r"^## (.+)$", text, re.M), ["Added", "Changed", "Fixed"]
    assert heads[0] == "Unreleased"
    assert all(re.fullmatch(r"\d+\.\d+\.\d+ - \d{4}-\d\d-\d\d", head) for head in heads[1:])
    releases = [tuple(int(part) for part in head.split(" ")[0].split(".")) for head in heads[1:]]
    assert releases == sorted(set(releases), reverse=True)
    for section in re.split(r"^## .+$", text, flags=re.M)[1:]:
        found = re.findall(r"^### (.+)$", section, re.M)
        assert found == [kind for kind in kinds if kind in found]
        assert "- " not in section.partition("### ")[0]
