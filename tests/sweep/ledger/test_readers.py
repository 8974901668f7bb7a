"""Viewers read a ledger while its driver writes, and neither disturbs the other."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from in_process import Driver, make_controller, toy_fold, toy_space

from sweep.ledger import Ledger
from sweep.ledger.header import SweepHeader
from sweep.ledger.projection import Projection


def test_readers_see_a_true_past_and_the_driver_never_waits_in_vain(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    space = toy_space(num_trials=5, num_completions=None, policy="standard")
    header = SweepHeader(metric="quality", maximize=True, num_folds=3, seed=0)
    ledger = Ledger.create(url, "busy", header=header)
    ledger.acquire("driver")
    seen: list[Projection] = []
    is_over = threading.Event()

    def watch() -> None:
        reader = Ledger.open(url, "busy")
        while not is_over.is_set():
            seen.append(reader.projection)
            reader.refresh()
        reader.close()

    readers = [threading.Thread(target=watch) for _ in range(2)]
    for reader in readers:
        reader.start()

    def watched_fold(parameters: Mapping[str, Any], fold: int) -> tuple[list[float], float]:
        num_seen = len(seen)
        while len(seen) == num_seen:  # somebody reads between any two folds
            time.sleep(0.001)
        return toy_fold(parameters, fold)

    driver = Driver(make_controller(ledger, space), ledger, watched_fold)
    assert driver.run()
    driver.controller.close("unused")
    is_over.set()
    for reader in readers:
        reader.join()
    events = ledger.projection.events()
    assert len({len(one.events()) for one in seen}) >= 5, "the readers saw nothing move"
    for one in seen:
        past = one.events()
        assert past == events[: len(past)]
    ledger.close()
