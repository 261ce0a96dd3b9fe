"""Who trains, validates and tests."""

import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple
from typing import Protocol as Interface

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold

from facialnet.data.grouping import Rows, groups, part_groups, strata
from facialnet.data.manifest import PARTS
from facialnet.errors import UserError

TEST_SHARE, VAL_SHARE = 0.2, 0.1


@dataclass(frozen=True)
class Split:
    """Positions of manifest rows, int64, none of them twice.

    Attributes:
        train: rows that the network learns from.
        val: rows that choose the epoch.
        test: rows that the reported figures come from.
        protocol: name and settings, as they stand in results.json.
    """

    train: Rows
    val: Rows
    test: Rows
    protocol: str


class Protocol(Interface):
    """A way to split a manifest."""

    def split(self, manifest: pd.DataFrame) -> Split:
        """Split the rows; raises UserError where the manifest lacks what the protocol needs."""
        ...


class OfficialFolds:
    """Test on one official fold, validate on albums held out of the others, train on the rest.

    Levi and Hassner's own validation lists share 95 % of their faces with training (paper notes,
    section 6); held-out albums share none.

    Args:
        test_fold: the fold that is tested on.
        val_share: share of the remaining rows to hold out, about.
        seed: chooses the albums.
    """

    def __init__(self, *, test_fold: int = 0, val_share: float = VAL_SHARE, seed: int = 0) -> None:
        self.test_fold = test_fold
        self.val_share = share_in("val_share", val_share)
        self.seed = seed

    def split(self, manifest: pd.DataFrame) -> Split:
        """Split by the column ``fold``, and the rest by album, person and photo.

        Rows without a fold, such as those of a data set that is joined with it, are trained on.
        """
        folds = official_fold(manifest, self.test_fold, "official")
        train, val = part_groups(manifest, folds.rest, self.val_share, self.seed)
        train = np.union1d(train, folds.without)
        name = named(f"official fold {self.test_fold}", self.val_share)
        return Split(train, val, folds.test, name)


class Partition:
    """Test on the data set's own partition, as its column ``part`` says.

    Where it has no test part, its validation part is tested, and where nothing is left to validate
    on, whole groups of the training images are held out for that: the epoch is never chosen on
    tested images. Rows without a part are trained on.

    Args:
        val_share: share of the training rows to hold out where that is needed, about.
        seed: chooses them.
    """

    def __init__(self, *, val_share: float = VAL_SHARE, seed: int = 0) -> None:
        self.val_share = share_in("val_share", val_share)
        self.seed = seed

    def split(self, manifest: pd.DataFrame) -> Split:
        """Split by the column ``part``; raises UserError where it has no train, or nothing else."""
        train, val, test = (
            np.flatnonzero((manifest["part"] == name).fillna(False).to_numpy(bool))
            for name in PARTS
        )
        if not len(train) or not (len(val) or len(test)):
            found = " and ".join(sorted(manifest["part"].dropna().unique())) or "nothing"
            raise UserError(
                "protocol=partition: the data set's own parts must be train and val, test or both, "
                f"but there is {found} alone; use protocol=holdout"
            )
        name = "own partition"
        if not (len(val) and len(test)):
            name += "" if len(test) else ", its validation part tested"
            name = named(name, self.val_share)
            test = test if len(test) else val
            train, val = part_groups(manifest, train, self.val_share, self.seed)
        without = np.flatnonzero(manifest["part"].isna().to_numpy(bool))
        return Split(np.union1d(train, without), val, test, name)


class Holdout:
    """Split at random, parting no person, album, photo, file content or look-alike group.

    Args:
        test_share: share of the rows to test on, about.
        val_share: share of all rows to validate on, about.
        seed: chooses the groups.
    """

    def __init__(
        self, *, test_share: float = TEST_SHARE, val_share: float = VAL_SHARE, seed: int = 0
    ) -> None:
        self.test_share = share_in("test_share", test_share)
        self.val_share = share_in("val_share", val_share)
        if test_share + val_share >= 1:
            raise UserError(
                f"protocol: test_share={test_share} and val_share={val_share} leave nothing to "
                "train on; their sum must be below 1"
            )
        self.seed = seed

    def split(self, manifest: pd.DataFrame) -> Split:
        """Draw the groups."""
        rows = np.arange(len(manifest))
        rest, test = part_groups(manifest, rows, self.test_share, self.seed)
        share = self.val_share / (1 - self.test_share)
        train, val = part_groups(manifest, rest, share, self.seed + 1)
        name = f"holdout seed {self.seed}"
        return Split(train, val, test, named(name, self.val_share, self.test_share))


