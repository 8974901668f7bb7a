"""A confirmation and its verdict on the sweep's run in MLflow."""

from __future__ import annotations

from mlflow import MlflowClient
from mlflow.entities import Metric, RunTag

from sweep.mlflow.view import milliseconds
from sweep.promotion.confirmation import Confirmation
from sweep.promotion.gate import Verdict
from sweep.promotion.model_card import MAX_TAG, PREFIX


def log_confirmation(
    client: MlflowClient, run_id: str, found: Confirmation, said: Verdict, against: str | None
) -> None:
    """Hold-out metrics on the parent run; the step is the use of the hold-out.

    Args:
        client: Client of the store.
        run_id: MLflow id of the sweep's run.
        found: The winner on the hold-out.
        said: Verdict of the gate.
        against: Why the winner is promoted all the same; None where it is not.
    """
    values = {f"holdout/{key}": value for key, value in found.metrics.items()}
    values |= {f"holdout_default/{key}": value for key, value in (found.default or {}).items()}
    beside = None if found.champion is None else found.champion.metrics
    values |= {f"holdout_champion/{key}": value for key, value in (beside or {}).items()}
    differences = {
        "gain": found.gain,
        "difference": found.difference,
        "challenge": found.challenge,
    }
    values |= {f"holdout/{key}": value for key, value in differences.items() if value is not None}
    for key, (low, high) in found.printed.items():
        values |= {f"holdout/{key}_low": low, f"holdout/{key}_high": high}
    for key, at in (("promised", found.promised), ("expected", found.expected)):
        if at is not None:
            dice, low, high = at.dice
            place = f"holdout/{key}_dice"
            values |= {place: dice, f"{place}_low": low, f"{place}_high": high}
    timestamp = milliseconds(found.timestamp)
    metrics = [
        Metric(key, value, timestamp, found.use) for key, value in values.items() if value == value
    ]
    word = "passed" if said.passed else "refused" if against is None else "forced"
    tags = {
        "verdict": word,
        "verdict_reasons": "; ".join(said.reasons)[:MAX_TAG],
        "force_reason": against or "",
        "gate": "" if said.gate is None else str(said.gate["name"]),
        "gate_eased": "; ".join(said.eased),
        "verdict_cautions": "; ".join(said.cautions)[:MAX_TAG],
        "prevalence": "" if found.prevalence is None else f"{found.prevalence:g}",
        "holdout_uses": str(found.use),
        "holdout_uses_by_all_sweeps": str(found.num_uses),
    }
    labels = [RunTag(PREFIX + key, text) for key, text in tags.items()]
    client.log_batch(run_id, metrics=metrics, tags=labels)
