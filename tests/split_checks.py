"""Manifests to split, and what every split must fulfil."""

from pathlib import Path

import numpy as np
import pandas as pd

from facialnet.data.manifest import as_manifest
from facialnet.data.sources.adience import AdienceSource
from facialnet.labels import AGE_GROUPS


def draw_manifest(rows=1500, seed=0, folds=5):
    """Albums of uneven size, each of few people whose labels are alike, in five folds."""
    draw = np.random.default_rng(seed)
    table, subject = [], 0
    album = 0
    while len(table) < rows:
        fold = album % folds
        for _ in range(draw.integers(1, 4)):
            subject += 1
            gender = draw.choice(["male", "female"])
            group = draw.choice(AGE_GROUPS, p=[0.3, 0.2, 0.1, 0.1, 0.1, 0.1, 0.05, 0.05])
            for _ in range(draw.integers(1, 12)):
                label = gender if draw.random() < 0.9 else None
                photo = f"{album}/{draw.integers(0, 30)}"
                table.append((f"s{subject}", f"a{album}", photo, fold, label, group))
        album += 1
    frame = pd.DataFrame(
        table, columns=["subject", "album", "photo", "fold", "gender", "age_group"]
    )
    frame["path"] = [f"{number}.jpg" for number in range(len(frame))]
    return as_manifest(frame.sample(frac=1, random_state=seed))


def read_adience(shared: Path):
    """Rows of the five official lists with a label."""
    reading = AdienceSource(root=str(shared / "data" / "adience")).read()
    kept = reading.rows[reading.rows["dropped"].isna()]
    return as_manifest(kept.drop(columns="dropped"))


def parts_of(split):
    return {"train": split.train, "val": split.val, "test": split.test}


def values(manifest, rows, column):
    return set(manifest[column].iloc[rows].dropna())


def same(first, second):
    return all(
        np.array_equal(a, b)
        for a, b in zip(parts_of(first).values(), parts_of(second).values(), strict=True)
    )


def assert_partition(split, rows):
    together = np.concatenate(list(parts_of(split).values()))
    assert sorted(together) == sorted(rows)
    for part in parts_of(split).values():
        assert part.dtype == np.int64
        assert len(part) > 0


def assert_apart(manifest, split, columns):
    parts = list(parts_of(split).values())
    for column in columns:
        seen = [values(manifest, part, column) for part in parts]
        assert seen[0].isdisjoint(seen[1]), column
        assert seen[0].isdisjoint(seen[2]), column
        assert seen[1].isdisjoint(seen[2]), column


def unknown(manifest, *columns):
    return manifest.assign(**dict.fromkeys(columns, pd.NA)).astype(dict.fromkeys(columns, "str"))


def seen_share(manifest, rows, others, column):
    """Share of the rows whose value also stands in the others."""
    return manifest[column].iloc[rows].isin(values(manifest, others, column)).mean()
