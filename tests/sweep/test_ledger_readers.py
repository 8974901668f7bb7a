"""Viewers read a ledger while its driver writes, and neither disturbs the other."""

from __future__ import annotations

import threading
from pathlib import Path

from in_process import Driver, conduct, toy_fold, toy_space

from sweep.ledger import Ledger
from sweep.projection import Projection


def test_readers_see_a_true_past_and_the_driver_never_waits_in_vain(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    space = toy_space(num_trials=5, num_completions=None, policy="standard")
    header = {"metric": "quality", "maximize": True, "num_folds": 3, "seed": 0}
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
    driver = Driver(conduct(ledger, space), ledger, toy_fold)
    assert driver.run()
    driver.conductor.close("unused")
    is_over.set()
    for reader in readers:
        reader.join()
    events = ledger.projection.events()
    assert seen, "no reader got to read"
    for one in seen:
        past = one.events()
        assert past == events[: len(past)]
    ledger.close()
