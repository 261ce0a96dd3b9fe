"""An Adience tree with real faces: the official fold lists, UTKFace in place of the pictures.

As a command: `python tests/real_adience.py FOLDS_FOLDER UTKFACE_FOLDER ROOT`.
"""

import shutil
import sys
import zlib
from pathlib import Path

import numpy as np
import pandas as pd

from facialnet.data.manifest import as_manifest
from facialnet.data.sources.adience import FOLDS, AdienceSource
from facialnet.data.sources.utkface import UTKFaceSource


def build_tree(folds: Path, utkface: Path, root: Path) -> None:
    """Link a face of the same gender and age group to the path of every listed picture.

    Each UTKFace picture, by its content, stands in one fold only, so that no face is trained and
    tested on.
    """
    root.mkdir(parents=True)
    for fold in range(FOLDS):
        shutil.copy(folds / f"fold_{fold}_data.txt", root)
    faces = as_manifest(UTKFaceSource(root=str(utkface)).read().rows)
    faces = faces[faces["dropped"].isna()]
    faces = faces.assign(fold=faces["photo"].map(lambda photo: zlib.crc32(photo.encode()) % FOLDS))
    by_labels = dict(list(faces.groupby(["fold", "gender", "age_group"])["path"]))
    by_fold = dict(list(faces.groupby("fold")["path"]))
    rows = as_manifest(AdienceSource(root=str(root), label_policy="nearest").read().rows)
    rng = np.random.default_rng(0)
    for row in rows[rows["dropped"].isna()].itertuples():
        choices = by_labels.get((row.fold, row.gender, row.age_group), by_fold[row.fold])
        if pd.isna(row.gender) or pd.isna(row.age_group):
            choices = by_fold[row.fold]
        target = root / row.path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to((utkface / choices.iloc[rng.integers(len(choices))]).absolute())


if __name__ == "__main__":
    build_tree(*map(Path, sys.argv[1:]))
