"""`predict` of many small files with small networks: files beside the networks' passes.

Each build segments drawn radiographs of 1,024 px with a model of five networks of 8 channels on a
grid of 128 px, in pictures, computed as a sweep of that build would have it. What loading costs is
left out: twelve files and two are segmented, and the difference counts.

    predict_file        CPU of a file over the earlier build's
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from two_builds import cpu_seconds, in_turns

if TYPE_CHECKING:
    from bench_speed import Builds

GOALS = {"predict_file": 0.55}
MANY, FEW = 12, 2
SMALLEST = {"MANY": 3, "FEW": 1}

_MAKE = """
import dataclasses, sys
from pathlib import Path
from ptxcore.data.phantom import write_phantom
from ptxcore.models import build_network
from ptxcore.models.weights import save_weights
from ptxcore.settings import FoldSettings
from ptxcore.types import Rule, Runtime
try:
    from ptxcore.inference.ensemble_folder import write_ensemble
except ImportError:
    from sweep.mlflow.model_package._ensemble import write_ensemble
folder, many = Path(sys.argv[1]), int(sys.argv[2])
settings = FoldSettings(channels=8, levels=4, image_size=128, patch_size=0)
weights = [folder / f"weights-{seed}" for seed in range(5)]
for seed, place in enumerate(weights):
    save_weights(place, build_network(settings, seed=seed), settings)
known = [field.name for field in dataclasses.fields(Runtime)]
runtime = Runtime(channels_last=True, **{name: True for name in known if name == "folded_norms"})
write_ensemble(folder / "model" / "artifacts" / "ensemble", weights, rule=Rule(), runtime=runtime)
write_phantom(folder / "drawn", num_cases=many, size=1024, prevalence=0.5, seed=0)
(folder / "mlflow.db").touch()
"""
_PREDICT = """
import sys
from pathlib import Path
from sweep.segment import predict_files
from sweep.storage.home import Home
folder, number = Path(sys.argv[1]), int(sys.argv[2])
home = Home.from_environment(folder, tracking_uri=f"sqlite:///{folder / 'mlflow.db'}")
files = sorted((folder / "drawn").rglob("*.dcm"))[:number]
predict_files(home, str(folder / "model"), files, folder / "out")
"""


def measure(builds: Builds) -> dict[str, float]:
    """A file in each build, in turns."""
    places = {}
    for name, build in (("before", builds.before), ("now", builds.now)):
        places[build] = builds.scratch / name
        cpu_seconds(build, _MAKE, places[build], str(MANY))

    def run(build: Path) -> float:
        many, few = (cpu_seconds(build, _PREDICT, places[build], str(n)) for n in (MANY, FEW))
        return (many - few) / (MANY - FEW)

    before, now = in_turns(builds.before, builds.now, run)
    say = {"predict_file_seconds_before": before, "predict_file_seconds": now}
    print(json.dumps(say), file=sys.stderr, flush=True)
    return {**say, "predict_file": now / before}
