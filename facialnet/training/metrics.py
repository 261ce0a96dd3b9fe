"""Accuracy and, for ordered classes, how far off the wrong answers are."""

from collections.abc import Collection, Mapping

import torch
from torch import Tensor, nn
from torchmetrics import MeanMetric
from torchmetrics.classification import MulticlassConfusionMatrix

from facialnet.labels import IGNORE, Task


class TaskMetrics(nn.Module):
    """Count one confusion matrix for each task; everything reported follows from them.

    Counts are exact sums over batches and processes, unlike a mean of the batches' accuracies.
    They are not part of the state dict.

    Args:
        classes: task name to its number of classes.
        ordinal: the tasks whose classes have an order.
    """

    def __init__(self, *, classes: Mapping[str, int], ordinal: Collection[str] = ()) -> None:
        super().__init__()
        self.ordinal = frozenset(ordinal)
        self.matrices = nn.ModuleDict(
            {
                # targets come from the checked manifest; searching every batch again is not needed
                task: MulticlassConfusionMatrix(count, ignore_index=IGNORE, validate_args=False)
                for task, count in classes.items()
            }
        )

    def update(self, logits: Mapping[str, Tensor], targets: Mapping[str, Tensor]) -> None:
        """Count one batch: float logits [N, classes] and int64 targets [N], maybe IGNORE."""
        for task, matrix in self._matrices().items():
            matrix.update(logits[task].detach(), targets[task])

    def confusions(self) -> dict[str, Tensor]:
        """Return each task's counts over all processes, int64 [C, C]: row true, column answer."""
        return {task: matrix.compute() for task, matrix in self._matrices().items()}

    def compute(self) -> dict[str, float]:
        """Return every score of every task as ``task/score``; see ``scores``."""
        return {
            f"{task}/{name}": value
            for task, confusion in self.confusions().items()
            for name, value in scores(confusion, ordinal=task in self.ordinal).items()
        }

    def reset(self) -> None:
        """Forget everything counted."""
        for matrix in self._matrices().values():
            matrix.reset()

    def _matrices(self) -> dict[str, MulticlassConfusionMatrix]:
        return dict(self.matrices.items())  # type: ignore[arg-type]  # ModuleDict forgets the class


def scores(confusion: Tensor, *, ordinal: bool) -> dict[str, float]:
    """Return the scores of a confusion matrix; each is NaN where nothing was counted.

    ``accuracy``, and for ordered classes ``one_off``, the share of answers at most one class away
    (Levi & Hassner 2015, section 4), and ``mae_groups``, the mean distance in classes.

    Args:
        confusion: counts [C, C], rows true, columns predicted.
        ordinal: whether the classes have an order.
    """
    shares = confusion.detach().cpu().double()
    shares = shares / shares.sum()
    result = {"accuracy": float(shares.trace())}
    if ordinal:
        index = torch.arange(len(shares))
        distance = (index[:, None] - index).abs()
        result["one_off"] = float(shares[distance <= 1].sum())
        result["mae_groups"] = float((shares * distance).sum())
    return result


class StageMetrics(nn.Module):
    """Losses and confusion matrices of one stage (train, val or test)."""

    def __init__(self, tasks: Mapping[str, Task]) -> None:
        super().__init__()
        self.answers = TaskMetrics(
            classes={name: len(task.classes) for name, task in tasks.items()},
            ordinal=[name for name, task in tasks.items() if task.ordinal],
        )
        self.losses = nn.ModuleDict({name: MeanMetric(nan_strategy="ignore") for name in tasks})
