"""`ptxsweep ui`: MLflow's real server, started for one sweep and ended with the command."""

from __future__ import annotations

import http.client
import json
import signal
import subprocess
import sys
from urllib.parse import urlsplit

import pytest
from processes import below, free_ports, wait_until
from tiny_sweep import NAME

from sweep.errors import UsageError
from sweep.storage.home import Home
from sweep.sync import sync
from sweep.ui import pages


def test_pages_of_a_sweep_until_the_command_is_ended(tiny_home: Home) -> None:
    with (
        pytest.raises(UsageError, match=f"has no run of '{NAME}'; `ptxsweep sync {NAME}`"),
        pages(tiny_home, NAME),
    ):
        pass
    run = sync(tiny_home, NAME).run_id
    (port,) = free_ports(1)
    words = ["ui", NAME, "--home", str(tiny_home.folder), "--port", str(port), "--json"]
    words += ["--ledger", tiny_home.ledger_url, "--tracking-uri", tiny_home.tracking_uri]
    process = subprocess.Popen(
        [sys.executable, "-m", "sweep.cli", *words, "--no-open"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        told = json.loads("".join(iter(process.stdout.readline, "}\n")) + "}")
        assert told["run_id"] == run
        assert told["url"].startswith(f"http://127.0.0.1:{port}/#/experiments/")
        assert told["url"].endswith(f"/runs/{run}?workflowType=machine_learning")
        connection = http.client.HTTPConnection(str(urlsplit(told["url"]).netloc), timeout=30)
        connection.request("GET", "/")
        assert b"<title>MLflow</title>" in connection.getresponse().read()
        connection.close()
        # A second one finds it.
        with pages(tiny_home, NAME, port=port) as found:
            assert (found.url, found.server) == (told["url"], None)
        started = below(process.pid)
        assert started
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        process.stdout.close()
    wait_until(lambda: not any(_runs(number) for number in started))


def _runs(number: int) -> bool:
    try:
        with open(f"/proc/{number}/stat", encoding="ascii") as stat:
            return ") Z " not in stat.read()
    except OSError:
        return False
