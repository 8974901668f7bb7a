"""A trainable that sleeps an epoch a step: in a module of its own, which workers import soon."""

from __future__ import annotations

import dataclasses
import time
from typing import Any

from ray import tune
from synthetic_scores import fold_score

from sweep.records import Assignment, Epoch

NUM_EPOCHS, EPOCH_SECONDS = 3, 0.08
FOLD_SECONDS = NUM_EPOCHS * EPOCH_SECONDS
WATCHED = "monitor_average_precision"


class Sleeper(tune.Trainable):
    """Sleeps an epoch a step, then reports scores and curves made by a formula."""

    def setup(self, config: dict[str, Any]) -> None:
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self.given: Assignment = new_config["assignment"]
        self.epoch = 0
        return True

    def step(self) -> dict[str, Any]:
        time.sleep(EPOCH_SECONDS)
        self.epoch += 1
        place = {key: getattr(self.given, key) for key in ("trial", "fold", "attempt")}
        score = fold_score(self.given)
        watched = score.curves[WATCHED][:NUM_EPOCHS]  # no epoch that was not reported
        score = dataclasses.replace(score, curves={**score.curves, WATCHED: watched})
        value = watched[self.epoch - 1]
        result = {key: place[key] for key in ("trial", "attempt")}
        result["epoch"] = Epoch(**place, epoch=self.epoch, value=value, seconds=EPOCH_SECONDS)
        return result | ({"score": score} if self.epoch == NUM_EPOCHS else {})
