"""A Gaussian process over trials and folds: what a trial's missing folds will score.

The score of trial i on fold j is modelled as

    f_j + a(x_i) + c_i + e_j(x_i) + noise_ij

f_j is the difficulty of the fold (nothing is assumed of it); a is a smooth function of the
hyperparameters x and c_i the trial's own part, both the same on every fold; e_j is smooth in x
and drawn anew for every fold, because neighbours err on the same cases. Since scores are jointly
Gaussian, the selection that a policy made (only trials with a good first fold have a second)
does not bias the posterior, unlike a least-squares fit of trial and fold effects; and folds are
compared within the fold, as a paired test does.

Swersky, Snoek and Adams (Multi-Task Bayesian Optimization, NeurIPS 2013) model folds in this way;
the own parts and the sums over missing folds are ours. Scores below a floor are lifted to it, so
that diverged and hopeless trials do not set the scale.

An observation is added in O(n^2 + n N) by extending a Cholesky factor.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: At most this share of the first scores is lifted to the best among them.
_LIFTED_SHARE = 0.3
#: Scores that the variances are learned from: all but a large sweep's.
_MOST_LEARNED = 400


@dataclass(frozen=True, kw_only=True)
class Variances:
    """What the model learns from the scores; variances in units of the trials' variance.

    Attributes:
        length: Distance in the unit cube over which trials resemble each other.
        shared: Variance of a, which the hyperparameters explain on every fold.
        own: Variance of c, the trial's own part.
        shared_fold: Variance of e, which the hyperparameters explain on one fold.
        noise: Variance of the rest.
        fold: Variance of f, the difficulty of folds.
    """

    length: float = 0.5
    shared: float = 0.3
    own: float = 0.1
    shared_fold: float = 0.1
    noise: float = 0.1
    fold: float = 1.0

    def log_prior(self) -> float:
        """Log-normal priors, weak but for what differs between folds.

        That is seldom little, and not to be seen before several unlike trials have two folds.
        """
        everywhere, by_fold = (self.shared, self.own), (self.shared_fold, self.noise)
        return -0.5 * (
            math.log(self.length / 0.5) ** 2
            + sum((math.log(value / 0.1) / 2.5) ** 2 for value in everywhere)
            + sum(math.log(value / 0.3) ** 2 for value in by_fold)
            + math.log(self.fold) ** 2
        )

    def moved(self, steps: Floats) -> Variances:
        """Multiplied by e^steps, [6]."""
        factors = np.exp(steps)
        return Variances(
            length=float(np.clip(self.length * factors[0], 0.03, 5.0)),
            shared=float(np.clip(self.shared * factors[1], 1e-4, 10.0)),
            own=float(np.clip(self.own * factors[2], 1e-4, 10.0)),
            shared_fold=float(np.clip(self.shared_fold * factors[3], 1e-4, 10.0)),
            noise=float(np.clip(self.noise * factors[4], 1e-4, 10.0)),
            fold=float(np.clip(self.fold * factors[5], 1e-2, 100.0)),
        )


def distances(parameters: Sequence[Mapping[str, Any]]) -> Floats:
    """[N, N] Euclidean distances between configurations.

    Numbers are scaled to [0, 1], on a logarithmic scale when all are positive and span a factor of
    20; other values differ by 1 or not at all, as does a parameter that one of the two lacks.
    """
    count = len(parameters)
    squares = np.zeros((count, count))
    for name in sorted({name for parameter in parameters for name in parameter}):
        column = [parameter.get(name) for parameter in parameters]
        if all(isinstance(value, int | float) for value in column):
            values = np.array(column, np.float64)
            if values.min() > 0 and values.max() >= 20 * values.min():
                values = np.log(values)
            span = values.max() - values.min()
            if span > 0:
                squares += ((values[:, None] - values[None]) / span) ** 2
        else:
            codes = {text: code for code, text in enumerate(sorted({repr(v) for v in column}))}
            coded = np.array([codes[repr(value)] for value in column])
            squares += coded[:, None] != coded[None]
    return np.sqrt(squares)


class FoldModel:
    """The posterior of every trial's sum of scores over all folds."""

    def __init__(
        self,
        parameters: Sequence[Mapping[str, Any]],
        num_folds: int,
        variances: Variances,
    ) -> None:
        """Start without observations.

        Args:
            parameters: Settings of the N trials; where all are empty, trials share nothing.
            num_folds: Folds of a complete trial.
            variances: To begin with, see `fit`.
        """
        self._count, self._num_folds = len(parameters), num_folds
        self._distances = distances(parameters) if any(parameters) else None
        self.variances = variances
        self._rows: list[int] = []
        self._folds: list[int] = []
        self._raw: list[float] = []
        self._floors = np.full(num_folds, -math.inf)
        self._center, self._scale = 0.0, 1.0

    def fit(self, scores: Mapping[tuple[int, int], float], *, num_steps: int) -> None:
        """Learn the scale and the variances from scores by (row, fold), and take them in.

        The marginal likelihood, of at most 400 scores drawn at random, is climbed by `num_steps`
        random steps; both are seeded by the number of scores.
        """
        self._rows = [row for row, _ in scores]
        self._folds = [fold for _, fold in scores]
        self._raw = list(scores.values())
        first = {row: score for (row, fold), score in scores.items() if fold == 0}
        self._floors = _floors(scores, first, self._num_folds)
        lifted = np.maximum(list(first.values()), self._floors[0])
        self._center, self._scale = float(lifted.mean()), max(float(lifted.std()), 1e-9)
        generator = np.random.default_rng(len(scores))
        some = np.sort(generator.permutation(len(scores))[:_MOST_LEARNED])
        rows, folds, values = self._arrays()
        if num_steps:
            self.variances = self._climbed(
                rows[some], folds[some], values[some], num_steps, generator
            )
        self._build()

    def _climbed(
        self,
        rows: Ints,
        folds: Ints,
        values: Floats,
        num_steps: int,
        generator: np.random.Generator,
    ) -> Variances:
        pairs = _Pairs.of(rows, folds, self._distances)
        best, found = pairs.likelihood(self.variances, values), self.variances
        for step in range(num_steps):
            width = 0.8 if step < num_steps // 2 else 0.3
            moved = found.moved(width * generator.standard_normal(6))
            if (value := pairs.likelihood(moved, values)) > best:
                best, found = value, moved
        return found

    def add(self, row: int, fold: int, score: float) -> None:
        """Take in one score."""
        size = len(self._rows)
        rows, folds, _ = self._arrays()
        across = self._covariance(np.array([row]), np.array([fold]), rows, folds)[0]
        column = _solve(self._lower[:size, :size], across)
        rest = self._prior_variance() - float(column @ column)
        pivot = math.sqrt(max(rest, 1e-9))
        self._rows.append(row)
        self._folds.append(fold)
        self._raw.append(score)
        self._grow(size + 1)
        self._lower[size, :size], self._lower[size, size] = column, pivot
        value = (max(score, self._floors[fold]) - self._center) / self._scale
        self._whitened[size] = (value - float(column @ self._whitened[:size])) / pivot
        self._missing[row, fold] = False
        self._known[row] += score
        # Every trial's missing sum against the new observation, then the row's own anew.
        against = self._against(np.arange(self._count), np.array([row]), np.array([fold]))[:, 0]
        self._solved[size] = (against - column @ self._solved[:size]) / pivot
        self._expected += self._solved[size] * self._whitened[size]
        self._explained += self._solved[size] ** 2
        own = self._against(np.array([row]), *self._arrays()[:2])[0]
        solved = _solve(self._lower[: size + 1, : size + 1], own)
        self._solved[: size + 1, row] = solved
        self._expected[row] = solved @ self._whitened[: size + 1]
        self._explained[row] = solved @ solved

    def totals(self) -> tuple[Floats, Floats]:
        """[N] mean and standard deviation of the sum over all folds, in the metric's units."""
        missing = self._missing.sum(axis=1)
        v = self.variances
        prior = missing**2 * (v.shared + v.own) + missing * (v.shared_fold + v.noise + v.fold)
        spread = np.sqrt(np.maximum(prior - self._explained, 1e-12)) * (missing > 0)
        mean = self._known + missing * self._center + self._scale * self._expected
        return mean, self._scale * spread

    def num_missing(self) -> Ints:
        """[N] folds without a score, at least 1."""
        missing: Ints = np.maximum(self._missing.sum(axis=1), 1)
        return missing

    @property
    def scale(self) -> float:
        """Standard deviation of the trials' first scores, the hopeless lifted."""
        return self._scale

    # Covariances, in units of the trials' variance

    def _kernel(self, one: Ints, other: Ints) -> Floats:
        if self._distances is None:
            same: Floats = (one[:, None] == other[None]).astype(np.float64)
            return same
        return _matern(self._distances[np.ix_(one, other)], self.variances.length)

    def _covariance(self, rows: Ints, folds: Ints, other_rows: Ints, other_folds: Ints) -> Floats:
        """Between scores."""
        v = self.variances
        kernel = self._kernel(rows, other_rows)
        same_fold = folds[:, None] == other_folds[None]
        same = rows[:, None] == other_rows[None]
        total: Floats = (
            v.shared * kernel
            + v.own * same
            + same_fold * (v.shared_fold * kernel + v.fold + v.noise * same)
        )
        return total

    def _against(self, trials: Ints, rows: Ints, folds: Ints) -> Floats:
        """Between the sums of trials' missing folds and scores."""
        v = self.variances
        missing = self._missing[trials]
        kernel = self._kernel(trials, rows)
        same = trials[:, None] == rows[None]
        total: Floats = missing.sum(axis=1)[:, None] * (v.shared * kernel + v.own * same)
        total += missing[:, folds] * (v.shared_fold * kernel + v.fold)
        return total

    def _prior_variance(self) -> float:
        v = self.variances
        return v.shared + v.own + v.shared_fold + v.noise + v.fold

    def _arrays(self) -> tuple[Ints, Ints, Floats]:
        rows, folds = np.array(self._rows, np.int64), np.array(self._folds, np.int64)
        lifted = np.maximum(np.array(self._raw), self._floors[folds])
        return rows, folds, (lifted - self._center) / self._scale

    def _build(self) -> None:
        rows, folds, values = self._arrays()
        size = len(rows)
        self._lower = np.zeros((0, 0))
        self._whitened, self._solved = np.zeros(0), np.zeros((0, self._count))
        self._grow(size)
        covariance = self._covariance(rows, folds, rows, folds) + 1e-9 * np.eye(size)
        self._lower[:size, :size] = np.linalg.cholesky(covariance)
        self._missing = np.ones((self._count, self._num_folds), np.bool_)
        self._missing[rows, folds] = False
        self._whitened[:size] = _solve(self._lower[:size, :size], values)
        against = self._against(np.arange(self._count), rows, folds)
        solved = _solve(self._lower[:size, :size], against.T)
        self._solved[:size] = solved
        # Of every trial's missing sum: what the scores say it is, and how much they explain.
        self._expected = solved.T @ self._whitened[:size]
        self._explained = (solved**2).sum(axis=0)
        self._known = np.zeros(self._count)
        np.add.at(self._known, rows, self._raw)

    def _grow(self, size: int) -> None:
        old = len(self._whitened)
        if size <= old:
            return
        new = size + max(32, size // 2)
        lower, whitened = np.zeros((new, new)), np.zeros(new)
        solved = np.zeros((new, self._count))
        lower[:old, :old], whitened[:old], solved[:old] = self._lower, self._whitened, self._solved
        self._lower, self._whitened, self._solved = lower, whitened, solved


def _floors(
    scores: Mapping[tuple[int, int], float], first: Mapping[int, float], num_folds: int
) -> Floats:
    """[k] score of every fold below which scores say no more; -inf where a fold has none.

    On the first fold it lies as far below the median as the best lies above, but lifts no more than
    `_LIFTED_SHARE` of the scores and none within a standard deviation of the mean. Another fold is
    harder or easier by the mean difference over the trials that have both.
    """
    values = np.array(list(first.values()))
    mirrored = 2 * np.median(values) - values.max()
    floor = min(np.quantile(values, _LIFTED_SHARE), mirrored, values.mean() - values.std())
    differences: list[list[float]] = [[] for _ in range(num_folds)]
    for (row, fold), score in scores.items():
        if row in first:
            differences[fold].append(score - first[row])
    return np.array(
        [floor + np.mean(difference) if difference else -math.inf for difference in differences]
    )


@dataclass(frozen=True)
class _Pairs:
    """What does not change while variances are learned, for every pair of scores; [n, n] each."""

    same: Floats
    same_fold: Floats
    distances: Floats | None

    @classmethod
    def of(cls, rows: Ints, folds: Ints, distances: Floats | None) -> _Pairs:
        return cls(
            (rows[:, None] == rows[None]).astype(np.float64),
            (folds[:, None] == folds[None]).astype(np.float64),
            None if distances is None else distances[np.ix_(rows, rows)],
        )

    def likelihood(self, v: Variances, values: Floats) -> float:
        """Log marginal likelihood plus the log prior, up to a constant."""
        kernel = self.same if self.distances is None else _matern(self.distances, v.length)
        covariance = v.shared_fold * kernel
        covariance += v.fold
        covariance *= self.same_fold
        covariance += v.shared * kernel
        covariance += v.own * self.same
        covariance[np.diag_indices(len(values))] += v.noise + 1e-9
        lower = np.linalg.cholesky(covariance).astype(np.float64, copy=False)
        whitened = _solve(lower, values)
        fit = -0.5 * float(whitened @ whitened) - float(np.log(np.diag(lower)).sum())
        return fit + v.log_prior()


def _matern(distances: Floats, length: float) -> Floats:
    """Matern 5/2."""
    scaled = distances * (math.sqrt(5) / length)
    kernel = np.exp(-scaled)
    scaled *= 1 + scaled / 3
    scaled += 1
    kernel *= scaled
    return kernel


def _solve(lower: Floats, right: Floats) -> Floats:
    """lower^-1 right."""
    from scipy.linalg import solve_triangular  # 0.2 s that only this policy needs

    solved: Floats = solve_triangular(lower, right, lower=True, check_finite=False)
    return solved
