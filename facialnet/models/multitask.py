"""One backbone with one head for each task."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from facialnet.models.heads import Head


class MultiTaskNetwork(nn.Module):
    """Turn pixels into the outputs of every task, normalisation included.

    What outputs mean is up to each head's coding; ``log_probabilities`` reads them. Training,
    prediction and export all go through this class, so they share its normalisation
    ``(images / 255 - mean) / std``. Mean and standard deviation are not part of the state dict:
    whoever stores the weights stores them as configuration.

    Args:
        backbone: images, float [N, C, H, W], to features, float [N, F].
        heads: task name to its head. One that takes another task's answer comes after it.
        mean: of the pixels on a scale from 0 to 1, one for each channel or one for all.
        std: as ``mean``; above 0.
    """

    scale: Tensor
    shift: Tensor

    def __init__(
        self,
        backbone: nn.Module,
        heads: Mapping[str, Head],
        *,
        mean: Sequence[float] = (0.5,),
        std: Sequence[float] = (0.5,),
    ) -> None:
        super().__init__()
        # The images come in channels-last order; weights in the same order spare every
        # convolution from reordering its own at each step.
        self.backbone = backbone.to(memory_format=torch.channels_last)
        self.heads = nn.ModuleDict(heads)
        means = torch.tensor(mean, dtype=torch.float32).view(1, -1, 1, 1)
        stds = torch.tensor(std, dtype=torch.float32).view(1, -1, 1, 1)
        # x * scale + shift is the normalisation in one pass over the pixels.
        self.register_buffer("scale", 1 / (255 * stds), persistent=False)
        self.register_buffer("shift", -means / stds, persistent=False)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Return the outputs, float [N, outputs], of each task.

        Args:
            images: uint8, or float from 0 to 255, [N, C, H, W], in any memory format.
        """
        pixels = images.to(dtype=self.scale.dtype, memory_format=torch.channels_last)
        features = self.backbone(torch.addcmul(self.shift, pixels, self.scale))
        outputs: dict[str, Tensor] = {}
        for task in self.heads:
            head = self.head(task)
            if head.given is None:
                outputs[task] = head(features)
            else:
                given = self.head(head.given).log_probabilities(outputs[head.given])
                outputs[task] = head(features, given)
        return outputs

    def log_probabilities(self, outputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return each class's log-probability, float32 [N, classes], of each task's outputs."""
        return {task: self.head(task).log_probabilities(value) for task, value in outputs.items()}

    def head(self, task: str) -> Head:
        """Return the head of a task."""
        head = self.heads[task]
        assert isinstance(head, Head)
        return head