class KFold:
    """Test on one of several folds made here, for data sets that have none of their own.

    As in Holdout, no person, album, photo, file content or look-alike group is parted, and labels
    are spread as evenly as whole groups allow. Every row is in the test part of exactly one fold.

    Args:
        folds: how many, at least 2.
        test_fold: the fold that is tested on, from 0.
        val_share: share of the remaining rows to validate on, about.
        seed: chooses the folds and, of the remaining groups, those to validate on.
    """

    def __init__(
        self, *, folds: int = 5, test_fold: int = 0, val_share: float = VAL_SHARE, seed: int = 0
    ) -> None:
        if folds < 2:
            raise UserError(f"protocol.folds={folds} must be at least 2")
        _check_fold(test_fold, range(folds))
        self.folds = folds
        self.test_fold = test_fold
        self.val_share = share_in("val_share", val_share)
        self.seed = seed

    def split(self, manifest: pd.DataFrame) -> Split:
        """Make the folds; raises UserError where there are too few groups or labels for them."""
        numbers, labels = groups(manifest), strata(manifest)
        most = int(np.bincount(labels).max(initial=0))
        if min(len(np.unique(numbers)), most) < self.folds:
            raise UserError(
                f"protocol.folds={self.folds}: too few people or images for so many folds; "
                "choose fewer"
            )
        maker = StratifiedGroupKFold(self.folds, shuffle=True, random_state=self.seed)
        with warnings.catch_warnings():
            # Rare labels cannot be in every fold; that is no news.
            warnings.filterwarnings("ignore", "The least populated class", UserWarning)
            made = list(maker.split(np.zeros(len(manifest)), labels, numbers))
        rest, test = (np.asarray(rows, np.int64) for rows in made[self.test_fold])
        train, val = part_groups(manifest, rest, self.val_share, self.seed)
        name = f"{self.folds}-fold {self.test_fold} seed {self.seed}"
        return Split(train, val, test, named(name, self.val_share))


class WholeSet:
    """Test on every row; training and validation are empty.

    For evaluating a checkpoint on a data set that it was not trained on. Nothing can be trained
    with it.
    """

    def split(self, manifest: pd.DataFrame) -> Split:
        """Return all rows as test rows."""
        nobody = np.empty(0, np.int64)
        return Split(nobody, nobody, np.arange(len(manifest), dtype=np.int64), "all images")


def share_in(name: str, value: float) -> float:
    """Return the share that ``protocol.<name>`` gives; raises UserError outside (0, 0.9)."""
    if not 0 < value < 0.9:
        raise UserError(f"protocol.{name}={value} must lie between 0 and 0.9")
    return value


def named(name: str, val_share: float, test_share: float = TEST_SHARE) -> str:
    """Return a protocol's name with the shares that are not the usual ones."""
    unusual = [
        f"{setting} {value:g}"
        for setting, value, usual in (
            ("test_share", test_share, TEST_SHARE),
            ("val_share", val_share, VAL_SHARE),
        )
        if value != usual
    ]
    return ", ".join([name, *unusual])


class FoldRows(NamedTuple):
    """Rows by their official fold: the tested one, the others, and those without any."""

    test: Rows
    rest: Rows
    without: Rows


def official_fold(manifest: pd.DataFrame, test_fold: int, protocol: str) -> FoldRows:
    """Return the rows of an official fold, of the others, and without any.

    Raises UserError where there is no such fold.
    """
    known = manifest["fold"].notna().to_numpy(bool)
    if not known.any():
        other = "holdout" if manifest["part"].isna().all() else "partition or holdout"
        raise UserError(f"protocol={protocol}: this data set has no folds; use protocol={other}")
    _check_fold(test_fold, sorted(int(fold) for fold in manifest["fold"].dropna().unique()))
    tested = (manifest["fold"] == test_fold).fillna(False).to_numpy(bool)
    return FoldRows(*map(np.flatnonzero, (tested, known & ~tested, ~known)))


def _check_fold(test_fold: int, folds: Iterable[int]) -> None:
    allowed = list(folds)
    if test_fold not in allowed:
        raise UserError(
            f"protocol.test_fold={test_fold}: allowed values are {', '.join(map(str, allowed))}"
        )
