"""Processes that end without a word before one of the calls that write, and what comes after.

Run as a script, so that each one is a fork of a process that has imported everything and computed
nothing. Python's own profiler counts the calls; nothing of the product is exchanged.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any
from uuid import uuid4

if TYPE_CHECKING:
    from sweep.storage.home import Home

#: Functions that write, and how their file ends.
ALIASES = {
    "set_registered_model_tag": "mlflow/tracking/client.py",
    "set_registered_model_alias": "mlflow/tracking/client.py",
    "delete_registered_model_alias": "mlflow/tracking/client.py",
    "compare_and_swap": "sweep/ledger/connection.py",
}
REGISTERING = {
    "finalize_logged_model": "mlflow/tracking/client.py",
    "create_model_version": "mlflow/tracking/client.py",
    "set_registered_model_tag": "mlflow/tracking/client.py",
}

ROLLING = {
    "set_registered_model_alias": "mlflow/tracking/client.py",
    "compare_and_swap": "sweep/ledger/connection.py",
    "add_rollback": "sweep/ledger/evidence.py",
    "set_model_version_tag": "mlflow/tracking/client.py",
}

BEGINNING = {
    "_write": "sweep/storage/beginning.py",
    "_sweep_out": "sweep/storage/beginning.py",
    "mkdir": "pathlib.py",
    "write_text": "pathlib.py",
    "rename": "pathlib.py",
    "unlink": "pathlib.py",
    "create_new_study": "optuna/storages/_rdb/storage.py",
    "compare_and_swap": "sweep/ledger/connection.py",
}


def environment() -> dict[str, str]:
    """For the script: this machine's, with the product and the tests' own modules."""
    folders = [str(Path(__file__).parent), str(Path(__file__).parents[2])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(folders), "OMP_NUM_THREADS": "1"}


def ended_before(number: int, writes: Mapping[str, str], action: Callable[[], Any]) -> int:
    """Exit code of a process that ends before the call of that number that writes, from 1 on.

    Returns:
        9 if it ended there, 0 if the action was over before, 1 if it raised.
    """
    child = os.fork()
    if child == 0:
        count = 0

        def watch(frame: FrameType, event: str, _: Any) -> None:
            nonlocal count
            if event != "call":
                return
            code = frame.f_code
            if code.co_name in writes and code.co_filename.endswith(writes[code.co_name]):
                count += 1
                if count == number:
                    os._exit(9)

        sys.setprofile(watch)
        try:
            action()
        except BaseException as error:
            print(repr(error), file=sys.stderr)
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def copies(folder: Path) -> Iterator[tuple[int, Path]]:
    """A fresh copy of a home for each step, without end."""
    step = 0
    while True:
        step += 1
        yield step, Path(shutil.copytree(folder, folder.with_name(f"copy-{step}")))


def own_schema(server: str) -> str:
    """Address of an empty ledger on a PostgreSQL, a new schema in its database."""
    import sqlalchemy

    schema = f"ledger_{uuid4().hex}"
    engine = sqlalchemy.create_engine(server)
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text(f"CREATE SCHEMA {schema}"))
    engine.dispose()
    return f"{server}{'&' if '?' in server else '?'}options=-csearch_path%3D{schema}"


def moves(folder: Path, server: str | None = None) -> None:
    """A move of two aliases, cut off before each of its steps; then one that only looks.

    With the address of a PostgreSQL the ledger is there, a schema of its own for each step.
    """
    from bare_versions import MODEL, bare_home, standing, step
    from mlflow import MlflowClient

    from sweep.promotion.move import position, record_of

    before = {"champion": "1", "previous": "3"}
    if server is None:
        step(bare_home(folder), before)
    after = {"champion": "2", "previous": "1"}
    for number, copy in copies(folder):
        home = bare_home(copy, ledger=server and own_schema(server))
        if server is not None:
            for earlier in ({"champion": "1"}, before):
                step(home, earlier)
        code = ended_before(number, ALIASES, partial(step, home, after))
        cut = standing(home)
        with record_of(home, MODEL) as record:
            found = dict(position(MlflowClient(home.tracking_uri), record).aliases)
            promoted = len(record.events()) > 2
        line = {"step": number, "code": code, "cut": cut, "next": found, "events": promoted}
        print(json.dumps(line))
        if code != 9:
            return


def promotions(folder: Path) -> None:
    """A promotion that is cut off before each step that a champion depends on, one after another.

    All in one home: each is the next call of the one before.
    """
    import tiny_sweep
    from mlflow import MlflowClient

    import sweep.promotion.promote as promotion
    from sweep.mlflow.registry import aliases, versions

    home = tiny_sweep.home_at(folder)
    model = "ptxsweep-phantom-average_precision"
    client = MlflowClient(home.tracking_uri)
    # Forced, since on so few cases no third use of a hold-out passes.
    why = {"force": True, "reason": "of the test"}
    promote = partial(promotion.promote, home, tiny_sweep.NAME, **why)
    number = 1
    while True:
        code = ended_before(number, REGISTERING, promote)
        newest = str(versions(client, model)[0].version)
        champion = aliases(client, model)["champion"]
        print(json.dumps({"step": number, "code": code, "champion": champion, "newest": newest}))
        if code != 9:
            return
        number += 1


def rollbacks(folder: Path) -> None:
    """A rollback that is cut off before each of its steps, and then asked for once more."""
    import tiny_sweep
    from mlflow import MlflowClient

    from sweep.ledger.evidence import Evidence
    from sweep.mlflow.registry import aliases
    from sweep.promotion.rollback import rollback

    home = tiny_sweep.home_at(folder)
    client = MlflowClient(home.tracking_uri)
    again = partial(rollback, home, tiny_sweep.NAME, reason="it misses large ones")
    number, code = 1, 9
    while code == 9:
        before = aliases(client, "ptxsweep-phantom-average_precision")
        code = ended_before(number, ROLLING, again)
        if code == 9:
            again()
        after = aliases(client, "ptxsweep-phantom-average_precision")
        kept = len(Evidence(home.ledger_url, tiny_sweep.NAME).rollbacks())
        line = {"step": number, "code": code, "before": before, "after": after, "kept": kept}
        print(json.dumps(line))
        number += 1


def beginnings(folder: Path) -> None:
    """A sweep whose beginning is cut off before each of its steps, and then begun or gone on with.

    Lines say whether the ledger had it then, and what is there afterwards.
    """
    import tiny_sweep

    from ptxcore.data.splits.fold_plan import FoldPlan
    from sweep.ledger import Ledger, list_sweeps
    from sweep.storage.beginning import begin, check_free, has_begun

    first = tiny_sweep.home_at(folder)
    plan = FoldPlan.load(first.sweep_folder(tiny_sweep.NAME) / "plan.json")
    ledger = Ledger.open(first.ledger_url, tiny_sweep.NAME)
    ledger.close()
    for number, copy in copies(folder):
        home = tiny_sweep.home_at(copy)

        def once(home: Home = home) -> None:
            begin(home, "new", plan, "name: new", ledger.header).close()

        code = ended_before(number, BEGINNING, once)
        has_row = "new" in list_sweeps(home.ledger_url)
        if has_row:
            has_begun(home, "new")
        else:
            check_free(home, "new")
            once()
        left = sorted(path.name for path in home.sweep_folder("new").iterdir())
        beside = sorted(path.name for path in home.storage.iterdir() if path.is_dir())
        FoldPlan.load(home.sweep_folder("new") / "plan.json")
        line = {"step": number, "code": code, "has_row": has_row, "left": left, "beside": beside}
        print(json.dumps(line))
        shutil.rmtree(copy)
        if code != 9:
            return


if __name__ == "__main__":
    {
        "begin": beginnings,
        "move": moves,
        "promote": promotions,
        "rollback": rollbacks,
    }[sys.argv[1]](Path(sys.argv[2]), *sys.argv[3:])
