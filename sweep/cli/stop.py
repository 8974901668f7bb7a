"""`ptxsweep stop`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from sweep.cli._common import emit, home_options, json_option, open_home, say
from sweep.cli._help import command
from sweep.util.words import duration

if TYPE_CHECKING:
    from sweep.ledger import Driver

#: Seconds between two lines about the waiting.
_SAY_SECONDS = 30.0


@command("stop")
@click.argument("name")
@click.option("--now", is_flag=True, help="Cut running epochs off, as Ctrl-C does.")
@click.option("--no-wait", is_flag=True, help="Ask, and do not wait for the driver to end.")
@home_options
@json_option
def stop_command(name: str, now: bool, no_wait: bool, as_json: bool, **options: Any) -> None:
    """Stop the sweep NAME, which another process drives, on this machine or elsewhere.

    Running folds end their epoch, which is kept, and none begins; `ptxsweep resume` goes on from
    there. The wish goes through the ledger, and the driver looks for it every second. Ctrl-C ends
    the waiting, not the wish; `stop NAME --now` may follow.
    """
    from sweep.records import SweepState
    from sweep.stop import stop

    said = -_SAY_SECONDS

    def on_wait(driver: Driver, seconds: float) -> None:
        nonlocal said
        if seconds - said >= _SAY_SECONDS:
            said = seconds
            what = "cut its epochs off" if now else "end its epochs"
            waited = f" ({duration(seconds)} so far)" if seconds >= 1 else ""
            say(f"waiting for the driver {driver.owner} to {what}{waited}")

    done = stop(open_home(options), name, now=now, wait=not no_wait, on_wait=on_wait)
    if as_json:
        emit(done)
        return
    if not done.has_ended:
        say(f"the driver {done.driver} is asked to stop; `ptxsweep show {name}` says when it has")
    elif done.state is SweepState.RUNNING:
        say(f"the driver {done.driver} is gone; `ptxsweep resume {name}` goes on with the sweep")
    elif done.state is SweepState.FINISHED:
        say(f"the sweep had come to its end: {done.reason}")
    else:
        say(f"stopped; `ptxsweep resume {name}` goes on with the sweep")
