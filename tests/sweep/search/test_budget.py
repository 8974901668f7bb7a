"""A budget ends a sweep once its time is used."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from sweep.errors import UsageError
from sweep.ledger.header import SweepHeader
from sweep.ledger.projection import Attempt, Projection, Trial
from sweep.ledger.spent import attempt_seconds, hourly_price, spent_money
from sweep.search.budget import Budget


def _at(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).isoformat()


def test_no_limit_is_never_used_up() -> None:
    assert Budget().used_up(1e9, 1e9) is None


@pytest.mark.parametrize(("seconds", "ends"), [(7199.0, False), (7200.0, True)])
def test_hours_count_the_driver_and_gpu_hours_the_attempts(seconds: float, ends: bool) -> None:
    by_clock = Budget(hours=2).used_up(seconds, 0.0)
    by_gpu = Budget(gpu_hours=2).used_up(0.0, seconds)
    assert (by_clock is not None) is ends
    assert (by_gpu is not None) is ends
    if ends:
        assert by_clock == "the budget of 2 h is used"
        assert by_gpu == "the budget of 2 GPU hours is used"


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan")])
def test_a_budget_of_nothing_is_refused(value: float) -> None:
    with pytest.raises(UsageError, match=r"hours: found .*, expected a finite number above 0"):
        Budget(hours=value)


def test_gpu_hours_that_nobody_uses_are_refused() -> None:
    Budget(gpu_hours=2).check(gpus=0.5)
    Budget(hours=2).check(gpus=0.0)
    with pytest.raises(UsageError, match=r"gpu_hours: found 2, but trials take no GPU here"):
        Budget(gpu_hours=2).check(gpus=0.0)


def test_a_cost_ends_a_sweep_once_it_is_spent() -> None:
    budget = Budget(max_cost=50, price_per_gpu_hour=2.5)
    assert budget.prices == {"price_per_gpu_hour": 2.5}
    assert budget.used_up(1e9, 1e9, 49.99) is None
    assert budget.used_up(0.0, 0.0, 50.004) == "the budget of 50 is used: 50.00 spent"


def test_a_cost_that_nothing_would_reach_is_refused() -> None:
    with pytest.raises(UsageError, match=r"max_cost: found 50 without a price; give --price-per"):
        Budget(max_cost=50)
    for bad in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(UsageError, match=r"price_per_cpu_hour: found .*, expected a finite"):
            Budget(price_per_cpu_hour=bad)
    by_gpu = Budget(max_cost=50, price_per_gpu_hour=2.5)
    by_gpu.check(gpus=0.5)
    Budget(price_per_gpu_hour=2.5).check(gpus=0.0)
    Budget(max_cost=50, price_per_gpu_hour=2.5, price_per_cpu_hour=0.1).check(gpus=0.0)
    with pytest.raises(UsageError, match=r"GPU hours alone, .* no GPU here.*--price-per-cpu-hour"):
        by_gpu.check(gpus=0.0)


def test_the_price_of_an_hour_is_that_of_all_a_trial_takes() -> None:
    taken = {"cpus": 4, "gpus": 0.5}
    assert hourly_price(taken) is None
    assert hourly_price({**taken, "price_per_gpu_hour": 2.0}) == 1.0
    prices = {"price_per_gpu_hour": 2.0, "price_per_cpu_hour": 0.25}
    assert hourly_price({**taken, **prices}) == 2.0
    assert hourly_price({"cpus": 4, "gpus": 0.0, "price_per_gpu_hour": 2.0}) is None


def test_lost_and_running_attempts_count() -> None:
    one = Trial(number=0, parameters={}, settings={}, distributions={}, created_at=_at(0))
    one.log = [
        Attempt(fold=0, attempt=1, started_at=_at(0), ended_at=_at(10), outcome="lost"),
        Attempt(fold=0, attempt=2, started_at=_at(20), ended_at=_at(50), outcome="finished"),
        Attempt(fold=1, attempt=1, started_at=_at(50)),
    ]
    projection = Projection(
        header=SweepHeader(metric="dice", maximize=True, num_folds=2, seed=0), trials=[one]
    )
    now = datetime.fromtimestamp(55, UTC)
    assert attempt_seconds(projection, now) == 45.0
    assert spent_money(projection, now) is None
    projection.resources = {"cpus": 1, "gpus": 0.5, "price_per_gpu_hour": 160.0}
    assert spent_money(projection, now) == pytest.approx(1.0)


def test_a_clock_that_went_backward_takes_no_time_off() -> None:
    one = Trial(number=0, parameters={}, settings={}, distributions={}, created_at=_at(0))
    one.log = [
        Attempt(fold=0, attempt=1, started_at=_at(100), ended_at=_at(40), outcome="finished"),
        Attempt(fold=1, attempt=1, started_at=_at(40), ended_at=_at(50), outcome="finished"),
        Attempt(fold=2, attempt=1, started_at=_at(60)),
    ]
    projection = Projection(header={}, trials=[one])
    assert attempt_seconds(projection, datetime.fromtimestamp(55, UTC)) == 10.0
