"""What a policy is to a search space: its settings, and when a sweep of it ends."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from pydantic import Field, model_validator

from sweep.errors import UsageError
from sweep.policies._base import Policy
from sweep.policies._least_gain import FORMS, least_gain
from sweep.util.strict import Named, Problem, chosen_by_hand, find


class PolicySpec(Named):
    """Which fold next, and when the sweep ends.

    A subclass is known to search spaces by the literal of its `name`. Fields that it adds are
    arguments of its policy.

    Attributes:
        num_trials: Trials in all, the default one among them.
        num_completions: Complete trials that end the sweep; None for no such rule. Left out, it
            is 10 or `num_trials` if that is less, and None in standard order and where `min_gain`
            ends the sweep.
        min_gain: The sweep ends when no fold promises this gain: expected improvement of the best
            mean per missing fold, times the number of all folds of all trials, in the unit that
            `LeastGain` knows. None for no such rule. Only of policies that have `gain_left`;
            halving and intensification know only whether they have decided.
        policy: Builds the policy.
        own_min_gain: `min_gain` where neither it nor `num_completions` is given.
    """

    num_trials: int = Field(default=40, ge=1)
    num_completions: int | None = Field(default=10, ge=1)
    min_gain: float | str | None = None

    policy: ClassVar[Callable[..., Policy]]
    own_min_gain: ClassVar[float | str | None] = None

    @model_validator(mode="before")
    @classmethod
    def _choose_the_end(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        if not _is_gain(data.get("min_gain")):
            raise Problem("min_gain", data["min_gain"], f"{FORMS}, or null")
        if data.get("lookahead") == 0 and "lookahead" not in cls.model_fields:
            # Of sweeps that were begun when it was a setting of every policy.
            data = {key: value for key, value in data.items() if key != "lookahead"}
        if "num_completions" in data:
            return data
        min_gain = data.get("min_gain", cls.own_min_gain)
        if min_gain is not None:
            return {**data, "min_gain": min_gain, "num_completions": None}
        num_trials, usual = data.get("num_trials", 40), cls.model_fields["num_completions"].default
        if usual is not None and isinstance(num_trials, int) and 1 <= num_trials < usual:
            return {**data, "num_completions": num_trials}
        return data

    @model_validator(mode="after")
    def _check(self) -> PolicySpec:
        if self.num_completions is not None and self.num_completions > self.num_trials:
            raise Problem(
                "num_completions", self.num_completions, f"at most num_trials ({self.num_trials})"
            )
        if self.min_gain is not None and not self.knows_gain():
            raise Problem("min_gain", self.min_gain, f"null, policy {self.name} knows no gain")
        return self

    @classmethod
    def knows_gain(cls) -> bool:
        """Whether the policy says what going on may still bring, see `min_gain`."""
        return hasattr(cls.policy, "gain_left")

    def most_complete(self) -> int:
        """Trials that may become complete before the policy says that nothing is left."""
        return self.num_trials

    def looks(self) -> tuple[int, ...]:
        """Epochs of the first fold after which trials are compared; empty where folds alone are."""
        return ()

    def settings(self) -> dict[str, Any]:
        """Keyword arguments of the policy, beside the number of folds."""
        own = type(self).model_fields.keys() - PolicySpec.model_fields.keys()
        return {"num_trials": self.num_trials, **{name: getattr(self, name) for name in own}}

    def build(self, num_folds: int) -> Policy:
        """A fresh policy with these settings, for trials of `num_folds` folds."""
        return make_policy(self.name, self.settings(), num_folds)

    def content(self) -> dict[str, Any]:
        """What the digest of a search space knows of it: the same as in older versions."""
        return {"lookahead": 0, **self.model_dump()}


def _is_gain(given: object) -> bool:
    if given is None:
        return True
    if isinstance(given, bool) or not isinstance(given, float | int | str):
        return False
    try:
        return least_gain(given).value > 0
    except UsageError:
        return False


def make_policy(name: str, settings: Mapping[str, Any], num_folds: int) -> Policy:
    """Build a policy by name.

    Args:
        name: Name of a policy, or an older name of it.
        settings: Keyword arguments of the policy, `num_trials` among them.
        num_folds: Folds of a complete trial, at least 1.

    Raises:
        UsageError: There is no policy of that name, or it refuses its settings.
    """
    return policy_named(name).policy(**settings, num_folds=num_folds)


def policy_named(name: str) -> type[PolicySpec]:
    """The model of a policy's settings.

    Raises:
        UsageError: There is no policy of that name.
    """
    try:
        return find(PolicySpec, name)
    except Problem as error:
        raise UsageError(f"policy: {error}") from error


def policy_spec(given: Mapping[str, Any]) -> PolicySpec:
    """A policy as a search space file would give it, with the defaults for what is left out.

    Raises:
        SpaceError: There is no such policy, or a setting is unknown or out of range.
    """
    return chosen_by_hand(PolicySpec, "policy", given)
