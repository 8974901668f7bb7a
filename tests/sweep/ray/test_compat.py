"""What we borrow of Ray is still there. Fails first when its upper bound is raised."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys

from ray.tune.execution.tune_controller import TuneController
from ray.tune.experiment import Trial

SAY = "from sweep.ray.compat import asks_for_token; print(asks_for_token())"


def test_a_controller_sets_the_status_of_a_trial() -> None:
    found = inspect.signature(TuneController._set_trial_status)
    assert list(found.parameters) == ["self", "trial", "status"]
    assert Trial.PAUSED == "PAUSED"


def test_ray_says_whether_it_asks_for_a_token() -> None:
    """In processes of their own: Ray reads its variables once."""
    for mode, expected in (("token", "True"), ("disabled", "False")):
        environment = {**os.environ, "RAY_AUTH_MODE": mode, "RAY_AUTH_TOKEN": "t" * 64}
        done = subprocess.run(
            [sys.executable, "-c", SAY], env=environment, capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == expected
