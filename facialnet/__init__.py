"""Train, measure and compare networks that tell gender and age from a face."""

import os

# albumentations asks the package index for its newest release when it is imported; nothing here
# goes to a network without being asked.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

__version__ = "0.1.0"
