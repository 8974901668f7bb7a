"""A fold's folder: where it stands after every epoch, and what came out at the end.

    last/state.json                what the fold is, its history, and the name and hash of ...
    last/epoch-0012.safetensors    ... network and optimizer after that epoch
    top/epoch-0007/                weights of one of the best epochs, where several are averaged
    best/                          weights of the best epoch so far (`ptxcore.models.save_weights`)
    cases.npz, result.json         the scored fold; `last` and `top` are gone then
    cases-1.npz, ...               scored with the second choice for inference, and so on

Both JSON files carry the digest of their content, so that damage does not pass for a history.
`state.json` is replaced by a rename after the tensors are on disk, so a crash at any moment leaves
the old or the new epoch, never half of one. Random numbers are derived from (seed, fold, epoch)
and schedules from the history, so neither needs a state of its own.
"""

from __future__ import annotations

import hashlib
import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn

from ptxcore.atomic_file import flush
from ptxcore.errors import CheckpointError
from ptxcore.metrics import load_table, save_table
from ptxcore.models import load_weights, recover_folder, save_weights
from ptxcore.settings import FoldSettings
from ptxcore.training.history import History
from ptxcore.training.optimizer import optimizer_tensors, restore_optimizer
from ptxcore.training.state_files import (
    read_tensors,
    read_with_digest,
    write,
    write_with_digest,
)
from ptxcore.types import ChoiceResult, FoldResult, Runtime

