"""`ptxsweep submit`."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from sweep.cli._common import Function, emit, json_option, parse_settings, say
from sweep.cli._help import command
from sweep.cli.profile import cluster_profile_option
from sweep.cli.run import run_command
from sweep.errors import UsageError
from sweep.storage.bucket import check_address, is_bucket

if TYPE_CHECKING:
    from sweep.ray.jobs import JobState

#: Parameters of `run` that the job gets as they are.
PASSED_ON = (
    "name", "num_trials", "num_completions", "num_folds", "settings", "cases",
    "holdout_fraction", "monitor_fraction", "seed", "precision", "hours", "gpu_hours",
    "max_cost", "price_per_gpu_hour", "price_per_cpu_hour", "workers", "cpus", "gpus",
)  # fmt: skip
_PLACES = ("store", "home", "storage", "ledger_file")
_WHERE_SECRETS_GO = {
    "--ledger": "put the address into a file on the cluster and name that with --ledger-file",
    "--tracking-uri": "MLflow takes user and password from ~/.mlflow/credentials on the cluster",
}


def place_options(function: Function) -> Function:
    """Where a sweep's things are, for commands whose driver runs elsewhere."""
    options = (
        click.option(
            "--store",
            required=True,
            envvar="PTXSWEEP_STORE",
            help="Case store: a folder or s3://bucket/prefix [PTXSWEEP_STORE].",
        ),
        click.option(
            "--home",
            required=True,
            envvar="PTXSWEEP_HOME",
            help="Folder of your sweeps, shared by all hosts [PTXSWEEP_HOME].",
        ),
        click.option(
            "--storage",
            envvar="PTXSWEEP_STORAGE",
            help="Folder that all workers can write, or s3://bucket/prefix [PTXSWEEP_STORAGE, else "
            "in the home].",
        ),
        click.option(
            "--ledger",
            envvar="PTXSWEEP_LEDGER",
            help="SQLAlchemy address without a password [PTXSWEEP_LEDGER].",
        ),
        click.option(
            "--ledger-file",
            envvar="PTXSWEEP_LEDGER_FILE",
            help="File on the cluster that holds the address [PTXSWEEP_LEDGER_FILE].",
        ),
        click.option(
            "--tracking-uri", envvar="MLFLOW_TRACKING_URI", help="Of MLflow [MLFLOW_TRACKING_URI]."
        ),
    )
    for option in reversed(options):
        function = option(function)
    return function


@command("submit", params=[option for option in run_command.params if option.name in PASSED_ON])
@click.argument("space")
@click.option(
    "--address",
    required=True,
    envvar="PTXSWEEP_ADDRESS",
    help="Of Ray's job server, http://HOST:8265 [PTXSWEEP_ADDRESS].",
)
@place_options
@click.option(
    "--follow/--no-follow",
    default=False,
    show_default=True,
    help="Show what the job prints until it ends, and exit with its code.",
)
@cluster_profile_option
@json_option
def submit_command(
    space: str,
    address: str,
    follow: bool,
    as_json: bool,
    **options: Any,
) -> int:
    """Run a sweep over SPACE as a job of a Ray cluster; submitted again after a crash it goes on.

    Folders and files are those of the cluster's hosts, SPACE alone may be a file here. Nothing is
    submitted while a job of the sweep runs, or after it succeeded. What is left out comes from the
    environment of the cluster's head.
    """
    context = click.get_current_context()
    parse_settings(options["settings"])
    check_places(context, options)
    words = job_words(context, options, where="the cluster's dashboard")

    from sweep.space import load_space
    from sweep.storage.home import check_name

    name = options["name"] or load_space(space, has_begun=True).name
    check_name(name)

    from sweep.ray.jobs import SPACE_FILE, JobRequest, JobServer

    file = Path(space) if Path(space).is_file() else None
    # An empty variable counts as none: the file named here wins over the head's environment.
    variables = {"PTXSWEEP_LEDGER": "", "PTXSWEEP_LEDGER_FILE": options["ledger_file"]}
    request = JobRequest(
        name=name,
        ledger=options["ledger"] or options["ledger_file"] or options["home"],
        space=SPACE_FILE if file else space,
        words=words,
        variables=variables if options["ledger_file"] else {},
        space_file=file,
    )
    server = JobServer(address)
    state, is_new = server.submit(request)
    _tell(name, state, is_new)
    if follow and not state.has_ended:
        try:
            state = server.follow(state, lambda text: click.echo(text, nl=False, err=True))
        except KeyboardInterrupt:
            say("the job goes on; `ptxsweep submit --follow` shows it again")
            raise
        say(f"job {state.submission_id} {state.status}" + _advice(state))
    if as_json:
        emit({"sweep": name, "new": is_new, **_fields(state)})
    return _exit_code(state) if follow else 0


