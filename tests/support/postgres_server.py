"""A real PostgreSQL server in a temporary folder, from the system's packages."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path

_SERVER_USER = "postgres"


def find_tool(name: str) -> str | None:
    """A tool of PostgreSQL's server, which Debian keeps off the path."""
    found = shutil.which(name)
    if found is None:
        places = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
        found = str(places[-1]) if places else None
    return found


def why_not() -> str | None:
    """What keeps this machine from having a server, None if nothing does."""
    if find_tool("initdb") is None or find_tool("pg_ctl") is None:
        return "found no PostgreSQL (initdb, pg_ctl)"
    if importlib.util.find_spec("psycopg") is None:
        return "found no psycopg"
    if os.geteuid() == 0 and _SERVER_USER not in {entry.pw_name for entry in pwd.getpwall()}:
        return "PostgreSQL does not run as root, and there is no user 'postgres'"
    return None


class PostgresServer:
    """Runs until closed; reachable through a socket alone, or at an address with a password."""

    def __init__(self, address: str | None = None, port: int = 5433) -> None:
        initdb, pg_ctl = find_tool("initdb"), find_tool("pg_ctl")
        assert initdb is not None
        assert pg_ctl is not None
        self._pg_ctl = pg_ctl
        self._user = _SERVER_USER if os.geteuid() == 0 else None
        self._folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))  # sockets: short paths
        if self._user is not None:
            shutil.chown(self._folder, self._user)
        rule, password = ("trust", "") if address is None else ("scram-sha-256", "not-a-default")
        secret = self._folder / "password"
        secret.write_text(password or "unused", encoding="ascii")
        self._call(
            initdb, "-D", self._data, "-A", rule, "-U", "ptxsweep", "-E", "UTF8", "--no-sync",
            "--pwfile", str(secret),
        )  # fmt: skip
        listen = "listen_addresses=" if address is None else f"listen_addresses={address}"
        self._options = f"-k {self._folder} -c {listen} -c port={port} -c fsync=off"
        if address is None:
            self.url = f"postgresql+psycopg://ptxsweep@/postgres?host={self._folder}&port={port}"
        else:
            network = address.rsplit(".", 1)[0] + ".0/24"
            with (self._folder / "data" / "pg_hba.conf").open("a", encoding="ascii") as file:
                file.write(f"host all all {network} scram-sha-256\n")
            self.url = f"postgresql+psycopg://ptxsweep:{password}@{address}:{port}/postgres"
        self.start()

    @property
    def _data(self) -> str:
        return str(self._folder / "data")

    def _call(self, *words: str) -> None:
        subprocess.run(
            words, check=True, user=self._user, cwd=self._folder, stdout=subprocess.DEVNULL
        )

    def start(self) -> None:
        """Start, and wait until it answers."""
        log = str(self._folder / "log")
        self._call(self._pg_ctl, "-D", self._data, "-o", self._options, "-l", log, "-w", "start")

    def stop(self, mode: str = "immediate") -> None:
        """Stop; "immediate" is as after a crash."""
        self._call(self._pg_ctl, "-D", self._data, "-m", mode, "-w", "stop")

    def close(self) -> None:
        """Stop and remove everything."""
        self.stop()
        shutil.rmtree(self._folder)
