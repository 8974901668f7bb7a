"""What trials compute with is found out on the hosts that train them."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import ray
import torch

from ptxcore.settings import FoldSettings
from sweep.errors import UsageError
from sweep.ray.cluster import ray_cluster
from sweep.ray.measure import choose_runtime
from sweep.ray.resources import ResourceRequest, Resources

SETTINGS = FoldSettings(channels=2, levels=2, image_size=64, patch_size=32, batch_size=2)


@pytest.fixture(scope="module", autouse=True)
def _host_with_a_gpu_by_name() -> Iterator[None]:
    """Ray takes our word for it."""
    ray.init(address="local", num_cpus=2, num_gpus=1, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


def test_a_gpu_of_the_cluster_is_used_unless_refused() -> None:
    with ray_cluster(ResourceRequest()) as found:
        assert found == Resources(cpus=2, gpus=1.0)
    with ray_cluster(ResourceRequest(gpus=0)) as found:
        assert found == Resources()
    with (
        pytest.raises(UsageError, match="needs 2 CPUs and 2 GPUs on one host, the hosts have 2"),
        ray_cluster(ResourceRequest(cpus=2, gpus=2)),
    ):
        pass


def test_it_is_measured_in_a_trial_s_place() -> None:
    runtime = choose_runtime(SETTINGS, Resources(cpus=2), "auto", is_here=False)
    assert (runtime.device, runtime.num_threads) == ("cpu", 2)
    runtime = choose_runtime(SETTINGS, Resources(), "bfloat16", is_here=True)
    assert (runtime.device, runtime.precision, runtime.channels_last) == ("cpu", "bfloat16", True)


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
@pytest.mark.parametrize("precision", ["auto", "float32"])
def test_a_gpu_that_pytorch_does_not_see_is_refused(precision: str) -> None:
    with pytest.raises(UsageError, match=r"was given a GPU on .* sees none there; install a build"):
        choose_runtime(SETTINGS, Resources(gpus=0.5), precision, is_here=True)
    assert "CUDA_VISIBLE_DEVICES" not in os.environ


def test_an_unknown_precision_is_refused() -> None:
    with pytest.raises(UsageError, match="found 'half', expected auto, float32 or bfloat16"):
        choose_runtime(SETTINGS, Resources(), "half", is_here=True)
