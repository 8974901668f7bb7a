"""Replays spread over processes give what one process gives, in the same places."""

from __future__ import annotations

import numpy as np

from sweep.simulate import Cluster, Table, parse_arm, replay_all, replay_seeds


def made(name: str, seed: int, num_trials: int) -> Table:
    generator = np.random.default_rng(seed)
    good = generator.normal(0.8, 0.05, (2, num_trials, 1))
    scores = good + generator.normal(0, 0.02, (2, num_trials, 4))
    params = tuple({"x": row / num_trials} for row in range(num_trials))
    return Table(name=name, scores=scores, seconds=np.ones_like(scores), curves=None, params=params)


def test_two_processes_give_what_one_gives_by_arm_and_table() -> None:
    tables = [made("small", 0, 12), made("large", 1, 25)]
    arms = [parse_arm("greedy:3"), parse_arm("default")]
    cluster = Cluster(num_workers=2, loss_rate=0.1)
    told: list[tuple[int, int]] = []
    spread = replay_all(
        tables, arms, cluster, [3, 5], num_processes=2, on_progress=lambda *n: told.append(n)
    )
    alone = replay_all(tables, arms, cluster, [3, 5], num_processes=1)
    for arm, row, other in zip(arms, spread, alone, strict=True):
        for table, found, again in zip(tables, row, other, strict=True):
            expected = replay_seeds(table, arm, cluster, [3, 5])
            assert found.outcomes == again.outcomes == expected.outcomes
            np.testing.assert_array_equal(found.regrets, expected.regrets)
    assert told == [(done, 8) for done in range(1, 9)]
