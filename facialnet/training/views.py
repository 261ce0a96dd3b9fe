"""Views of a face that are answered one by one and averaged, at test time only."""

from typing import Protocol as Interface

from torch import Tensor
from torchvision.transforms import functional


class Views(Interface):
    """How a test face is shown to the network.

    Attributes:
        margin: whether the views are cut out of the stored margin too.
    """

    margin: bool

    def __call__(self, images: Tensor, size: int) -> list[Tensor]:
        """Turn uint8 [N, C, H, W] into views [N, C, size, size]."""
        ...


class Single:
    """The face as it is."""

    margin = False

    def __call__(self, images: Tensor, size: int) -> list[Tensor]:
        """Return the images alone."""
        return [images]


class Mirror:
    """The face and its mirror image."""

    margin = False

    def __call__(self, images: Tensor, size: int) -> list[Tensor]:
        """Return two views."""
        return [images, functional.hflip(images)]


class TenCrop:
    """Four corners and the centre of the stored picture, and their mirror images.

    Oversampling as in Levi & Hassner 2015, section 3.3; how far the corners lie from the centre is
    the margin of the preprocessing.
    """

    margin = True

    def __call__(self, images: Tensor, size: int) -> list[Tensor]:
        """Return ten views."""
        views: tuple[Tensor, ...] = functional.ten_crop(images, [size, size])
        return list(views)
