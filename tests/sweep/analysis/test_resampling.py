"""The search score without the luck of the choice, and how firm a ranking is."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from projections import folds, projection

from ptxcore.metrics import build_table, save_table
from ptxcore.types import NUM_LOGIT_BINS
from sweep.analysis.bias_corrected import bias_corrected
from sweep.analysis.rank_stability import Rank, rank_stability
from sweep.analysis.resampling import Resampling, known_resampling, resample, sentences
from sweep.ledger.projection import Projection
from sweep.records import State, SweepState


def test_bias_of_the_best_and_what_is_left_of_it(rng: np.random.Generator) -> None:
    """Forty equal trials of true score 0.7 on 150 cases, hard ones hard for all of them."""
    plain, corrected = [], []
    for _ in range(60):
        cases = 0.7 + 0.2 * rng.normal(size=(150, 1)) + 0.2 * rng.normal(size=(150, 40))
        drawn = rng.multinomial(150, np.full(150, 1 / 150), size=200) * 1.0
        out = (drawn == 0) * 1.0
        plain.append(cases.mean(0).max())
        corrected.append(
            bias_corrected(drawn @ cases / 150, out @ cases / out.sum(1, keepdims=True)).score
        )
    bias, left = np.mean(plain) - 0.7, np.mean(corrected) - 0.7
    assert bias > 0.025
    assert abs(left) < 0.2 * bias


def test_a_true_gain_is_not_taken_away(rng: np.random.Generator) -> None:
    """One trial is truly better by 0.1, so that nothing was won by luck."""
    cases = 0.7 + 0.1 * rng.normal(size=(400, 8)) + np.array([0.1, *[0.0] * 7])
    drawn = rng.multinomial(400, np.full(400, 1 / 400), size=300) * 1.0
    out = (drawn == 0) * 1.0
    found = bias_corrected(drawn @ cases / 400, out @ cases / out.sum(1, keepdims=True))
    assert found.score == pytest.approx(cases[:, 0].mean(), abs=0.002)
    error = cases[:, 0].std() / 20
    assert found.high - found.low == pytest.approx(2 * 1.96 * error, rel=0.2)
    assert found.low < 0.8 < found.high


def test_resamples_without_a_score() -> None:
    nan = np.nan
    in_bag = np.array([[0.1, nan], [nan, nan], [0.2, 0.3]])
    out_of_bag = np.array([[0.5, 0.9], [0.9, 0.9], [0.9, 0.7]])
    assert bias_corrected(in_bag, out_of_bag).score == 0.6
    assert np.isnan(bias_corrected(in_bag, out_of_bag, num_drawn=1).low)
    assert np.isnan(bias_corrected(np.full((2, 2), nan), np.ones((2, 2))).score)


def test_ranks_by_hand() -> None:
    scores = np.array([[0.5, 0.4, 0.1], [0.5, 0.5, 0.1], [0.3, 0.4, 0.5], [0.3, 0.2, np.nan]])
    first, second, third = rank_stability((0, 4, 7), scores)
    assert first == Rank(trial=0, first=pytest.approx(2.5 / 4), low=1, high=3)
    assert second == Rank(trial=7, first=0.25, low=1, high=3)
    assert third == Rank(trial=4, first=pytest.approx(0.5 / 4), low=1, high=2)


def test_equal_trials_share_the_first_place_and_a_better_one_has_it(
    rng: np.random.Generator,
) -> None:
    scores = rng.normal(size=(2000, 5))
    assert [rank.first for rank in rank_stability(tuple(range(5)), scores)] == pytest.approx(
        [0.2] * 5, abs=0.03
    )
    scores[:, 3] += 10
    first, *others = rank_stability(tuple(range(5)), scores)
    assert first == Rank(trial=3, first=1.0, low=1, high=1)
    assert all((rank.low, rank.high) == (2, 5) for rank in others)


@pytest.fixture
def swept(tmp_path: Path, rng: np.random.Generator) -> tuple[Projection, Path]:
    """Three complete trials with tables, of which the last is best, and a stopped one."""
    made = projection(num_folds=2)
    for number, level in enumerate((0.5, 0.5, 0.9)):
        folds(made, (0.0, 0.0), {"threshold": 0.5})
        for fold in (0, 1):
            rows, names = [], []
            for case in range(24):  # two images a patient, every other patient is positive
                truth, background = (np.zeros(NUM_LOGIT_BINS, dtype=np.int64) for _ in range(2))
                hit = int(rng.binomial(20, level))
                if case // 2 % 2:
                    truth[[-1, 0]] = hit, 20 - hit
                background[0] = 100
                rows.append((truth, background))
                names.append(f"case-{fold}-{case}")
            name = f"{number}-{fold}.npz"
            table = build_table(names, rows)
            save_table(tmp_path / name, table)
            hits = table.truth[:, -1]
            dice = np.where(table.truth.sum(1) > 0, 2 * hits / (hits + 20), 1.0).mean()
            score = dataclasses.replace(
                made.trials[number].folds[fold], cases=name, value=dice, score=dice
            )
            made.trials[number].folds[fold] = score
        made.end(number, State.COMPLETE, None, "then")
    made.end(folds(made, (0.9,)), State.PRUNED, None, "then")
    made.sweep_state = SweepState.FINISHED
    return made, tmp_path


def patients() -> dict[str, str]:
    return {f"case-{fold}-{case}": f"{fold}-{case // 2}" for fold in (0, 1) for case in range(24)}


def test_a_sweep(swept: tuple[Projection, Path]) -> None:
    made, folder = swept
    found = resample(made, folder, patients(), num_resamples=100)
    assert found is not None
    assert found.ranks[0] == Rank(trial=2, first=1.0, low=1, high=1)
    assert found.left_out == (3,)
    assert found.search_score == pytest.approx(made.trials[2].mean)
    assert found.corrected == pytest.approx(found.search_score, abs=0.01)
    assert found == resample(made, folder, patients(), num_resamples=100)  # of the sweep's seed
    made.resampling = found.to_stored()
    assert known_resampling(made) == found == Resampling.from_stored(made.resampling)
    score, order = sentences(found)
    assert "of the best of 3 complete trials" in score
    assert found.corrected_low < found.corrected < found.corrected_high
    interval = f"95% interval {found.corrected_low:.3f} to {found.corrected_high:.3f}"
    assert interval in score
    earlier = {k: value for k, value in made.resampling.items() if not k.startswith("corrected_")}
    assert interval not in sentences(Resampling.from_stored(earlier))[0]
    assert "(BBC-CV over 100 resamples of the patients; #3 without all folds" in score
    assert order == "With other patients #2 stays first, in all of the 100 resamples."


def test_a_table_that_is_gone(swept: tuple[Projection, Path]) -> None:
    made, folder = swept
    (folder / "0-1.npz").unlink()
    found = resample(made, folder, patients(), num_resamples=20)
    assert found is not None
    assert found.left_out == (0, 3)
    (folder / "2-0.npz").unlink()
    assert resample(made, folder, patients(), num_resamples=20) is None


def test_what_a_ledger_keeps_of_another_winner_is_not_shown(
    swept: tuple[Projection, Path],
) -> None:
    made, folder = swept
    found = resample(made, folder, patients(), num_resamples=20)
    assert found is not None
    made.resampling = {**found.to_stored(), "search_score": 0.1}
    assert known_resampling(made) is None
    made.resampling = {"ranks": 3}
    assert known_resampling(made) is None
    made.resampling = None
    assert known_resampling(made) is None
