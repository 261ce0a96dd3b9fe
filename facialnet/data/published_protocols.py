"""Splits that published figures come from, for comparison: each parts what belongs together."""

import numpy as np
import pandas as pd

from facialnet.data.grouping import part_groups, part_images
from facialnet.data.protocol import TEST_SHARE, VAL_SHARE, Split, named, official_fold, share_in
from facialnet.errors import UserError


class LeviHassner:
    """Test on one official fold, validate on images drawn at random from the others.

    The way of Levi and Hassner's lists (2015): their validation images show people who are also
    trained on (paper notes, section 6), so the epoch is chosen on seen people. For comparison.

    Args:
        test_fold: the fold that is tested on.
        val_share: share of the remaining rows to validate on.
        seed: chooses the images.
    """

    def __init__(self, *, test_fold: int = 0, val_share: float = VAL_SHARE, seed: int = 0) -> None:
        self.test_fold = test_fold
        self.val_share = share_in("val_share", val_share)
        self.seed = seed

    def split(self, manifest: pd.DataFrame) -> Split:
        """Split by the column ``fold``, and the rest by image; train on rows without a fold."""
        folds = official_fold(manifest, self.test_fold, "levi_hassner")
        train, val = part_images(folds.rest, self.val_share, self.seed)
        train = np.union1d(train, folds.without)
        name = named(f"levi_hassner fold {self.test_fold}", self.val_share)
        return Split(train, val, folds.test, name)


class RandomImage:
    """Draw test and validation images at random, whoever they show: the papers' 80/20.

    On Adience 95 % of the test images then show a person of training (paper notes, section 6). For
    comparison with published figures.

    Args:
        test_share: share of the rows to test on.
        val_share: share of the remaining rows to validate on.
        seed: chooses the images.
    """

    def __init__(
        self, *, test_share: float = TEST_SHARE, val_share: float = VAL_SHARE, seed: int = 0
    ) -> None:
        self.test_share = share_in("test_share", test_share)
        self.val_share = share_in("val_share", val_share)
        self.seed = seed

    def split(self, manifest: pd.DataFrame) -> Split:
        """Draw the images."""
        rest, test = part_images(np.arange(len(manifest)), self.test_share, self.seed)
        train, val = part_images(rest, self.val_share, self.seed + 1)
        shares = f"{100 * (1 - self.test_share):g}/{100 * self.test_share:g}"
        name = f"random images {shares} seed {self.seed}"
        return Split(train, val, test, named(name, self.val_share))


class RandomSubject:
    """Draw test and validation people at random, whatever albums and photos they share.

    A row whose person is not known stands alone. For comparison with published figures; Holdout
    also keeps albums and photos together.

    Args:
        test_share: share of the rows to test on, about.
        val_share: share of the remaining rows to validate on, about.
        seed: chooses the people.
    """

    def __init__(
        self, *, test_share: float = TEST_SHARE, val_share: float = VAL_SHARE, seed: int = 0
    ) -> None:
        self.test_share = share_in("test_share", test_share)
        self.val_share = share_in("val_share", val_share)
        self.seed = seed

    def split(self, manifest: pd.DataFrame) -> Split:
        """Draw the people; raises UserError where none is known."""
        if manifest["subject"].isna().all():
            raise UserError(
                "protocol=random_subject: this data set knows no people; use protocol=holdout"
            )
        rows = np.arange(len(manifest))
        people = ["subject"]
        rest, test = part_groups(manifest, rows, self.test_share, self.seed, people)
        train, val = part_groups(manifest, rest, self.val_share, self.seed + 1, people)
        name = f"random people seed {self.seed}"
        return Split(train, val, test, named(name, self.val_share, self.test_share))
