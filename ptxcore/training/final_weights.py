"""Which weights a fold ends with: those of its best epoch, or a mean over several epochs.

`average_best` takes the epochs that are best on the monitor, `swa_start` all from there on,
whatever the monitor says of them (stochastic weight averaging, Izmailov et al. 2018,
arXiv:1803.05407). Neither mean has to beat the best epoch on the monitor: that would choose between
two networks by a few cases. A fold that stops early, before `swa_start`, has nothing to average and
ends with its best epoch. With `ema_decay` the weights of an epoch are those of the moving average,
so the mean over epochs is one of averages.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from ptxcore.models import load_weights
from ptxcore.settings import FoldSettings
from ptxcore.training.averaging import EpochMean, best_epochs, first_averaged, mean_state
from ptxcore.training.checkpoint import FoldFolder
from ptxcore.training.early_stopping import EarlyStopping


class FinalWeights:
    """Follows a fold epoch by epoch, in its folder or in memory.

    Attributes:
        mean: Over the epochs from `swa_start` on; None where that is off. Part of a checkpoint.
    """

    def __init__(
        self, settings: FoldSettings, stopping: EarlyStopping, folder: FoldFolder | None
    ) -> None:
        """Begin with no epoch.

        Args:
            settings: Settings, of which `average_best`, `swa_start` and `max_epochs` count here.
            stopping: Says which epoch is the best.
            folder: Folder of the fold; None keeps weights in memory.
        """
        self._number, self._stopping, self._folder = settings.average_best, stopping, folder
        self._first = first_averaged(settings)
        self.mean = None if self._first is None else EpochMean()
        self._states: dict[int, dict[str, Tensor]] = {}  # by epoch, where there is no folder

    def take(self, network: nn.Module, watched: Sequence[float]) -> None:
        """Look at the weights after an epoch, once, before the epoch is committed.

        Args:
            network: The one that is scored.
            watched: The stopping metric of every epoch so far.
        """
        epoch, best = len(watched), self._best(watched)
        if self.mean is not None and self._first is not None and epoch >= self._first:
            self.mean.update(network)
        if self._folder and self._number > 1 and epoch in best:
            self._folder.save_epoch(epoch, network)
        if self._folder and self._stopping.best_epoch(watched) == epoch:
            self._folder.save_best(network)
        if not self._folder and epoch in best:
            state = {name: value.clone() for name, value in network.state_dict().items()}
            self._states = {n: kept for n, kept in self._states.items() if n in best}
            self._states[epoch] = state

    def tidy(self, watched: Sequence[float]) -> None:
        """Remove what no longer counts, after the epoch was committed.

        Args:
            watched: Values, as in `take`.
        """
        if self._folder:
            self._folder.keep_epochs(self._best(watched))

    def load_into(self, network: nn.Module, watched: Sequence[float]) -> bool:
        """Give a network the weights that the fold ends with.

        Args:
            network: Network of the fold's settings, on any device; changed in place.
            watched: The stopping metric of every epoch of the fold.

        Returns:
            Whether they are a mean, with statistics of BatchNorm still to be estimated.

        Raises:
            CheckpointError: What the folder should hold is missing or damaged.
        """
        if self.mean is not None and self.mean.num_epochs > 0:
            network.load_state_dict(self.mean.state())
            return True
        if self._number > 1:
            states = self._folder.epoch_state if self._folder else self._states.__getitem__
            network.load_state_dict(mean_state([states(epoch) for epoch in self._best(watched)]))
            return True
        if self._folder:
            best, _ = load_weights(self._folder.best)
            network.load_state_dict(best.state_dict())
        else:
            (state,) = self._states.values()
            network.load_state_dict(state)
        return False

    def _best(self, watched: Sequence[float]) -> list[int]:
        return best_epochs(self._stopping, watched, self._number)
