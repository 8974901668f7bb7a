"""What to try next: an Optuna sampler over the trials' current estimates.

A fresh sampler is made for every trial, seeded from (sweep seed, trial number), so a
resumed sweep goes on where it was: a sampler reloaded with the sweep's own seed would propose its
first points again. Every argument is pinned.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, RandomSampler, TPESampler

from sweep.errors import UsageError
from sweep.ledger.projection import Projection
from sweep.policies import Rung
from sweep.search.optuna_views import SamplerView
from sweep.space import SearchSpace

SAMPLERS = ("tpe", "random")
#: Draws before a configuration that was tried already is accepted again.
_MAX_DRAWS = 10


class Proposer:
    """Proposes trial after trial of a sweep, and reads only what is new in between.

    Attributes:
        projection: What is known.
    """

    def __init__(
        self, space: SearchSpace, projection: Projection, seed: int, rung: Rung | None = None
    ) -> None:
        """Begin anywhere in a sweep.

        Args:
            space: What may vary.
            projection: Followed as it changes.
            seed: Seed of the sweep, at least 0; the next trial's number is added to it.
            rung: Where the sweep's policy compares trials first, see `SamplerView`.
        """
        self._space, self.projection, self._seed = space, projection, seed
        self._view = SamplerView(projection, looks=space.sampler.name != "random", rung=rung)
        self._tried: set[frozenset[tuple[str, Any]]] = set()
        self._num_seen = 0

    def propose(self) -> dict[str, Any]:
        """The active parameters of the next trial.

        Configurations that are in the sweep already are drawn again, up to ten times: the same
        configuration gives the same scores.

        Returns:
            Chosen values by name; inactive parameters are absent.
        """
        number, space = len(self.projection.trials), self._space
        for trial in self.projection.trials[self._num_seen :]:
            self._tried.add(frozenset(trial.parameters.items()))
        self._num_seen = number
        for draw in range(_MAX_DRAWS):
            sampler = make_sampler(
                space.sampler.name, space.sampler.settings(), self._seed, number, draw
            )
            asked = self._view.study(sampler).ask()
            space.suggest(asked)
            parameters = dict(asked.params)
            if frozenset(parameters.items()) not in self._tried:
                break
        return parameters


def propose(space: SearchSpace, projection: Projection, seed: int) -> dict[str, Any]:
    """The active parameters of the next trial, see `Proposer`."""
    return Proposer(space, projection, seed).propose()


def make_sampler(
    name: str, settings: dict[str, Any], seed: int, number: int, draw: int = 0
) -> BaseSampler:
    """A fresh sampler for one trial.

    Args:
        name: One of `SAMPLERS`.
        settings: `n_startup_trials` of TPE.
        seed: Seed of the sweep, at least 0.
        number: Number of the trial to be proposed.
        draw: Number of the draw for it.

    Raises:
        UsageError: There is no sampler of that name.
    """
    state = np.random.SeedSequence([seed, number, draw]).generate_state(1)
    if name == "random":
        return RandomSampler(seed=int(state[0]))
    if name != "tpe":
        raise UsageError(f"sampler: found {name!r}, expected one of {SAMPLERS}")
    with warnings.catch_warnings():
        # `group` is what makes conditional parameters share one model where they are all active.
        warnings.simplefilter("ignore", ExperimentalWarning)
        return TPESampler(
            n_startup_trials=settings.get("n_startup_trials", 10),
            n_ei_candidates=24,
            multivariate=True,
            group=True,
            constant_liar=True,
            seed=int(state[0]),
        )
