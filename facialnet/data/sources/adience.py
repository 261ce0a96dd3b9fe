"""Adience: faces from Flickr albums with gender and age group, in five official folds.

Eidinger, Enbar and Hassner, "Age and gender estimation of unfiltered faces", 2014.
"""

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from facialnet.data.manifest import Reading, as_manifest
from facialnet.data.sources.missing_data import missing_data
from facialnet.errors import UserError
from facialnet.labels import age_group_of_text, check_policy

LICENCE = "research only, after registration with the Open University of Israel"
FOLDS = 5
LISTS = {"full": "fold_{}_data.txt", "frontal": "fold_frontal_{}_data.txt"}
PICTURES = {
    "aligned": "aligned/{user_id}/landmark_aligned_face.{face_id}.{original_image}",
    "faces": "faces/{user_id}/coarse_tilt_aligned_face.{face_id}.{original_image}",
}
HEADER = (
    "user_id",  # a Flickr album
    "original_image",
    "face_id",  # a person; never in two albums
    "age",
    "gender",
    "x",
    "y",
    "dx",
    "dy",
    "tilt_ang",
    "fiducial_yaw_angle",
    "fiducial_score",
)
_GENDERS = {"f": "female", "m": "male", "u": None, "": None}
_HOW_TO_GET = (
    "Register at the Open University of Israel's page of the data set, 'Unfiltered faces for "
    "gender and age classification (Adience)', found from "
    "talhassner.github.io/home/projects/Adience"
)


@dataclass(frozen=True, kw_only=True)
class AdienceSource:
    """The official fold lists and the names of the pictures that they stand for.

    Attributes:
        root: folder with the five fold files, next to ``aligned/`` or ``faces/``.
        label_policy: one of labels.POLICIES.
        naming: which pictures to use, ``aligned`` or ``faces``.
        lists: ``full``, or ``frontal`` for the nearly frontal faces alone.
        name: name of the data set.
    """

    root: str
    label_policy: str = "exact"
    naming: str = "aligned"
    lists: str = "full"
    name: str = "adience"

    def read(self) -> Reading:
        """Read all five lists; whether the pictures are there is not looked at.

        Raises UserError for a list that is missing, cut off or holds an unknown label.
        """
        check_policy(self.label_policy)
        _check_choice("naming", self.naming, PICTURES)
        _check_choice("lists", self.lists, LISTS)
        root = Path(self.root).expanduser().absolute()
        table = as_manifest(
            pd.DataFrame(
                self._row(fields, fold, where)
                for fold, path in enumerate(self._fold_files(root))
                for where, fields in _read_list(path)
            )
        )
        repeats = table.duplicated(["album", "subject", "photo"])
        dropped = pd.Series(pd.NA, index=table.index, dtype="str")
        dropped[table["gender"].isna() & table["age_group"].isna()] = "no label"
        dropped[repeats] = "duplicate row"
        return Reading(
            rows=table.assign(dropped=dropped),
            root=root,
            name=self.name,
            duplicates=int(repeats.sum()),
            licence=LICENCE,
        )

    def _fold_files(self, root: Path) -> list[Path]:
        """Return the five lists in the order of the folds."""
        paths = [root / LISTS[self.lists].format(fold) for fold in range(FOLDS)]
        missing = [path for path in paths if not path.is_file()]
        names = f"{paths[0].name} … {paths[-1].name}"
        if len(missing) == FOLDS:
            raise missing_data(
                "Adience", root, f"{names} and the pictures in aligned/ or faces/", _HOW_TO_GET
            )
        if missing:
            raise UserError(
                f"Adience: {missing[0]} is missing: all of {names} are needed; "
                "copy it from the download of the data set"
            )
        return paths

    def _row(self, fields: dict[str, str], fold: int, where: str) -> dict[str, str | int | None]:
        """Return the manifest row of a row of the lists."""
        age, gender = fields["age"], fields["gender"]
        if gender not in _GENDERS:
            raise UserError(
                f"{where}: unknown gender {gender!r}: expected f, m, u or nothing; "
                "restore the official file"
            )
        try:
            age_group = age_group_of_text(age, self.label_policy)
        except UserError as error:
            raise UserError(f"{where}: {error}; restore the official file") from None
        return {
            "path": PICTURES[self.naming].format(**fields),
            "source": self.name,
            "subject": fields["face_id"],
            "album": fields["user_id"],
            "photo": fields["original_image"],
            "fold": fold,
            "gender": _GENDERS[gender],
            "age_group": age_group,
            "age_years": int(age) if age.isdigit() else None,
        }


def _check_choice(option: str, value: str, allowed: Collection[str]) -> None:
    if value not in allowed:
        raise UserError(f"data.source.{option}={value}: allowed values are {', '.join(allowed)}")


def _read_list(path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the place of every row, as ``file, line number``, and its fields by column name."""
    # The lists are ASCII without quotes. Bytes of a damaged file must reach the checks below.
    with path.open(encoding="utf-8", errors="replace") as file:
        header = file.readline().rstrip("\n").split("\t")
        _check_header(path, header)
        number = 1
        for number, line in enumerate(file, start=2):
            where = f"{path}, line {number}"
            values = line.rstrip("\n").split("\t")
            if len(values) != len(header):
                raise UserError(
                    f"{where}: {len(values)} columns instead of {len(header)}: "
                    "the file is cut off or was edited; restore the official file"
                )
            yield where, dict(zip(header, values, strict=True))
    if number == 1:
        raise UserError(f"{path}: no rows after the header; restore the official file")


def _check_header(path: Path, header: list[str]) -> None:
    if header == [""]:
        raise UserError(f"{path}: the file is empty; restore the official file")
    expected = f"expected {', '.join(HEADER)}; restore the official file"
    if missing := [*(Counter(HEADER) - Counter(header))]:
        raise UserError(f"{path}: column {missing[0]!r} is missing in the header: {expected}")
    if surplus := [*(Counter(header) - Counter(HEADER))]:
        raise UserError(f"{path}: unknown or repeated column {surplus[0]!r}: {expected}")
