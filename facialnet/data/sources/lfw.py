"""Labeled Faces in the Wild: news photographs of named people, with a list of their genders.

Huang, Ramesh, Berg and Learned-Miller, "Labeled Faces in the Wild", 2007; deep-funneled: Huang,
Mattar, Lee and Learned-Miller, "Learning to align from scratch", 2012.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from facialnet.data.manifest import Reading, as_manifest
from facialnet.data.sources.copies import drop_conflicts, photo_of
from facialnet.data.sources.missing_data import missing_data
from facialnet.errors import UserError
from facialnet.labels import GENDERS

LICENCE = "for research; news photographs, rights with their owners"
GENDER_LIST = "lfw-deepfunneled-gender.txt"
NAME_LISTS = {"male": "male_names.txt", "female": "female_names.txt"}
_CORRECTIONS = Path(__file__).with_name("lfw_corrections.tsv")
_FOLDERS = ("lfw-deepfunneled", "lfw/lfw-deepfunneled", "lfw", ".")  # of the people, in the root
_PICTURES = "*/*_[0-9][0-9][0-9][0-9].jpg"
_PICTURE = re.compile(r"(.+)_[0-9]{4}\.jpg")


@dataclass(frozen=True, kw_only=True)
class LFWSource:
    """Pictures named ``<Name>/<Name>_0001.jpg`` and the genders of the people by name.

    The gender list is ``lfw-deepfunneled-gender.txt``, a header and rows ``Name<TAB>male|female``,
    or else the two files ``male_names.txt`` and ``female_names.txt`` with rows ``Name_0001.jpg``.

    Attributes:
        root: folder with ``lfw-deepfunneled/``, or that folder itself.
        gender_list: the list, or the folder of the lists; None: beside the people's folders, in
            them, or in the root.
        corrected: whether the people of ``lfw_corrections.tsv`` bear the gender that is there. The
            first of the lists was made from first names; these are the ones that it has wrong, by
            who the people are and by their pictures.
        name: name of the data set.
    """

    root: str
    gender_list: str | None = None
    corrected: bool = False
    name: str = "lfw"

    def read(self) -> Reading:
        """Read the names of the pictures, the gender list, and the bytes to find identical files.

        A person has one ``subject``; ``photo`` is a hash of the file's bytes. Raises UserError
        where there are no pictures or no list, or where a list has a line of another form.
        """
        root = Path(self.root).expanduser().absolute()
        people = _people_folder(root)
        genders = self._genders(root, people)
        wrong = _wrong(genders, people)
        if self.corrected:
            genders |= wrong
        pictures = sorted(people.glob("*/*.jpg"))
        table = as_manifest(
            pd.DataFrame(
                {
                    "path": picture.relative_to(root).as_posix(),
                    "source": self.name,
                    "subject": picture.parent.name,
                    "photo": photo_of(picture, root),
                    "gender": genders.get(picture.parent.name),
                }
                for picture in pictures
            )
        )
        named = [_name_of(picture.name) == picture.parent.name for picture in pictures]
        table.loc[[not good for good in named], "gender"] = pd.NA
        notes = [
            *_list_notes(genders, table),
            *_correction_notes(wrong, self.corrected),
            *drop_conflicts(table, ["gender"]),
        ]
        dropped = pd.Series(pd.NA, index=table.index, dtype="str")
        dropped[table["gender"].isna()] = "no label"
        dropped[[not good for good in named]] = "malformed name"
        return Reading(
            rows=table.assign(dropped=dropped),
            root=root,
            name=self.name,
            duplicates=int(table.duplicated("photo").sum()),
            notes=notes,
            licence=LICENCE,
        )

    def _genders(self, root: Path, people: Path) -> dict[str, str | None]:
        """Return every listed person's gender, None where the lists name two."""
        if self.gender_list is None:
            places = [people.parent, people, root]
        else:
            place = Path(self.gender_list).expanduser().absolute()
            if place.is_file():
                return _joined(_read_table(place))
            places = [place]
        for place in places:
            if (place / GENDER_LIST).is_file():
                return _joined(_read_table(place / GENDER_LIST))
            if all((place / file).is_file() for file in NAME_LISTS.values()):
                return _joined(
                    pair
                    for gender, file in NAME_LISTS.items()
                    for pair in _read_names(place / file, gender)
                )
        where = " or ".join(dict.fromkeys(map(str, places)))
        raise UserError(
            f"LFW: no gender list in {where}: expected {GENDER_LIST} (a header, then "
            f"Name<TAB>male|female) or both of {' and '.join(NAME_LISTS.values())}; "
            "set data.source.gender_list to it"
        )


def _people_folder(root: Path) -> Path:
    """Return the folder that holds a folder for each person."""
    for folder in _FOLDERS:
        if any((root / folder).glob(_PICTURES)):
            return root / folder
    raise missing_data(
        "LFW",
        root,
        "lfw-deepfunneled/<Name>/<Name>_0001.jpg and the gender list",
        "Get the deep-funneled images from vis-www.cs.umass.edu/lfw",
    )


def _name_of(picture: str) -> str | None:
    match = _PICTURE.fullmatch(picture)
    return match[1] if match else None


def _read_table(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the names and genders of rows ``Name<TAB>male|female`` below a header."""
    for number, line in _lines(path):
        fields = [field.strip() for field in line.split("\t")]
        if number == 1 and len(fields) == 2 and fields[1] not in GENDERS:
            continue
        if len(fields) != 2 or fields[1] not in GENDERS:
            raise UserError(
                f"{path}, line {number}: expected Name<TAB>male|female; correct the list"
            )
        yield fields[0], fields[1]


def _read_names(path: Path, gender: str) -> Iterator[tuple[str, str]]:
    """Yield the names of rows ``Name_0001.jpg``, with the gender of the file."""
    for number, line in _lines(path):
        name = _name_of(line)
        if name is None:
            raise UserError(f"{path}, line {number}: expected Name_0001.jpg; correct the list")
        yield name, gender


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines that are not empty, with their numbers from 1."""
    text = path.read_text(encoding="utf-8-sig", errors="replace")
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            yield number, line.strip()


def _joined(pairs: Iterator[tuple[str, str]]) -> dict[str, str | None]:
    genders: dict[str, str | None] = {}
    for name, gender in pairs:
        genders[name] = gender if genders.get(name, gender) == gender else None
    return genders


def _wrong(genders: dict[str, str | None], people: Path) -> dict[str, str]:
    """Return the genders of the people with pictures for whom the lists say another."""
    return {
        name: gender
        for name, gender in _read_table(_CORRECTIONS)
        if genders.get(name, gender) != gender and (people / name).is_dir()
    }


def _correction_notes(wrong: dict[str, str], corrected: bool) -> list[str]:
    if not wrong:
        return []
    if corrected:
        return [f"{len(wrong):,} people have another gender than the list says: corrected"]
    return [
        f"{len(wrong):,} people have another gender than the list says: kept as listed; "
        "source.corrected=true corrects them"
    ]


def _list_notes(genders: dict[str, str | None], table: pd.DataFrame) -> list[str]:
    """Say where the lists and the pictures do not fit together."""
    here = set(table["subject"])
    both = sum(gender is None for gender in genders.values())
    absent = len(genders.keys() - here)
    unlisted = len(here - genders.keys())
    return [
        note
        for count, note in (
            (both, f"{both:,} people are listed as male and as female: labels dropped"),
            (absent, f"{absent:,} of {len(genders):,} people of the gender list have no pictures"),
            (unlisted, f"{unlisted:,} of {len(here):,} people are not on the gender list"),
        )
        if count
    ]
