"""Help pages: a command's own options first, then those that most commands take."""

from __future__ import annotations

import functools

import click


class SharedOption(click.Option):
    """An option that most commands take."""


class Command(click.Command):
    """A command whose help shows its shared options below its own."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the sections; one without options is left out."""
        sections: dict[str, list[tuple[str, str]]] = {"Options": [], "Common options": []}
        for option in self.get_params(ctx):
            if isinstance(option, click.Option) and (line := option.get_help_record(ctx)):
                is_shared = isinstance(option, SharedOption) or option is self.get_help_option(ctx)
                sections["Common options" if is_shared else "Options"].append(line)
        for title, lines in sections.items():
            if lines:
                with formatter.section(title):
                    formatter.write_dl(lines)


command = functools.partial(click.command, cls=Command)
