"""One backbone with one head for each task."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn


class MultiTaskNetwork(nn.Module):
    """Turn pixels into the logits of every task, normalisation included.

    Training, prediction and export all go through this class, so they share its normalisation
    ``(images / 255 - mean) / std``. Mean and standard deviation are not part of the state dict:
    whoever stores the weights stores them as configuration.

    Args:
        backbone: images, float [N, C, H, W], to features, float [N, F].
        heads: task name to a module that turns features into that task's logits.
        mean: of the pixels on a scale from 0 to 1, one for each channel or one for all.
        std: as ``mean``; above 0.
    """

    scale: Tensor
    shift: Tensor

    def __init__(
        self,
        backbone: nn.Module,
        heads: Mapping[str, nn.Module],
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
        """Return the logits, float [N, classes], of each task.

        Args:
            images: uint8, or float from 0 to 255, [N, C, H, W], in any memory format.
        """
        pixels = images.to(dtype=self.scale.dtype, memory_format=torch.channels_last)
        features = self.backbone(torch.addcmul(self.shift, pixels, self.scale))
        return {task: head(features) for task, head in self.heads.items()}