TOP = "top"
LAST, BEST, STATE, RESULT, CASES = "last", "best", "state.json", "result.json", "cases.npz"


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Everything that the numbers of a fold depend on.

    Attributes:
        settings: Settings of the fold.
        data_hash: Hash of the store.
        plan_digest: Digest of the search part of the fold plan.
        fold: Zero-based.
        seed: Seed of the sweep.
        runtime: Device, precision, layout and threads.
        inference: Choices for inference that the held cases are scored with.
    """

    settings: FoldSettings
    data_hash: str
    plan_digest: str
    fold: int
    seed: int
    runtime: Runtime
    inference: Sequence[Mapping[str, Any]] = ()

    def as_dict(self) -> dict[str, Any]:
        """Names and values, ready for JSON."""
        return asdict(self) | {"inference": [dict(choice) for choice in self.inference]}

    def check(self, found: Mapping[str, Any], path: Path) -> None:
        """Refuse what another fold has written.

        A setting that an earlier version did not know had its default. One that this version does
        not know may have changed every number.

        Args:
            found: Result, as `as_dict` gave it, read back from JSON.
            path: Where it was found, for the message.

        Raises:
            CheckpointError: Names the first thing that differs.
        """
        defaults = {
            "settings": FoldSettings().as_dict(),
            "inference": [],
            "runtime": {"folded_norms": Runtime.folded_norms},
        }
        known = _flat(defaults) | _flat(found)
        own = _flat(self.as_dict())
        for name in known:
            if name not in own:
                raise CheckpointError(
                    f"{path}: {name}: found {known[name]!r}, expected no such name; the folder is "
                    "of a later version: use that one, or another folder"
                )
        for name, value in own.items():
            other = known.get(name)
            if other != value:
                raise CheckpointError(
                    f"{path}: {name}: found {other!r}, expected {value!r}; the folder belongs to "
                    "another fold, configuration or data set: use another folder"
                )


def cases_name(choice: int) -> str:
    """File of the cases scored with a choice for inference.

    Args:
        choice: Its place among the choices, 0 for the first or the only one.
    """
    return CASES if choice == 0 else f"cases-{choice}.npz"


class FoldFolder:
    """Reads and writes the folder of one fold."""

    def __init__(self, folder: Path, identity: Identity) -> None:
        self.folder = folder
        self.best = folder / BEST
        self._identity = identity

    def save(
        self,
        history: History,
        network: nn.Module,
        optimizer: torch.optim.Optimizer,
        more: Mapping[str, Tensor],
    ) -> None:
        """Commit an epoch.

        Args:
            history: Up to this epoch.
            network: Network after the epoch, on any device.
            optimizer: Optimizer of its parameters.
            more: What else it leaves to the next epoch, by name.

        Raises:
            OSError: The disk is full, or the folder cannot be written to.
        """
        last = self.folder / LAST
        last.mkdir(parents=True, exist_ok=True)
        tensors = _named("model", network.state_dict())
        tensors |= _named("optimizer", optimizer_tensors(optimizer, network))
        tensors |= _named("more", more)
        content = safetensors.torch.save(tensors)
        name = f"epoch-{history.num_epochs:04d}.safetensors"
        write(last / name, content)
        state = {
            "tensors": name,
            "sha256": hashlib.sha256(content).hexdigest(),
            "curves": history.curves(),
        }
        self._write_json(last / STATE, state)
        for path in last.iterdir():
            if path.name not in (name, STATE):
                path.unlink()

    def save_best(self, network: nn.Module) -> None:
        """Replace the best weights; on disk before the epoch is committed.

        Args:
            network: Network of the fold's settings, on any device.
        """
        self._save_weights(self.best, network)

    def save_epoch(self, epoch: int, network: nn.Module) -> None:
        """Keep the weights of an epoch, to be averaged; on disk before it is committed.

        Args:
            epoch: One-based.
            network: Network after the epoch, on any device.
        """
        self._save_weights(self._of_epoch(epoch), network)

    def keep_epochs(self, epochs: Sequence[int]) -> None:
        """Remove the weights of all other epochs, once that no longer hurts: after `save`.

        Args:
            epochs: One-based.
        """
        kept = {self._of_epoch(epoch) for epoch in epochs}
        for path in (self.folder / TOP).glob("*"):
            if path not in kept:
                shutil.rmtree(path)

    def epoch_state(self, epoch: int) -> dict[str, Tensor]:
        """What `save_epoch` kept.

        Args:
            epoch: One-based.

        Returns:
            The network's state on the CPU, by name.

        Raises:
            CheckpointError: It is missing or damaged.
        """
        network, _ = load_weights(self._of_epoch(epoch))
        return network.state_dict()

    def _of_epoch(self, epoch: int) -> Path:
        return self.folder / TOP / f"epoch-{epoch:04d}"

    def _save_weights(self, folder: Path, network: nn.Module) -> None:
        save_weights(folder, network, self._identity.settings)
        for path in (*folder.iterdir(), folder, folder.parent):
            flush(path)

    def restore(
        self,
        network: nn.Module,
        optimizer: torch.optim.Optimizer,
        take_back: Callable[[dict[str, Tensor]], None],
    ) -> History:
        """Go back to the last committed epoch, in place; to none where there is none.

        Args:
            network: Network, as it was saved.
            optimizer: Optimizer of its parameters.
            take_back: Is given what else was saved, if there was an epoch.

        Raises:
            CheckpointError: The checkpoint is damaged or belongs to something else.
        """
        recover_folder(self.best)
        path = self.folder / LAST / STATE
        if not path.is_file():
            return History()
        state = self._read_json(path)
        try:
            tensors = safetensors.torch.load(read_tensors(path.parent, state))
            network.load_state_dict(_of("model", tensors))
            restore_optimizer(optimizer, network, _of("optimizer", tensors))
            take_back(_of("more", tensors))
            return History.of_curves(self._identity.fold, state["curves"])
        except (OSError, KeyError, RuntimeError, safetensors.SafetensorError) as error:
            raise CheckpointError(
                f"{path.parent}: found a checkpoint that cannot be read ({error}); remove it to "
                "train this fold from its start"
            ) from error

    def finish(self, result: FoldResult) -> None:
        """Commit the result, and drop what was needed to resume.

        Args:
            result: Result of the scored fold; its weights are those that `save_best` wrote.

        Raises:
            OSError: The disk is full, or the folder cannot be written to.
        """
        save_table(self.folder / CASES, result.cases)
        content = {
            name: getattr(result, name)
            for name in ("best_epoch", "num_epochs", "seconds", "selection")
        }
        content |= {"metrics": dict(result.metrics), "curves": dict(result.curves)}
        content["seconds_per_image"] = result.seconds_per_image
        content["choices"] = [
            {
                "inference": dict(choice.inference),
                "metrics": dict(choice.metrics),
                "seconds_per_image": choice.seconds_per_image,
            }
            for choice in result.choices
        ]
        for number, choice in enumerate(result.choices):
            if number:  # the first one's is CASES
                save_table(self.folder / cases_name(number), choice.cases)
        self._write_json(self.folder / RESULT, content)
        for name in (LAST, TOP):
            shutil.rmtree(self.folder / name, ignore_errors=True)

    def result(self) -> FoldResult | None:
        """The result, if the fold is finished; weights that were removed since are None.

        Raises:
            CheckpointError: It is damaged or belongs to something else.
        """
        path = self.folder / RESULT
        if not path.is_file():
            return None
        content = self._read_json(path)
        try:
            return FoldResult(
                metrics=content["metrics"],
                curves={name: tuple(values) for name, values in content["curves"].items()},
                cases=load_table(self.folder / CASES),
                weights=self.best if self.best.is_dir() else None,
                best_epoch=content["best_epoch"],
                num_epochs=content["num_epochs"],
                seconds=content["seconds"],
                selection=content["selection"],
                choices=tuple(
                    ChoiceResult(
                        inference=choice["inference"],
                        metrics=choice["metrics"],
                        cases=load_table(self.folder / cases_name(number)),
                        seconds_per_image=choice.get("seconds_per_image", math.nan),
                    )
                    for number, choice in enumerate(content.get("choices", ()))
                ),
                seconds_per_image=content.get("seconds_per_image", math.nan),
            )
        except (KeyError, AttributeError, TypeError) as error:
            raise CheckpointError(f"{path}: found no such result ({error})") from error

    def _write_json(self, path: Path, content: Mapping[str, Any]) -> None:
        write_with_digest(path, {"fold": self._identity.as_dict(), **content})

    def _read_json(self, path: Path) -> dict[str, Any]:
        try:
            content = read_with_digest(path)
        except CheckpointError as error:
            raise CheckpointError(
                f"{error}; remove {path.parent} to train this fold from its start"
            ) from error
        fold = content.get("fold")
        if not isinstance(fold, dict):
            raise CheckpointError(f"{path}: fold: found {fold!r}, expected what the fold is")
        self._identity.check(fold, path)
        return content


def _named(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        f"{prefix}/{name}": value.detach().cpu().contiguous() for name, value in tensors.items()
    }


def _of(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    start = f"{prefix}/"
    return {
        name.removeprefix(start): value for name, value in tensors.items() if name.startswith(start)
    }


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat
