"""`ptxsweep doctor`."""

from __future__ import annotations

from typing import Any

import click

from sweep.cli._common import emit, home_options, json_option, open_home
from sweep.cli._help import command

_MARKS = {"ok": "ok     ", "note": "note   ", "problem": "PROBLEM"}


@command("doctor")
@home_options
@click.option(
    "--address",
    envvar="PTXSWEEP_ADDRESS",
    help="Of a running Ray cluster; its hosts are asked too [PTXSWEEP_ADDRESS].",
)
@json_option
def doctor_command(address: str | None, as_json: bool, **options: Any) -> int:
    """Say what is installed, what works and what is in the way.

    Exit code 1 if something will fail. Passwords and tokens are never shown.
    """
    from sweep.doctor import examine

    findings = examine(open_home(options), address=address)
    problems = sum(finding.status == "problem" for finding in findings)
    if as_json:
        emit({"problems": problems, "findings": findings})
    else:
        for finding in findings:
            click.echo(f"{_MARKS[finding.status]}  {finding.topic:16}  {finding.text}")
    return 1 if problems else 0
