from __future__ import annotations

from pathlib import Path

from sweep.demo import free_name
from sweep.ledger import Ledger
from sweep.ledger.header import SweepHeader
from sweep.storage.home import Home


def test_a_free_name_is_looked_for_where_the_ledger_is(tmp_path: Path) -> None:
    """Not in a file of the home, and without making one."""
    home = Home.from_environment(tmp_path / "home", ledger=f"sqlite:///{tmp_path / 'elsewhere.db'}")
    assert free_name(home) == "demo"
    assert list(tmp_path.iterdir()) == []
    header = SweepHeader(metric="dice", maximize=True, num_folds=2, seed=0, phantom=True)
    Ledger.create(home.ledger_url, "demo", header=header).close()
    assert free_name(home) == "demo-2"
