"""What a trial takes where the user leaves it open, and how many fit on which hosts."""

from __future__ import annotations

import pytest

from sweep.errors import UsageError
from sweep.ray.resources import (
    Host,
    ResourceRequest,
    Resources,
    count_slots,
    decide,
    refuse_too_large,
)

DESK = Host(name="desk", cpus=16.0, gpus=1.0)
NODE = Host(name="node", cpus=8.0, gpus=4.0)
HEAD = Host(name="head", cpus=0.0, gpus=0.0)
PLAIN = Host(name="plain", cpus=64.0, gpus=0.0)


@pytest.mark.parametrize(
    ("request_", "hosts", "cpus", "gpus"),
    [
        ({}, [PLAIN], 1, 0.0),
        ({}, [], 1, 0.0),
        ({}, [DESK], 4, 1.0),
        ({}, [HEAD, NODE, PLAIN], 2, 1.0),
        ({"gpus": 0.5}, [NODE], 1, 0.5),
        ({"gpus": 0.25}, [DESK], 4, 0.25),
        ({"gpus": 0}, [DESK], 1, 0.0),
        ({"gpus": 1}, [PLAIN], 4, 1.0),
        ({"cpus": 3}, [DESK], 3, 1.0),
        ({"cpus": 3}, [PLAIN], 3, 0.0),
    ],
)
def test_what_is_left_open_depends_on_the_hosts(
    request_: dict[str, float], hosts: list[Host], cpus: int, gpus: float
) -> None:
    found = decide(ResourceRequest(**request_), hosts)  # type: ignore[arg-type]
    assert (found.cpus, found.gpus) == (cpus, gpus)


@pytest.mark.parametrize(
    ("resources", "hosts", "slots"),
    [
        (Resources(), [PLAIN, HEAD], 64),
        (Resources(workers=3), [PLAIN], 3),
        (Resources(cpus=5), [NODE, NODE], 2),  # 16 CPUs in all would hold three
        (Resources(cpus=4, gpus=1), [DESK, PLAIN], 1),  # the other one's CPUs are of no use
        (Resources(cpus=1, gpus=1 / 3), [DESK], 3),
        (Resources(cpus=1, gpus=0.1), [DESK], 10),
        (Resources(cpus=1, gpus=0.6), [NODE], 4),  # two halves of different GPUs are no whole
        (Resources(cpus=1, gpus=2), [NODE], 2),
        (Resources(cpus=1, gpus=1), [PLAIN], 0),
    ],
)
def test_a_trial_is_on_one_host(resources: Resources, hosts: list[Host], slots: int) -> None:
    assert count_slots(hosts, resources) == slots


def test_a_trial_that_no_host_holds_is_refused() -> None:
    refuse_too_large([PLAIN], Resources())
    with pytest.raises(
        UsageError,
        match=r"needs 4 CPUs and 1 GPUs on one host, the hosts have 64 CPUs and 0 GPUs; lower",
    ):
        refuse_too_large([PLAIN, PLAIN], Resources(cpus=4, gpus=1))
    with pytest.raises(UsageError, match="have nothing"):
        refuse_too_large([], Resources())


def test_a_sweep_stays_on_its_device() -> None:
    assert ResourceRequest().on("cpu").gpus == 0
    assert ResourceRequest(cpus=2).on("cuda") == ResourceRequest(cpus=2, gpus=1.0)
    assert ResourceRequest(gpus=0.5).on("cuda").gpus == 0.5
    with pytest.raises(UsageError, match="found 0, but the sweep began on GPUs"):
        ResourceRequest(gpus=0).on("cuda")
    with pytest.raises(UsageError, match="found 1, but the sweep began on CPUs"):
        ResourceRequest(gpus=1).on("cpu")
