"""What every command shares: where sweeps live, and how results reach standard output."""

from __future__ import annotations

import dataclasses
import gc
import json
import math
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from sweep.cli._help import GIVEN, SharedOption, with_options
from sweep.cli.profile import profile_option
from sweep.util.numbers import finite_or_none
from sweep.util.words import duration

if TYPE_CHECKING:
    from rich.console import Console

    from sweep.storage.home import Home

Function = TypeVar("Function", bound=Callable[..., Any])

EXISTING_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
EXISTING_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
ANY_PATH = click.Path(path_type=Path)
EXISTING_PATH = click.Path(exists=True, path_type=Path)
OUTPUT_FOLDER = click.Path(file_okay=False, path_type=Path)


class _Store(click.ParamType[Any]):
    """A folder that exists, or an address in object storage."""

    name = "folder or s3://bucket/prefix"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Path | str:
        from sweep.storage.bucket import check_address, is_bucket

        if is_bucket(value):
            return check_address(value, "--store")
        return Path(EXISTING_FOLDER.convert(value, param, ctx))


STORE = _Store()
#: A share of positive cases.
PREVALENCE = click.FloatRange(0, 1, min_open=True, max_open=True)


class _OutputFile(click.ParamType[Any]):
    """A file to write, refused before any work where a folder stands in its place."""

    name = "file"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        path = Path(value)
        try:
            self._check(path, param, ctx)
        except OSError as error:
            self.fail(f"{error.strerror}: {path}", param, ctx)
        return path

    def _check(self, path: Path, param: click.Parameter | None, ctx: click.Context | None) -> None:
        if path.is_dir():
            self.fail(f"found the folder {path}, expected a file; name one in it", param, ctx)
        above = next(folder for folder in path.absolute().parents if folder.exists())
        if not above.is_dir():
            self.fail(f"found the file {above} where {path} needs a folder", param, ctx)


OUTPUT_FILE = _OutputFile()

_STDOUT = "ptxsweep.stdout"
#: Seconds after which it is worth saying how long something will take.
_WORTH_SECONDS = 2.0
#: Columns of tables where there is no terminal.
_NO_TERMINAL = 200


def _reserve_stdout(context: click.Context, _: click.Parameter, as_json: bool) -> bool:
    """Keep standard output for the one JSON object.

    Libraries and Ray's processes print where they like. Their descriptor 1 becomes standard
    error, ours is kept aside.
    """
    if as_json:
        sys.stdout.flush()
        kept = os.dup(1)
        os.dup2(2, 1)

        def restore() -> None:
            sys.stdout.flush()
            os.dup2(kept, 1)
            os.close(kept)

        context.meta[_STDOUT] = kept
        context.call_on_close(restore)
    return as_json


json_option = click.option(
    "--json",
    "as_json",
    cls=SharedOption,
    is_flag=True,
    is_eager=True,
    callback=_reserve_stdout,
    help="Print one JSON object on standard output; everything else goes to standard error.",
)


precision_option = click.option(
    "--precision",
    type=click.Choice(["auto", "float32", "bfloat16"]),
    default="auto",
    show_default=True,
    help="Of the network; auto measures which is faster, the others repeat a sweep exactly.",
)


def prevalence_option(function: Function) -> Function:
    """What a command chooses the rule of masks for, before it opens the hold-out."""
    return click.option(
        "--prevalence",
        type=PREVALENCE,
        help="Share of positive cases where the model will be used: masks' rule is chosen for the "
        "Dice expected there, before the hold-out is opened [that of the cases of the folds]. The "
        "gate decides on the hold-out as it is.",
    )(function)


def home_options(function: Function) -> Function:
    """Options that say where sweeps live; the command gets them as one `home: Home`."""
    options = (
        profile_option,
        click.option(
            "--home",
            "home_folder",
            cls=SharedOption,
            type=ANY_PATH,
            help="Folder of your sweeps [PTXSWEEP_HOME, else ./ptxsweep-home].",
        ),
        click.option(
            "--ledger",
            cls=SharedOption,
            help="SQLAlchemy address [PTXSWEEP_LEDGER, else SQLite in the home].",
        ),
        click.option(
            "--tracking-uri",
            cls=SharedOption,
            help="Of MLflow [MLFLOW_TRACKING_URI, else SQLite in the home].",
        ),
        click.option(
            "--storage",
            cls=SharedOption,
            help="Folder that all workers can write, or s3://bucket/prefix [PTXSWEEP_STORAGE, else "
            "in the home].",
        ),
    )
    for option in reversed(options):
        function = option(function)
    return function


def open_home(options: dict[str, Any]) -> Home:
    """Take the values of `home_options` out of a command's arguments."""
    from sweep.storage.home import Home

    home = Home.from_environment(
        options.pop("home_folder"),
        ledger=options.pop("ledger"),
        tracking_uri=options.pop("tracking_uri"),
        storage=options.pop("storage"),
    )
    if home.journal.exists():
        from sweep.storage.renaming import settle

        settle(home)
    return home


