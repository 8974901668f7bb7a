"""Help pages: a command's own options first, then those that most commands take."""

from __future__ import annotations

import functools
import os
import re
import shlex
import tempfile
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from sweep.cli._full_disk import PLACES
from sweep.util.redaction import redact

#: Where a context, and an error, keep the common options that were given.
GIVEN = "ptxsweep.given"
_TYPED = ParameterSource.COMMANDLINE

#: What is typed, by command; the tests parse each with its own command.
EXAMPLES = {
    "data import": ("ptxsweep data import --dicom dicom --rle train-rle.csv --store store",),
    "data check": ("ptxsweep data check store",),
    "data upload": ("ptxsweep data upload store s3://bucket/store",),
    "data info": ("ptxsweep data info store",),
    "data which": (
        "ptxsweep data which image.dcm --store store",
        "ptxsweep data which dicom --store store --case 0f3c9a51d2b87e64",
    ),
    "data phantom": ("ptxsweep data phantom phantom --num-cases 60 --size 256",),
    "data preview": ("ptxsweep data preview store --out preview.png",),
    "data fidelity": ("ptxsweep data fidelity --rle train-rle.csv --figure fidelity.html",),
    "space list": ("ptxsweep space list",),
    "space check": ("ptxsweep space check space.yaml",),
    "run": (
        "ptxsweep run attention_unet --store store --dry-run",
        "ptxsweep run attention_unet --store store --name first --hours 8",
    ),
    "submit": (
        "ptxsweep submit attention_unet --store /shared/store --home /shared/home --name first "
        "--address http://head:8265",
    ),
    "slurm": (
        "ptxsweep slurm attention_unet --store /shared/store --home /shared/home --name first "
        "--nodes 2 --gpus-per-node 4 --time 24:00:00 --partition gpu",
    ),
    "resume": ("ptxsweep resume first --hours 8",),
    "stop": ("ptxsweep stop first", "ptxsweep resume first"),
    "list": ("ptxsweep list",),
    "show": ("ptxsweep show first",),
    "compare": (
        "ptxsweep compare report_ablation --metric average_precision --metric dice_positive",
    ),
    "note": ('ptxsweep note first "before the scanner was replaced"',),
    "rename": ("ptxsweep rename first baseline",),
    "clone": (
        "ptxsweep clone first second --set learning_rate=0.001",
        "ptxsweep resume second",
    ),
    "delete": ("ptxsweep delete first",),
    "simulate": (
        "ptxsweep simulate a.npz b.npz --policy default,greedy:10 --workers 16 --seeds 20 --json",
    ),
    "export-table": (
        "ptxsweep export-table first --out first.npz",
        "ptxsweep simulate first.npz",
    ),
    "export-optuna": (
        "ptxsweep export-optuna first --out view.db",
        "optuna-dashboard sqlite:///view.db",
    ),
    "dashboard": ("ptxsweep dashboard", "ptxsweep dashboard first --port 8800"),
    "report": ("ptxsweep report first --out first.html",),
    "ui": ("ptxsweep ui first", "ptxsweep ui first --port 5001"),
    "confirm": ("ptxsweep confirm first --top 5",),
    "sync": ("ptxsweep sync first",),
    "promote": ("ptxsweep promote first", "ptxsweep promote first --request"),
    "rollback": ('ptxsweep rollback first --reason "misses large ones"',),
    "registry": ("ptxsweep registry",),
    "approve": ("ptxsweep approve ptxsweep-average_precision --key ~/.ssh/id_ed25519",),
    "reject": ('ptxsweep reject ptxsweep-average_precision --reason "misses small ones"',),
    "predict": (
        "ptxsweep predict images --champion ptxsweep-average_precision --out masks",
        "ptxsweep predict images --champion ptxsweep-average_precision --out masks "
        "--shadow previous",
    ),
    "evaluate": (
        "ptxsweep evaluate models:/ptxsweep-average_precision@champion --store other-store",
    ),
    "export-model": (
        "ptxsweep export-model models:/ptxsweep-average_precision@champion --out champion.onnx",
    ),
    "card": (
        "ptxsweep card first --out card.md",
        "ptxsweep card models:/ptxsweep-average_precision@champion",
    ),
    "demo": ("ptxsweep demo --home runs/demo",),
    "doctor": ("ptxsweep doctor",),
}


#: A command with a name, as messages quote what to type next. Those of data take no home.
_HINT = re.compile(r"`(ptxsweep (?!data |space )[a-z-]+ [^`]+)`")


class SharedOption(click.Option):
    """An option that most commands take."""


def with_options(text: str, options: str) -> str:
    """A message whose commands can be copied, since they have the options of this one.

    Args:
        text: Message, with commands in backticks.
        options: See `given_options`.
    """
    if not options:
        return text

    def longer(match: re.Match[str]) -> str:
        return match[0] if "--home" in match[1] else f"`{match[1]} {options}`"

    return _HINT.sub(longer, text)


def given_options(context: click.Context) -> str:
    """The common options that stand on the command line, as they would be typed again.

    An address with a password is left out.
    """
    words = []
    for option in context.command.params:
        name, source = option.name or "", context.get_parameter_source(option.name or "")
        is_flag = getattr(option, "is_flag", False)
        if not isinstance(option, SharedOption) or source is not _TYPED or is_flag:
            continue
        value = str(context.params.get(name) or context.meta.get(f"ptxsweep.{name}", ""))
        if value and redact(value) == value:
            words += [option.opts[0], value]
    return shlex.join(words)


def _places(context: click.Context) -> list[Path]:
    """Where the command may write."""
    given = [value for value in context.params.values() if isinstance(value, Path)]
    home = Path(os.environ.get("PTXSWEEP_HOME") or "ptxsweep-home")
    return [*given, home, Path(tempfile.gettempdir())]


class Command(click.Command):
    """A command whose help shows its shared options below its own, and examples last."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run it; an error learns with which options what it says can be typed."""
        ctx.meta[GIVEN] = given_options(ctx)
        try:
            return super().invoke(ctx)
        except Exception as error:
            error.__dict__[GIVEN] = ctx.meta[GIVEN]
            error.__dict__[PLACES] = _places(ctx)
            raise

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the epilog, then the examples as they would be typed."""
        super().format_epilog(ctx, formatter)
        if lines := EXAMPLES.get(ctx.command_path.partition(" ")[2]):
            with formatter.section("Example"):
                for line in lines:
                    formatter.write(f"{'':{formatter.current_indent}}{line}\n")

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
