"""An Adience tree with real faces: the official fold lists, UTKFace in place of the pictures.

As a command: `python tests/real_adience.py FOLDS_FOLDER UTKFACE_FOLDER ROOT`.
"""

import heapq
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from facialnet.data.manifest import as_manifest
from facialnet.data.preparation import prepare
from facialnet.data.sources.adience import FOLDS, AdienceSource
from facialnet.data.sources.utkface import UTKFaceSource
from facialnet.data.transforms import Preprocessing

POOL = ["gender", "age_group"]


def build_tree(folds: Path, utkface: Path, root: Path) -> None:
    """Link a face of the same gender and age group to the path of every listed picture."""
    root.mkdir(parents=True)
    for fold in range(FOLDS):
        shutil.copy(folds / f"fold_{fold}_data.txt", root)
    with tempfile.TemporaryDirectory() as prepared:
        source, preprocessing = UTKFaceSource(root=str(utkface)), Preprocessing(size=75)
        store = prepare(source, preprocessing, spec={}, folder=Path(prepared)).store
    faces = store.manifest
    rows = as_manifest(AdienceSource(root=str(root), label_policy="nearest").read().rows)
    rows = rows[rows["dropped"].isna()]
    for path, face in zip(rows["path"], assign(rows, faces), strict=True):
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to((utkface / face).absolute())


def assign(rows: pd.DataFrame, faces: pd.DataFrame) -> pd.Series:
    """Choose the path of a face for every row, so that a listed person has pictures of its own.

    Each pool of faces with one gender and age group, copies counted once, is parted over the people
    who need it by their number of rows; a person with more rows than pictures repeats them. Where a
    pool has fewer faces than people, only people of one fold share a face.
    """
    faces = faces.dropna(subset=POOL).drop_duplicates("photo")
    if "lookalike" in faces.columns:
        faces = faces[faces["lookalike"].isna() | ~faces.duplicated("lookalike")]
    faces = faces.sample(frac=1, random_state=0)
    pools = {labels: list(pool["path"]) for labels, pool in faces.groupby(POOL)}
    rows = _with_all_labels(rows, {labels: len(pool) for labels, pool in pools.items()})
    chosen = pd.Series("", index=rows.index)
    for labels, group in rows.groupby(POOL):
        own = _part(pools[labels], group)
        for subject, members in group.groupby("subject"):
            chosen[members.index] = np.resize(own[subject], len(members))
    return chosen


def _with_all_labels(rows: pd.DataFrame, sizes: Mapping[tuple[str, str], int]) -> pd.DataFrame:
    """Complete missing labels: the person's own from other rows, else the emptiest pool's."""
    own = rows.groupby("subject")[POOL].agg(lambda labels: next(iter(labels.mode()), pd.NA))
    filled = rows.assign(
        **{label: rows[label].fillna(rows["subject"].map(own[label])) for label in POOL}
    )
    wanted = filled.groupby(POOL).size().to_dict()
    unsure = filled[filled[POOL].isna().any(axis=1)]
    for (_, *known), person in unsure.groupby(["subject", *POOL], dropna=False):
        fitting = [
            labels
            for labels in sizes
            if all(pd.isna(k) or k == label for k, label in zip(known, labels, strict=True))
        ]
        best = min(fitting, key=lambda labels: (wanted.get(labels, 0) / sizes[labels], labels))
        wanted[best] = wanted.get(best, 0) + len(person)
        filled.loc[person.index, POOL] = best
    return filled


def _part(pool: list[str], group: pd.DataFrame) -> dict[str, list[str]]:
    """Part a pool over the people of the rows; over their folds first where it is too small."""
    weights = group["subject"].value_counts(sort=False).to_dict()
    if len(pool) >= len(weights):
        return _deal(pool, _shares(len(pool), weights))
    people = group.drop_duplicates("subject").groupby("fold")["subject"].agg(list).to_dict()
    by_fold = _deal(pool, _shares(len(pool), {fold: len(names) for fold, names in people.items()}))
    return {
        name: [by_fold[fold][number % len(by_fold[fold])]]
        for fold, names in people.items()
        for number, name in enumerate(names)
    }


def _shares(count: int, weights: Mapping[object, int]) -> dict[object, int]:
    """Apportion a count by weights (d'Hondt): at least 1 each, at most the weight."""
    if count < len(weights):
        raise ValueError(f"{count} faces are too few for {len(weights)}")
    shares = dict.fromkeys(weights, 1)
    queue = [(-weight / 2, number, name) for number, (name, weight) in enumerate(weights.items())]
    heapq.heapify(queue)
    for _ in range(min(count, sum(weights.values())) - len(weights)):
        _, number, name = queue[0]
        shares[name] += 1
        left = shares[name] < weights[name]
        priority = -weights[name] / (shares[name] + 1) if left else 0.0
        heapq.heapreplace(queue, (priority, number, name))
    return shares


def _deal(pool: list[str], shares: Mapping[object, int]) -> dict[object, list[str]]:
    ends = np.cumsum(list(shares.values()))
    return {
        name: pool[end - share : end]
        for (name, share), end in zip(shares.items(), ends, strict=True)
    }


if __name__ == "__main__":
    build_tree(*map(Path, sys.argv[1:]))
