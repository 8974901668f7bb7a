"""The Gaussian process over trials and folds, against sums written out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from sweep.policies._fold_model import FoldModel, Variances, distances

K = 4
Scores = dict[tuple[int, int], float]


def some_scores(generator: np.random.Generator, rows: int) -> Scores:
    """First folds of all, more of the first half."""
    quality = generator.normal(0.8, 0.05, rows)
    cells = [(row, 0) for row in range(rows)]
    cells += [(row, fold) for row in range(rows // 2) for fold in range(1, 1 + row % K)]
    return {cell: quality[cell[0]] + generator.normal(0, 0.02) for cell in cells}


@pytest.mark.parametrize("with_parameters", [True, False])
def test_a_score_that_comes_later_counts_the_same(with_parameters: bool) -> None:
    generator = np.random.default_rng(0)
    parameters = [{"x": float(x)} if with_parameters else {} for x in generator.random(12)]
    scores = some_scores(generator, 12)
    later = dict(list(scores.items())[-4:])
    first = {cell: score for cell, score in scores.items() if cell not in later}
    model = FoldModel(parameters, K, Variances())
    model.fit(first, num_steps=10)
    for (row, fold), score in later.items():
        model.add(row, fold, score)
    whole = FoldModel(parameters, K, model.variances)
    whole.fit(scores, num_steps=0)
    whole._floors = model._floors  # as they were before; the scale follows the first folds
    whole._build()
    for found, expected in zip(model.totals(), whole.totals(), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9)


def test_the_posterior_by_hand() -> None:
    """Conditions the joint normal of every cell on those that are known."""
    parameters = [{"x": x} for x in (0.0, 0.4, 0.5, 1.0, 0.45)]
    scores: Scores = {
        (0, 0): 0.9,
        (1, 0): 0.7,
        (2, 0): 0.8,
        (3, 0): 0.6,
        (0, 1): 0.8,
        (2, 1): 0.85,
        (0, 2): 0.85,
    }
    v = Variances(length=0.4, shared=0.5, own=0.2, shared_fold=0.3, noise=0.1, fold=2.0)
    model = FoldModel(parameters, 3, v)
    model.fit(scores, num_steps=0)
    cells = [(row, fold) for row in range(5) for fold in range(3)]
    scaled = np.sqrt(5) * distances(parameters) / v.length
    kernel = (1 + scaled + scaled**2 / 3) * np.exp(-scaled)
    joint = np.array(
        [
            [
                v.shared * kernel[a, b]
                + v.own * (a == b)
                + (f == g) * (v.fold + v.shared_fold * kernel[a, b] + v.noise * (a == b))
                for b, g in cells
            ]
            for a, f in cells
        ]
    )
    known = [cells.index(cell) for cell in scores]
    rest = [index for index in range(15) if index not in known]
    first = np.array([0.9, 0.7, 0.8, 0.6])
    floor = min(np.quantile(first, 0.3), 2 * 0.75 - 0.9, first.mean() - first.std())
    lifted = np.maximum(first, floor)
    floors = [floor, floor + (-0.1 + 0.05) / 2, floor - 0.05]
    values = np.array([max(s, floors[fold]) for (_, fold), s in scores.items()])
    values = (values - lifted.mean()) / lifted.std()
    gain = joint[np.ix_(rest, known)] @ np.linalg.inv(joint[np.ix_(known, known)])
    mean = lifted.mean() + lifted.std() * (gain @ values)
    covariance = joint[np.ix_(rest, rest)] - gain @ joint[np.ix_(known, rest)]
    means, spreads = model.totals()
    for row in range(5):
        mine = np.array([cells[index][0] == row for index in rest])
        total = sum(score for (r, _), score in scores.items() if r == row) + mean[mine].sum()
        assert means[row] == pytest.approx(total, abs=1e-6)
        spread = lifted.std() * np.sqrt(covariance[np.ix_(mine, mine)].sum())
        assert spreads[row] == pytest.approx(spread, abs=1e-5)
    assert spreads[0] == 0
    assert model.num_missing().tolist() == [1, 2, 1, 2, 3]


def test_a_fold_on_which_most_are_perfect_hides_no_difference_on_the_others() -> None:
    scores: Scores = {(row, 0): 1.0 for row in range(20)} | {(20, 0): 0.9, (21, 0): 0.8}
    for row in range(6):
        scores |= {(row, fold): 0.99 - 0.01 * row for fold in range(1, K)}
    model = FoldModel([{}] * 22, K, Variances())
    model.fit(scores, num_steps=20)
    assert (model._floors[1:] < 0.94).all()
    means, _ = model.totals()
    assert np.argsort(-means[:6]).tolist() == [0, 1, 2, 3, 4, 5]


def test_how_hard_a_fold_is_says_nothing_of_who_had_it() -> None:
    """The second fold is 0.3 lower for everybody, so who has it is not worse for that."""
    generator = np.random.default_rng(1)
    quality = generator.normal(0.8, 0.05, 40)
    scores = {(row, 0): float(value) for row, value in enumerate(quality)}
    scores |= {(row, 1): float(quality[row]) - 0.3 for row in range(0, 40, 2)}
    model = FoldModel([{}] * 40, 2, Variances())
    model.fit(scores, num_steps=30)
    means, _ = model.totals()
    np.testing.assert_allclose(means, 2 * quality - 0.3, atol=0.02)