def check_places(context: click.Context, options: dict[str, Any]) -> None:
    """One ledger, and whole paths.

    Raises:
        UsageError: A path would depend on the driver's own folder, or two ledgers are given.
    """
    _one_ledger(context, options)
    for name in _PLACES:
        _require_absolute(name, options[name])


def job_words(context: click.Context, options: dict[str, Any], *, where: str) -> tuple[str, ...]:
    """Options of `run` for a driver elsewhere.

    Args:
        context: Context of the command.
        options: Its options.
        where: Place where a secret among them would be seen.

    Raises:
        UsageError: A secret is among them.
    """
    from sweep.util.redaction import redact

    words = _words(context, options)
    for option, value in zip(words[::2], words[1::2], strict=True):
        if redact(value) != value:
            hint = _WHERE_SECRETS_GO.get(option, "leave it out")
            raise UsageError(
                f"{option}: found a password or token, which {where} would show; {hint}"
            )
    return words


def _one_ledger(context: click.Context, options: dict[str, Any]) -> None:
    """Address and file: what the command line gives wins over environment and profile."""
    if not (options["ledger"] and options["ledger_file"]):
        return
    typed = [
        name
        for name in ("ledger", "ledger_file")
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE
    ]
    if len(typed) != 1:
        raise UsageError(
            "found both --ledger (PTXSWEEP_LEDGER) and --ledger-file (PTXSWEEP_LEDGER_FILE), "
            "expected one of them"
        )
    options["ledger_file" if typed == ["ledger"] else "ledger"] = None


def _require_absolute(name: str, value: str | None) -> None:
    if name in ("storage", "store") and is_bucket(value):
        check_address(str(value), "--" + name)
    elif value is not None and not PurePosixPath(value).is_absolute():
        option = "--" + name.replace("_", "-")
        raise UsageError(
            f"{option}: found {value!r}, expected a whole path, for a job has a current folder of "
            "its own on the cluster"
        )


def _words(context: click.Context, options: dict[str, Any]) -> tuple[str, ...]:
    """Options of `run`, as pairs of name and value; defaults are left to the cluster."""
    words: list[str] = []
    for name in ("store", "home", "storage", "ledger", "tracking_uri"):
        if options[name]:
            words += ["--" + name.replace("_", "-"), options[name]]
    spelled = {option.name: option.opts[0] for option in run_command.params}
    for name in PASSED_ON:
        value = options[name]
        if value is None or context.get_parameter_source(name) is ParameterSource.DEFAULT:
            continue
        for item in value if isinstance(value, tuple) else (value,):
            words += [spelled[name], str(item)]
    return tuple(words)


def _tell(name: str, state: JobState, is_new: bool) -> None:
    if is_new:
        kind = "submitted" if state.attempt == 1 else f"submitted again (attempt {state.attempt})"
        say(f"sweep {name!r} {kind} as job {state.submission_id}")
    elif state.has_ended:
        say(
            f"sweep {name!r} is done: job {state.submission_id} succeeded; nothing was submitted, "
            "`--name` starts another sweep"
        )
    else:
        say(f"sweep {name!r} is {state.status} as job {state.submission_id}; nothing was submitted")


def _advice(state: JobState) -> str:
    if state.status == "succeeded":
        return ""
    reason = f" ({state.message})" if state.message else ""
    return f"{reason}; `ptxsweep submit` again goes on with the sweep"


def _fields(state: JobState) -> dict[str, Any]:
    return {
        "submission_id": state.submission_id,
        "attempt": state.attempt,
        "status": state.status,
        "exit_code": state.exit_code,
        "message": state.message,
    }


def _exit_code(state: JobState) -> int:
    """The driver's own; 4 where it was stopped or killed, since the sweep can go on."""
    from sweep.cli._app import INTERRUPTED, LEDGER, OK

    if state.status == "succeeded":
        return OK
    if state.status == "failed" and state.exit_code in range(1, LEDGER + 1):
        return int(state.exit_code or 0)
    return INTERRUPTED
