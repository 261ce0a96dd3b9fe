"""Who trains, validates and tests."""

from dataclasses import dataclass
from typing import Protocol as Interface

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from facialnet.errors import UserError

Rows = NDArray[np.int64]
_KINSHIP = ("subject", "album", "photo")  # rows that share one of these are not independent


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

    def __init__(self, *, test_fold: int = 0, val_share: float = 0.1, seed: int = 0) -> None:
        self.test_fold = test_fold
        self.val_share = _share("protocol.val_share", val_share)
        self.seed = seed

    def split(self, manifest: pd.DataFrame) -> Split:
        """Split by the column ``fold``, and the rest by album, person and photo."""
        folds = sorted(int(fold) for fold in manifest["fold"].dropna().unique())
        if not folds:
            raise UserError("protocol=official: this data set has no folds; use protocol=holdout")
        if self.test_fold not in folds:
            allowed = ", ".join(map(str, folds))
            raise UserError(f"protocol.test_fold={self.test_fold}: allowed values are {allowed}")
        in_test = (manifest["fold"] == self.test_fold).fillna(False).to_numpy(bool)
        pool = np.flatnonzero(~in_test & manifest["fold"].notna().to_numpy(bool))
        held = _held_out(
            _groups(manifest.iloc[pool]), _strata(manifest.iloc[pool]), self.val_share, self.seed
        )
        return Split(
            pool[~held], pool[held], np.flatnonzero(in_test), f"official fold {self.test_fold}"
        )


class Holdout:
    """Split at random into training, validation and test, parting no person, album or photo.

    Byte-identical files count as one photo.

    Args:
        test_share: share of the rows to test on, about.
        val_share: share of the rows to validate on, about.
        seed: chooses the groups.
    """

    def __init__(self, *, test_share: float = 0.2, val_share: float = 0.1, seed: int = 0) -> None:
        self.test_share = _share("protocol.test_share", test_share)
        self.val_share = _share("protocol.val_share", val_share)
        if test_share + val_share >= 1:
            raise UserError(
                f"protocol: test_share={test_share} and val_share={val_share} leave nothing to "
                "train on; their sum must be below 1"
            )
        self.seed = seed

    def split(self, manifest: pd.DataFrame) -> Split:
        """Draw the groups."""
        groups = _groups(manifest)
        strata = _strata(manifest)
        in_test = _held_out(groups, strata, self.test_share, self.seed)
        pool = np.flatnonzero(~in_test)
        share = self.val_share / (1 - self.test_share)
        held = _held_out(groups[pool], strata[pool], share, self.seed + 1)
        return Split(pool[~held], pool[held], np.flatnonzero(in_test), f"holdout seed {self.seed}")


def shared_groups(manifest: pd.DataFrame, split: Split) -> dict[str, int]:
    """Count test rows whose person, album or photo is also trained or validated on."""
    seen = manifest.iloc[np.concatenate([split.train, split.val])]
    test = manifest.iloc[split.test]
    return {
        column: int(test[column].isin(seen[column].dropna().unique()).sum())
        for column in _KINSHIP
        if manifest[column].notna().any()
    }


def _share(name: str, value: float) -> float:
    if not 0 < value < 0.9:
        raise UserError(f"{name}={value} must lie between 0 and 0.9")
    return value


def _groups(manifest: pd.DataFrame) -> Rows:
    """Number the groups that must stay together: int64 [N].

    Rows that share a person, an album or a photo are in one group, also by way of other rows; a
    row about which nothing is known is a group of its own.
    """
    count = nodes = len(manifest)
    starts, ends = [], []
    for column in _KINSHIP:
        codes, names = pd.factorize(manifest[column])  # -1 where it is missing
        known = np.flatnonzero(codes >= 0)
        starts.append(known)
        ends.append(nodes + codes[known])
        nodes += len(names)
    start, end = np.concatenate(starts), np.concatenate(ends)
    graph = coo_array((np.ones(len(start)), (start, end)), shape=(nodes, nodes))
    return np.asarray(connected_components(graph, directed=False)[1][:count], np.int64)


def _strata(manifest: pd.DataFrame) -> Rows:
    """Number the combinations of gender and age group, missing labels included."""
    labels = manifest["gender"].fillna("?") + manifest["age_group"].fillna("?")
    return pd.factorize(labels)[0].astype(np.int64)


def _held_out(
    groups: Rows, strata: Rows, share: float, seed: int, draws: int = 64
) -> NDArray[np.bool_]:
    """Hold out whole groups: of several random draws, the one with labels most like the rest's.

    Returns bool [N], true for about ``share`` of the rows. Raises UserError where there are too
    few groups.
    """
    numbers, groups = np.unique(groups, return_inverse=True)  # without those of other splits
    count = len(numbers)
    if count < 2:
        raise UserError("protocol: too few people, albums or photos to hold any out")
    table = np.zeros((count, int(strata.max()) + 1))
    np.add.at(table, (groups, strata), 1)
    wanted = table.sum(0) * share
    rng = np.random.default_rng([seed, count])
    best, best_miss = np.empty(0, np.int64), np.inf
    for _ in range(draws):
        order = rng.permutation(count)
        sizes = table[order].sum(1).cumsum()
        enough = min(int(np.searchsorted(sizes, share * len(groups))) + 1, count - 1)
        miss = float(np.abs(table[order[:enough]].sum(0) - wanted).sum())
        if miss < best_miss:
            best, best_miss = order[:enough], miss
    return np.isin(groups, best)
