"""Which pictures form which batch: a pure function of (seed, epoch, step, rank, world size)."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Sampler

from facialnet.errors import UserError

Index = tuple[int, int]  # (epoch, position in the split): the epoch must reach the workers


class BatchSampler(Sampler[list[Index]]):
    """Split an epoch into batches of nearly equal size, each shared by all processes.

    A batch is what one optimiser step sees, over all processes together: which pictures are in it
    does not depend on how many processes there are. Every picture comes exactly once an epoch; the
    sizes of batches differ by at most one, so that no tiny batch remains at the end.

    Args:
        size: pictures in the split.
        batch_size: pictures of one batch over all processes, at most.
        seed: seed of the run.
        shuffle: draw a new order every epoch; otherwise the order stays that of the split.
        rank: number of this process.
        world_size: number of processes.
    """

    def __init__(
        self,
        *,
        size: int,
        batch_size: int,
        seed: int = 0,
        shuffle: bool = False,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        if size < world_size:
            raise UserError(
                f"{size} pictures of a split cannot be shared by {world_size} processes"
            )
        self.size = size
        # at most so many steps that every process gets a picture in each
        self.steps = min(-(-size // max(batch_size, 1)), size // world_size)
        self.seed = seed
        self.shuffle = shuffle
        self.rank = rank
        self.world_size = world_size
        self.epoch = 0
        self.first_step = 0

    @property
    def sampler(self) -> "BatchSampler":
        """Return itself: Lightning sets the epoch on ``loader.batch_sampler.sampler``."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that the next iteration gives."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.steps

    def order(self, epoch: int) -> NDArray[np.int64]:
        """Return the positions in the order of an epoch: int64 [size]."""
        if not self.shuffle:
            return np.arange(self.size)
        return np.random.default_rng([self.seed, epoch]).permutation(self.size)

    def __iter__(self) -> Iterator[list[Index]]:
        batches = np.array_split(self.order(self.epoch), self.steps)
        for batch in batches[self.first_step :]:
            yield [(self.epoch, int(i)) for i in batch[self.rank :: self.world_size]]


class ResumableLoader(DataLoader[Any]):
    """A DataLoader over a BatchSampler that starts again at the very batch where training stopped.

    Lightning puts ``state_dict()`` into every checkpoint.

    Attributes:
        batches_done: how many batches of the epoch were trained on. The trainer's count, not that
            of batches handed out: a batch that was interrupted or prefetched is not done.
    """

    batch_sampler: BatchSampler
    batches_done: Callable[[], int]
    _resume: tuple[int, int] | None = None

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        # A generator, so that nothing is fetched before Lightning has set the epoch.
        epoch, done = self._resume or (self.batch_sampler.epoch, 0)
        self._resume = None
        self.batch_sampler.first_step = done if epoch == self.batch_sampler.epoch else 0
        yield from super().__iter__()

    def state_dict(self) -> dict[str, int]:
        """Return the epoch and how many of its batches were trained on."""
        return {"epoch": self.batch_sampler.epoch, "batches": self.batches_done()}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on behind the batches that were trained on, if the next epoch is the state's."""
        self._resume = (state["epoch"], state["batches"])
