"""Every help page ends with an example that its command would take."""

from __future__ import annotations

import shlex

import click
import pytest

from sweep.cli._app import cli
from sweep.cli._help import EXAMPLES


def command_of(words: list[str]) -> tuple[click.Command, list[str]]:
    """The command that a line names, and the words after its name."""
    command: click.Command = cli
    while isinstance(command, click.Group):
        found = command.get_command(click.Context(command), words[0])
        assert found is not None, words[0]
        command, words = found, words[1:]
    return command, words


def names(command: click.Command, *words: str) -> list[str]:
    """All commands below one, as they are typed."""
    if not isinstance(command, click.Group):
        return [" ".join(words)]
    context = click.Context(command)
    children = {name: command.get_command(context, name) for name in command.list_commands(context)}
    return [
        known for name, child in children.items() if child for known in names(child, *words, name)
    ]


@pytest.mark.parametrize("name", names(cli))
def test_a_command_has_an_example_with_its_own_options(name: str) -> None:
    lines = EXAMPLES[name]
    assert any(line.startswith(f"ptxsweep {name}") for line in lines)
    for line in lines:
        program, *words = shlex.split(line)
        if program != "ptxsweep":
            continue
        command, rest = command_of(words)
        options = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in rest if word.startswith("--")} <= options
    command, _ = command_of(name.split())
    page = command.get_help(click.Context(command, info_name=f"ptxsweep {name}"))
    assert page.endswith("\n".join(f"  {line}" for line in lines))


def test_no_example_is_of_a_command_that_is_gone() -> None:
    assert set(EXAMPLES) == set(names(cli))
