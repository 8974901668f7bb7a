"""How a sweep comes into being: its files first, then its row in the ledger, which is the moment.

A driver may be killed in between. What it leaves has a mark, and no row: the next one that wants
the name sweeps it out, under a lock that all who begin a sweep in the same storage hold. A folder
without a mark and without a row may be of a sweep in another ledger, so it is never touched.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import time
from pathlib import Path
from typing import Any

from ptxcore.data.splits.fold_plan import FoldPlan
from ptxcore.digest import digest_of
from sweep.errors import LedgerError, NameTaken
from sweep.ledger import Ledger, SweepHeader, list_sweeps
from sweep.storage.home import Home
from sweep.storage.renaming import alone
from sweep.storage.sweep_files import files_of
from sweep.util.redaction import shown_uri
from sweep.util.sqlite import sqlite_file

#: In the folder of a sweep until the ledger has its row: what would be left by a kill.
MARK = ".beginning.json"
#: Nobody needs as long between the mark and the row; after this time another host may sweep out.
_LONGEST_SECONDS = 120.0


def check_free(home: Home, name: str) -> None:
    """Refuse a name that is taken in the ledger or the folder; nothing is written.

    Args:
        home: Where the sweep will live.
        name: Name of the sweep.

    Raises:
        NameTaken: A sweep has it, or a folder of it is there that no kill left.
    """
    if name in list_sweeps(home.ledger_url):
        raise NameTaken(
            f"a sweep named {name!r} exists; `ptxsweep resume {name}` goes on with it, "
            "`--name` starts another one"
        )
    folder = home.sweep_folder(name)
    if folder.exists() and _mark_in(folder).get("ledger") != _ledger(home):
        raise NameTaken(
            f"{folder} is there, but the ledger has no sweep named {name!r}: it is of a sweep in "
            "another ledger (give its --ledger), or an older version was killed as it began; "
            "`--name` starts another one, or move that folder away"
        )


def claim(home: Home, name: str) -> None:
    """Refuse a name that is taken, and a storage that cannot be used, before anything takes long.

    Args:
        home: Where the sweep will live.
        name: Name of the sweep.

    Raises:
        NameTaken: As of `check_free`, or object storage holds a sweep of that name.
        UsageError: Object storage is missing, cannot be reached or may not be written.
    """
    check_free(home, name)
    files_of(home, name).claim(may_take=lambda mark: _is_left(home, mark))


def begin(home: Home, name: str, plan: FoldPlan, space_text: str, header: SweepHeader) -> Ledger:
    """Lay out a sweep: all of it, or nothing that a later call would trip over.

    Args:
        home: Where it will live.
        name: Name of the sweep.
        plan: Its folds and hold-out.
        space_text: Its search space, as YAML.
        header: What is fixed from here on.

    Returns:
        Its ledger, open, without a lease.

    Raises:
        NameTaken: As of `claim`.
        StorageError: The storage cannot be used.
    """
    files = files_of(home, name)
    mark = {"ledger": _ledger(home), "host": socket.gethostname(), "at": time.time()}
    with alone(home):
        claim(home, name)
        _sweep_out(files.folder)
        try:
            _write(files.folder, plan, space_text, mark)
            files.save_plan(mark)
            ledger = Ledger.create(home.ledger_url, name, header=header)
        except BaseException:
            with contextlib.suppress(LedgerError):  # what has the mark may as well stay
                if name not in list_sweeps(home.ledger_url):
                    _sweep_out(files.folder)
                    files.forget_plan()
            raise
    has_begun(home, name)
    return ledger


def has_begun(home: Home, name: str) -> None:
    """Take the mark from a sweep that the ledger has."""
    mark = home.sweep_folder(name) / MARK
    if mark.exists():
        files_of(home, name).keep_plan()
        mark.unlink(missing_ok=True)


def _write(folder: Path, plan: FoldPlan, space_text: str, mark: dict[str, Any]) -> None:
    """The folder of a sweep, with its mark, appears whole."""
    draft = _draft(folder)
    draft.mkdir(parents=True)
    (draft / MARK).write_text(json.dumps(mark), encoding="utf-8")
    plan.save(draft / "plan.json")
    plan.search_part().save(draft / "search_plan.json")
    (draft / "space.yaml").write_text(space_text, encoding="utf-8")
    draft.rename(folder)


def _sweep_out(folder: Path) -> None:
    """Remove the folder of a sweep that did not come to be; a kill does not take its mark alone."""
    draft = _draft(folder)
    shutil.rmtree(draft, ignore_errors=True)
    if folder.exists():
        folder.rename(draft)
        shutil.rmtree(draft, ignore_errors=True)


def _draft(folder: Path) -> Path:
    return folder.with_name(f".beginning-{folder.name}")  # no sweep's name begins with a dot


def _is_left(home: Home, mark: dict[str, Any]) -> bool:
    """Whether a mark in object storage is of one of ours that was killed; the ledger has no row."""
    is_old = time.time() - float(mark.get("at") or 0) > _LONGEST_SECONDS
    return mark.get("ledger") == _ledger(home) and (
        is_old or mark.get("host") == socket.gethostname()
    )


def _mark_in(folder: Path) -> dict[str, Any]:
    try:
        found = json.loads((folder / MARK).read_text(encoding="utf-8") or "{}")
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _ledger(home: Home) -> str:
    """Tells ledgers apart without saying where they are; the same after the home has moved."""
    file = sqlite_file(home.ledger_url)
    inside = file is not None and file.absolute().is_relative_to(home.folder)
    known = str(file.absolute().relative_to(home.folder)) if file and inside else ""
    return digest_of({"ledger": known or shown_uri(home.ledger_url)})
