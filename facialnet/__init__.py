"""Train, measure and compare networks that tell gender and age from a face."""

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from facialnet.inference.predictor import Predictor

# albumentations asks the package index for its newest release when it is imported; nothing here
# goes to a network without being asked.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

__version__ = "0.1.0"
__all__ = ["Predictor", "__version__"]


def __getattr__(name: str) -> Any:
    """Import the predictor, and with it PyTorch, only where it is asked for."""
    if name != "Predictor":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from facialnet.inference.predictor import Predictor

    return Predictor
