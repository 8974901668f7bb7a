"""Scale of policies and simulator: `make bench-scale`.

One decision at 10,000 trials, its growth to 100,000, what one result costs our policy there
(the refit, which is batched, counted apart), and a whole simulated sweep of 100,000 trials x 5
folds on 1,000 workers. The last line is one JSON object.
"""

from __future__ import annotations

import json
import resource
import statistics
import sys
import time

import numpy as np

from sweep.policies import Policy, PolicySpec, make_policy
from sweep.records import FoldFinished, FoldStarted, RunFold, TrialAdded
from sweep.simulate import Cluster, Table, parse_arm, replay

NUM_FOLDS = 5


def filled(name: str, num_trials: int) -> Policy:
    """A policy whose trials all have their first fold."""
    generator = np.random.default_rng(0)
    policy = make_policy(name, {"num_trials": num_trials}, NUM_FOLDS)
    for number, x in enumerate(generator.random(num_trials).tolist()):
        policy.observe(TrialAdded(trial=number, parameters={"x": x}))
        policy.observe(FoldStarted(trial=number, fold=0))
        score = 1 - abs(x - 0.7) + 0.1 * float(generator.normal())
        policy.observe(FoldFinished(trial=number, fold=0, score=score, seconds=1.0))
    return policy


def bench_decision(name: str, num_trials: int) -> dict[str, float]:
    policy = filled(name, num_trials)
    decisions, results = [], []
    for _ in range(200):
        begin = time.perf_counter()
        (decision,) = policy.decide(1)
        decisions.append(time.perf_counter() - begin)
        assert isinstance(decision, RunFold)
        begin = time.perf_counter()
        policy.observe(FoldStarted(trial=decision.trial, fold=decision.fold))
        policy.observe(
            FoldFinished(trial=decision.trial, fold=decision.fold, score=0.9, seconds=1.0)
        )
        results.append(time.perf_counter() - begin)
    print(
        f"{name:15} {num_trials:7} trials: decision {_ms(statistics.median(decisions))}, "
        f"worst {_ms(max(decisions))}; result {_ms(statistics.median(results))}, "
        f"worst (with a refit) {_ms(max(results))}",
        flush=True,
    )
    return {
        "decision_ms": round(1000 * statistics.median(decisions), 4),
        "result_ms": round(1000 * statistics.median(results), 4),
        "worst_result_ms": round(1000 * max(results), 1),
    }


def bench_sweep(name: str, num_trials: int, num_workers: int) -> dict[str, float]:
    generator = np.random.default_rng(0)
    scores = generator.normal(0.8, 0.05, (1, num_trials, 1)) + generator.normal(
        0, 0.02, (1, num_trials, NUM_FOLDS)
    )
    table = Table(
        name="made",
        scores=scores,
        seconds=generator.uniform(1, 3, scores.shape),
        curves=None,
        params=tuple({"x": value} for value in generator.random(num_trials).tolist()),
    )
    begin = time.perf_counter()
    _, run = replay(table, parse_arm(name), Cluster(num_workers=num_workers), 0)
    seconds = time.perf_counter() - begin
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"{name:15} {num_trials} trials x {NUM_FOLDS} on {num_workers} workers: "
        f"{run.num_folds:.0f} folds in {seconds:.1f} s, peak {memory:.2f} GiB",
        flush=True,
    )
    return {
        "folds": round(run.num_folds),
        "seconds": round(seconds, 1),
        "peak_gib": round(memory, 3),
    }


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.3f} ms"


def main() -> None:
    largest = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    decisions = {
        name: {str(count): bench_decision(name, count) for count in (largest // 10, largest)}
        for name in PolicySpec.known
    }
    sweeps = {
        name: bench_sweep(name, largest, largest // 100)
        for name in ("standard", "greedy", "default")
    }
    print(json.dumps({"num_trials": largest, "decisions": decisions, "sweeps": sweeps}))


if __name__ == "__main__":
    main()
