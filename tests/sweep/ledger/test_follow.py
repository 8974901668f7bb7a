"""A viewer that stays sees what one that reads everything sees, at every moment."""

from __future__ import annotations

from pathlib import Path

import pytest
from synthetic_sweeps import SPACE, Story, make_header, run_sweep

from sweep.errors import LedgerError, UnknownSweep
from sweep.ledger import Ledger
from sweep.ledger.compat import TRIAL_ATTRIBUTES, trial_id
from sweep.ledger.connection import close_storage, open_storage
from sweep.ledger.follow import Follower
from sweep.ledger.ledger import RESAMPLING_KEY
from sweep.records import Epoch, FoldScore, State, SweepState
from sweep.space import parse_space


def test_it_reads_what_the_ledger_reads(tmp_path: Path) -> None:
    story = Story(diverges=frozenset({4}), lost=frozenset({(1, 0)}))
    ledger = run_sweep(f"sqlite:///{tmp_path / 'ledger.db'}", story=story)
    follower = Follower(ledger.storage, "synthetic")
    ledger.refresh()
    assert repr(follower.projection) == repr(ledger.projection)
    assert follower.last_at is not None
    assert not follower.advance()
    ledger.close()


def test_it_takes_in_every_entry_as_it_comes(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    space = parse_space(SPACE, "s.yaml")
    writer = Ledger.create(url, "grown", header=make_header(space, 1))
    Ledger.create(url, "other", header=make_header(space, 1)).close()
    storage = open_storage(url)
    follower = Follower(storage, "grown")
    assert follower.projection.trials == []
    assert follower.last_at is None
    writer.acquire("test")

    def same() -> None:
        assert follower.advance()
        assert repr(follower.projection) == repr(Ledger(storage, "grown").projection)

    parameters = {"dropout": 0.2}
    distributions = {"dropout": space.distributions()["dropout"]}
    revisions = [follower.revision]
    writer.add_trial(parameters, distributions, {"dropout": 0.2, "max_epochs": 3})
    same()
    first = follower.projection
    attempt = writer.start_fold(0, 0)
    for number, value in enumerate((0.3, float("nan"), 0.5), start=1):
        epoch = Epoch(trial=0, fold=0, attempt=attempt, epoch=number, value=value, seconds=1.0)
        writer.record_epoch(epoch)
        writer.flush()
        same()
        revisions.append(follower.revision)
    assert follower.driver() is not None
    assert follower.last_at is not None
    assert follower.last_at > writer.projection.trials[0].log[0].started_at, "epochs are signs too"
    score = FoldScore(
        trial=0, fold=0, attempt=attempt, value=0.5, score=0.5, seconds=3.0, num_epochs=3,
        best_epoch=3, metrics={"dice": 0.5},
    )  # fmt: skip
    writer.finish_fold(score)
    same()
    writer.annotate(0, "mark", {"epoch": 3})
    same()
    assert follower.projection is first, "nothing was read anew"
    writer.end(0, State.PRUNED, "because")
    writer.set_sweep_state(SweepState.FINISHED)
    same()
    writer.note_resampling({"num_draws": 1})
    same()
    assert revisions == sorted(set(revisions))
    assert not follower.advance()
    writer.close()
    assert follower.driver() is None
    close_storage(storage)


def test_it_says_what_cannot_be_read(tmp_path: Path) -> None:
    ledger = run_sweep(f"sqlite:///{tmp_path / 'ledger.db'}", num_trials=2, num_completions=2)
    with pytest.raises(UnknownSweep, match="no sweep is named 'none'"):
        Follower(ledger.storage, "none")
    follower = Follower(ledger.storage, "synthetic")
    study = ledger.study
    study.set_user_attr(RESAMPLING_KEY, {})
    trial = study.get_trials(deepcopy=False)[0]
    with ledger.storage.engine.begin() as connection:
        connection.execute(
            TRIAL_ATTRIBUTES.insert().values(
                trial_id=trial_id(trial), key="by:hand", value_json="[]"
            )
        )
    with pytest.raises(LedgerError, match="a row that this version cannot read"):
        follower.advance()
    ledger.close()
