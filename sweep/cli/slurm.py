"""`ptxsweep slurm`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click

from sweep.cli._common import emit, json_option, parse_settings, say
from sweep.cli._help import command
from sweep.cli.profile import cluster_profile_option
from sweep.cli.run import run_command
from sweep.cli.submit import PASSED_ON, check_places, job_words, place_options
from sweep.errors import UsageError

_TIME = re.compile(r"\d+(?:-\d+(?::\d+){0,2}|(?::\d+){0,2})")
#: A job's start and an epoch need as much before the notice; Slurm may send that a minute early.
_LEAST_SECONDS = 300


@command("slurm", params=[one for one in run_command.params if one.name in PASSED_ON])
@click.argument("space")
@click.option("--nodes", type=click.IntRange(1), required=True, help="Hosts of the job.")
@click.option("--gpus-per-node", type=click.IntRange(1), help="GPUs of each host [none].")
@click.option(
    "--cpus-per-node", type=click.IntRange(1), help="CPUs of each host [whole hosts, exclusively]."
)
@click.option("--time", "time_limit", help="Time limit as Slurm has it, such as 24:00:00.")
@click.option("--partition", help="Slurm's partition.")
@click.option("--account", help="Slurm's account.")
@click.option("--qos", help="Slurm's quality of service.")
@click.option(
    "--sbatch",
    multiple=True,
    metavar="OPTION",
    help="Another option of sbatch, such as --constraint=a100; may be given many times.",
)
@click.option("--array", help="Refused: one driver leads a sweep.")
@click.option(
    "--local",
    type=click.Path(path_type=Path),
    default=Path("/tmp"),  # nosec B108
    show_default=True,
    help="Folder of every host's own disk, for Ray, its token and copies of cases.",
)
@click.option(
    "--notice",
    type=click.IntRange(20),
    default=120,
    show_default=True,
    help="Seconds before the time limit at which the sweep halts, to be queued again.",
)
@place_options
@click.option("--dry-run", is_flag=True, help="Print the batch script; nothing is written.")
@cluster_profile_option
@json_option
def slurm_command(
    space: str,
    nodes: int,
    gpus_per_node: int | None,
    cpus_per_node: int | None,
    sbatch: tuple[str, ...],
    array: str | None,
    local: Path,
    notice: int,
    dry_run: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Run a sweep over SPACE as a job of a Slurm cluster; submitted again it goes on.

    Ray runs on all hosts of the job, the driver on the first. Before its time limit, or when it is
    preempted, the sweep halts, the job is queued again and goes on. Home and store lie on a disk
    that all hosts share, which is tried before the sweep begins.
    """
    context = click.get_current_context()
    parse_settings(options["settings"])
    if array or any(one.startswith(("--array", "-a")) for one in sbatch):
        raise UsageError(
            "--array: one driver leads a sweep, and the others of an array would be refused by its "
            "ledger; --nodes gives it more hosts, and another sweep needs another --name"
        )
    directives = _directives(options, sbatch)
    _check_notice(options["time_limit"], notice)
    check_places(context, options)
    words = job_words(context, options, where="the batch script")

    from sweep.slurm.script import SlurmRequest, need_slurm, script, submit
    from sweep.space import load_space
    from sweep.storage.home import Home, check_name

    name = options["name"] or load_space(space, has_begun=True).name
    check_name(name)
    folder = Path(options["home"]) / "slurm" / name
    file = Path(space) if Path(space).is_file() else None
    home = Home.from_environment(options["home"], tracking_uri=options["tracking_uri"])
    ledger = options["ledger"] or options["ledger_file"]
    request = SlurmRequest(
        name=name,
        folder=folder,
        words=("run", str(folder / "space.yaml") if file else space, "--or-resume", *words),
        nodes=nodes,
        cpus_per_node=cpus_per_node,
        gpus_per_node=gpus_per_node,
        directives=directives,
        local=local,
        ledger_file=options["ledger_file"],
        notice_seconds=notice,
        proves_locks=not ledger
        or str(ledger).startswith("sqlite")
        or home.tracking_uri.startswith("sqlite"),
    )
    _check_local(local)
    if dry_run:
        click.echo(script(request), nl=False)
        return
    need_slurm()
    if file:
        _copy(file, folder / "space.yaml")
    job = submit(request)
    if as_json:
        emit({"sweep": name, "job": job, "log": str(folder / f"{job}.log")})
    else:
        say(f"sweep {name!r} submitted as job {job}; its log is {folder / f'{job}.log'}")


def _directives(options: dict[str, Any], more: tuple[str, ...]) -> tuple[str, ...]:
    limit = options["time_limit"]
    if limit and not _TIME.fullmatch(limit):
        raise UsageError(
            f"--time: found {limit!r}, expected minutes, hours:minutes:seconds or "
            "days-hours:minutes:seconds"
        )
    named = {
        "time": limit,
        "partition": options["partition"],
        "account": options["account"],
        "qos": options["qos"],
    }
    found = [f"--{name}={value}" for name, value in named.items() if value]
    for one in (*found, *more):
        if "\n" in one or not one.startswith("-"):
            raise UsageError(f"--sbatch: found {one!r}, expected one option, such as --mem=64G")
    return (*found, *more)


def _check_notice(limit: str | None, notice: int) -> None:
    """Refuse a time limit in which a job would only begin and halt, again and again."""
    if limit is None or not (seconds := time_limit_seconds(limit)):  # 0 is none
        return
    if seconds - notice < _LEAST_SECONDS:
        raise UsageError(
            f"--time: of {limit}, {max(seconds - notice, 0)} s are left before the notice of "
            f"{notice} s (--notice), expected {_LEAST_SECONDS} s or more for the start and an epoch"
        )


def time_limit_seconds(limit: str) -> int:
    """Seconds of a time limit in one of Slurm's six forms."""
    days, dash, rest = limit.rpartition("-")
    numbers = [int(one) for one in rest.split(":")]
    if dash:
        hours, minutes, seconds = (*numbers, 0, 0)[:3]
    elif len(numbers) == 3:
        hours, minutes, seconds = numbers
    else:
        hours, minutes, seconds = 0, *(*numbers, 0)[:2]
    return int(days or 0) * 86_400 + hours * 3600 + minutes * 60 + seconds


def _check_local(local: Path) -> None:
    """Refuse a folder whose sockets have too long a path on every host."""
    longest = local / "ptxsweep-4194304000"
    if not local.is_absolute() or len(str(longest).encode()) > 39:
        raise UsageError(
            f"--local: found {local}, expected a whole path of at most 19 letters on every host's "
            "own disk, for Ray's sockets lie below it"
        )


def _copy(file: Path, target: Path) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(file.read_text(encoding="utf-8"), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{target}: cannot be written ({error.strerror})") from error
