from __future__ import annotations

from collections.abc import Iterator

import pytest
from synthetic_sweeps import Story, run_sweep

from sweep.ledger import Ledger


@pytest.fixture(scope="session")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    """Eight trials: one diverged, one lost a fold once, some were pruned."""
    url = f"sqlite:///{tmp_path_factory.mktemp('ledger') / 'ledger.db'}"
    story = Story(diverges=frozenset({4}), lost=frozenset({(1, 0)}))
    ledger = run_sweep(url, story=story)
    yield ledger
    ledger.close()
