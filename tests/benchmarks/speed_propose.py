"""What a proposal costs in a sweep of 5,000 trials, where each has one finished fold.

CPU of one proposal after another trial came, medians, in one process a build; the space is that of
`synthetic_sweeps`. Both builds propose the same, which is compared.

    propose_random      at 5,000 trials over one at 100, random (goal: at most 1.2)
    propose_tpe         at 5,000 trials, TPE, over plain Optuna's `ask` and its suggestions in a
                        study in memory, with the same sampler and trials (at most 1.3)
    propose_random_over_before, propose_tpe_over_before     at 5,000 trials, over the earlier build
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from two_builds import cpu_seconds

if TYPE_CHECKING:
    from bench_speed import Builds

GOALS = {"propose_random": 1.2, "propose_tpe": 1.3}
SMALL, LARGE = 100, 5000
SMALLEST = {"SMALL": 20, "LARGE": 60}

_PROPOSE = """
import json, sys, time
from pathlib import Path
from statistics import median
import optuna
from optuna.trial import create_trial
from projections import folds, projection
from synthetic_sweeps import SPACE
from sweep.search import samplers
from sweep.space import parse_space

optuna.logging.set_verbosity(optuna.logging.ERROR)
num_trials, name, file = int(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
space = parse_space(SPACE.replace("{name: tpe}", f"{{name: {name}}}"), "space.yaml")
assert space.sampler.name == name
distributions = space.distributions()
made, plain = projection(num_folds=5), optuna.create_study(direction="maximize")

def add(parameters, value):
    number = folds(made, [value], parameters)
    of_trial = {key: distributions[key] for key in parameters}
    made.trials[number].distributions = of_trial
    return create_trial(value=value, params=parameters, distributions=of_trial)

drawn = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
old = []
for number in range(num_trials):
    asked = drawn.ask()
    space.suggest(asked)
    old.append(add(asked.params, (number * 7919 % 1000) / 1000))
plain.add_trials(old)

live = samplers.Proposer(space, made, 0).propose if hasattr(samplers, "Proposer") else None
ours, theirs, proposed = [], [], []
for number in range(num_trials, num_trials + (7 if name == "tpe" else 41)):
    begun = time.process_time()
    parameters = live() if live else samplers.propose(space, made, 0)
    ours.append(time.process_time() - begun)
    plain.sampler = samplers.make_sampler(name, space.sampler.settings(), 0, number)
    begun = time.process_time()
    asked = plain.ask()
    space.suggest(asked)
    theirs.append(time.process_time() - begun)
    assert asked.params == parameters
    add(parameters, 0.5)
    plain.tell(asked, 0.5)
    proposed.append(parameters)
found = {"ours": median(ours[1:]), "optuna": median(theirs[1:]), "proposed": proposed}
file.write_text(json.dumps(found))
"""


def measure(builds: Builds) -> dict[str, float]:
    """Both samplers, at both sizes."""
    file = builds.scratch / "found.json"

    def run(build: Path, num_trials: int, name: str) -> dict[str, Any]:
        cpu_seconds(build, _PROPOSE, str(num_trials), name, file)
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        return found

    figures: dict[str, float] = {}
    for name in ("random", "tpe"):
        before, now = run(builds.before, LARGE, name), run(builds.now, LARGE, name)
        small = run(builds.now, SMALL, name)
        if before["proposed"] != now["proposed"]:
            raise RuntimeError(f"{name}: the builds propose different trials")
        ratio = now["ours"] / (small["ours"] if name == "random" else now["optuna"])
        say = {
            f"propose_{name}_ms": now["ours"] * 1e3,
            f"propose_{name}_ms_small": small["ours"] * 1e3,
            f"propose_{name}_ms_optuna": now["optuna"] * 1e3,
            f"propose_{name}_ms_before": before["ours"] * 1e3,
        }
        print(json.dumps(say), file=sys.stderr, flush=True)
        figures |= {
            **say,
            f"propose_{name}": ratio,
            f"propose_{name}_over_before": now["ours"] / before["ours"],
        }
    return figures
