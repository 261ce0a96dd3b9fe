"""UTKFace: faces from the web whose file names tell age in years, gender and race.

Zhang, Song and Qi, "Age progression/regression by conditional adversarial autoencoder", 2017.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from facialnet.data.manifest import Reading, as_manifest
from facialnet.data.sources.copies import drop_conflicts, photo_of
from facialnet.data.sources.missing_data import missing_data
from facialnet.labels import RACES, age_group_of_years, check_policy

LICENCE = "non-commercial research only"
MAX_YEARS = 116  # the range that the data set's page states
_NAME = re.compile(r"([0-9]{1,3})_([01])_([0-4])_[^_]+\.jpg")  # also .jpg.chip.jpg
_GENDERS = ("male", "female")  # 0 and 1 of the names


@dataclass(frozen=True, kw_only=True)
class UTKFaceSource:
    """Pictures named ``[age]_[gender]_[race]_[timestamp].jpg.chip.jpg``, or plain ``.jpg``.

    Attributes:
        root: folder with the pictures, or with folders of pictures.
        label_policy: one of labels.POLICIES, for the age in years.
        name: name of the data set.
    """

    root: str
    label_policy: str = "nearest"
    name: str = "utkface"

    def read(self) -> Reading:
        """Read the labels from the names, and the bytes to find identical files.

        The data set has no identities; ``photo`` is a hash of the file's bytes, so that copies of
        a picture stay together. Raises UserError where there are no pictures.
        """
        check_policy(self.label_policy)
        root = Path(self.root).expanduser().absolute()
        pictures = _find_pictures(root)
        labels = [self._labels(picture.name) for picture in pictures]
        table = as_manifest(
            pd.DataFrame(
                {
                    "path": picture.relative_to(root).as_posix(),
                    "source": self.name,
                    "photo": photo_of(picture, root),
                    **(label or {}),
                }
                for picture, label in zip(pictures, labels, strict=True)
            )
        )
        notes = drop_conflicts(table, ("gender", "age_group", "age_years", "race"))
        dropped = pd.Series(pd.NA, index=table.index, dtype="str")
        dropped[table[["gender", "age_group", "race"]].isna().all(axis=1)] = "no label"
        dropped[[label is None for label in labels]] = "malformed name"
        return Reading(
            rows=table.assign(dropped=dropped),
            root=root,
            name=self.name,
            duplicates=int(table.duplicated("photo").sum()),
            notes=notes,
            licence=LICENCE,
        )

    def _labels(self, name: str) -> dict[str, str | int | None] | None:
        """Return the labels that a file name tells, or None where it is malformed."""
        match = _NAME.fullmatch(name)
        if match is None or int(match[1]) > MAX_YEARS:
            return None
        years, gender, race = map(int, match.groups())
        return {
            "gender": _GENDERS[gender],
            "age_group": age_group_of_years(years, self.label_policy),
            "age_years": years,
            "race": RACES[race],
        }


def _find_pictures(root: Path) -> list[Path]:
    """Return the JPEG files of the root, or else those one folder below, in sorted order."""
    pictures = _jpeg_files(root)
    if not pictures and root.is_dir():
        folders = sorted(path for path in root.iterdir() if path.is_dir())
        pictures = [picture for folder in folders for picture in _jpeg_files(folder)]
    if not pictures:
        raise missing_data(
            "UTKFace",
            root,
            "pictures named [age]_[gender]_[race]_[timestamp].jpg.chip.jpg",
            "Get the aligned and cropped faces from susanqq.github.io/UTKFace",
        )
    return pictures


def _jpeg_files(folder: Path) -> list[Path]:
    # Dangling links stay in, so that the check of the pictures reports them.
    return sorted(path for path in folder.glob("*.jpg") if not path.is_dir())
