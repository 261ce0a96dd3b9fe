"""Rows that belong together, and holding out whole groups of them."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from facialnet.errors import UserError

Rows = NDArray[np.int64]
# Rows that share one of these are not independent. The first three are names that a data set gives,
# so they count within their source; the other two are found in the pictures themselves.
_NAMED = ("subject", "album", "photo")
KINSHIP = (*_NAMED, "content", "lookalike")


def groups(manifest: pd.DataFrame, kinship: Sequence[str] = KINSHIP) -> Rows:
    """Number the groups that must stay together: int64 [N], from 0.

    Rows that share a person, an album, a photo, a file's content or a look-alike group are in one
    group, also by way of other rows; a row about which nothing is known is a group of its own.

    Args:
        manifest: rows; columns of ``kinship`` that it lacks are passed over.
        kinship: the columns to regard.
    """
    count = nodes = len(manifest)
    starts, ends = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for column in (name for name in kinship if name in manifest.columns):
        names = manifest[column]
        if column in _NAMED:
            names = manifest["source"].fillna("") + "\n" + names
        codes, distinct = pd.factorize(names)  # -1 where it is missing
        known = np.flatnonzero(codes >= 0)
        starts.append(known)
        ends.append(nodes + codes[known])
        nodes += len(distinct)
    start, end = np.concatenate(starts), np.concatenate(ends)
    graph = coo_array((np.ones(len(start)), (start, end)), shape=(nodes, nodes))
    return np.asarray(connected_components(graph, directed=False)[1][:count], np.int64)


def strata(manifest: pd.DataFrame) -> Rows:
    """Number the combinations of gender and age group, missing labels included: int64 [N]."""
    labels = manifest["gender"].fillna("?") + manifest["age_group"].fillna("?")
    return pd.factorize(labels)[0].astype(np.int64)


def held_out(
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


def part_groups(
    manifest: pd.DataFrame,
    rows: Rows,
    share: float,
    seed: int,
    kinship: Sequence[str] = KINSHIP,
) -> tuple[Rows, Rows]:
    """Part rows of a manifest by whole groups: the kept rows, and about ``share`` held out."""
    chosen = manifest.iloc[rows]
    held = held_out(groups(chosen, kinship), strata(chosen), share, seed)
    return rows[~held], rows[held]


def part_images(rows: Rows, share: float, seed: int) -> tuple[Rows, Rows]:
    """Part rows at random, each by itself: the kept rows, and ``share`` of them held out.

    Both keep the order of ``rows``. Raises UserError where there are fewer than two.
    """
    if len(rows) < 2:
        raise UserError("protocol: too few images to hold any out")
    wanted = min(max(round(share * len(rows)), 1), len(rows) - 1)
    held = np.zeros(len(rows), bool)
    held[np.random.default_rng([seed, len(rows)]).permutation(len(rows))[:wanted]] = True
    return rows[~held], rows[held]