def without_collector() -> None:
    """Python's collector sleeps until the command ends: a command that only shows makes no garbage.

    It would look at all that is imported and read, again and again and once more when the process
    ends, which is a tenth of the time.
    """

    def awake() -> None:
        gc.freeze()  # `main` takes it back, where a process has another command
        gc.enable()

    if gc.isenabled():
        gc.disable()
        click.get_current_context().call_on_close(awake)


def parse_settings(pairs: Sequence[str]) -> dict[str, Any]:
    """`KEY=VALUE` texts as a mapping; a value is a number, true, false, null or a text.

    Raises:
        UsageError: A text has no key, or a key comes twice.
    """
    from sweep.errors import UsageError

    settings: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or not key or key in settings:
            expected = "each key once" if key in settings else "KEY=VALUE"
            raise UsageError(f"--set: found {pair!r}, expected {expected}")
        settings[key] = _scalar(text)
    return settings


def _scalar(text: str) -> Any:
    words: dict[str, Any] = {"true": True, "false": False, "null": None}
    if text in words:
        return words[text]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def emit(payload: Any) -> None:
    """Write the one JSON object. Dataclasses become objects; NaN and infinities become null."""
    text = json.dumps(plain(payload), indent=2, allow_nan=False) + "\n"
    kept = click.get_current_context().meta.get(_STDOUT)
    if kept is None:
        click.echo(text, nl=False)
        return
    with os.fdopen(os.dup(kept), "w", encoding="utf-8") as stream:
        stream.write(text)


def plain(value: Any) -> Any:
    """A value as JSON has it."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = dataclasses.fields(value)
        return {field.name: plain(getattr(value, field.name)) for field in fields}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, float):
        return finite_or_none(value)
    if isinstance(value, (int, str)):
        return value
    if hasattr(value, "item"):  # a NumPy scalar
        return plain(value.item())
    return str(value)


def say(text: str) -> None:
    """A line about progress, on standard error."""
    context = click.get_current_context(silent=True)
    options = "" if context is None else context.meta.get(GIVEN, "")
    click.echo(with_options(text, options), err=True)


def browse(url: str) -> None:
    """Open a page where there is a display; elsewhere a browser of text would start."""
    if (
        sys.platform in ("darwin", "win32")
        or os.environ.get("DISPLAY")
        or os.environ.get("WAYLAND_DISPLAY")
    ):
        click.launch(url)


def counter(verb: str, *, quiet_seconds: float = 0.0) -> Callable[[int, int], None]:
    """A callback (done, total) that says a line at every tenth, once it has taken a while.

    The line ends with the rate and the time left, by what was done since the first call.
    """
    said, began, first, last = 0, math.inf, 0, 0

    def on_progress(done: int, total: int) -> None:
        nonlocal said, began, first, last
        now, tenth = time.monotonic(), 10 * done // max(1, total)
        if now < began or done < last:  # it begins, or begins again with the next model
            said, began, first = 0, now, done
        last = done
        if tenth > said and now - began >= quiet_seconds:
            said = tenth
            say(f"{verb} {done} of {total}{_pace(done - first, total - done, now - began)}")

    return on_progress


def _pace(done: int, left: int, seconds: float) -> str:
    """Rate and time left of what takes a while; nothing of what does not, or at its end."""
    if done < 1 or left < 1 or seconds < _WORTH_SECONDS:
        return ""
    rate = done / seconds
    shown = f"{rate:.3g} a second" if rate >= 1 else f"{1 / rate:.3g} s each"
    return f", {shown}, about {duration(left / rate)} left"


def verifying() -> Callable[[int, int], None]:
    """A callback for the reading through of a store, silent where that takes a moment."""
    return counter("verified the store: case", quiet_seconds=3.0)


def comparing() -> Callable[[int, int], None]:
    """A callback for networks that are compared before the hold-out is opened, silent likewise."""
    return counter("compared the networks: case", quiet_seconds=3.0)


def console(width: int | None = None) -> Console:
    """Standard output for tables: as wide as the terminal, also where `less` reads them.

    Without a terminal, as in a file that a job writes, as wide as they need.

    Args:
        width: Columns, where they are known.
    """
    from rich.console import Console

    if width is None and not sys.stdout.isatty():
        width = _piped_width()
    return Console(width=width, highlight=False)


def _piped_width() -> int:
    """COLUMNS, else the width of the terminal that standard error or input is, else 200."""
    given = os.environ.get("COLUMNS", "")
    if given.isdecimal() and int(given) > 0:
        return int(given)
    for descriptor in (2, 0):
        try:
            return os.get_terminal_size(descriptor).columns or _NO_TERMINAL
        except OSError:
            continue
    return _NO_TERMINAL
