"""CelebA: photographs of celebrities with forty attributes, of which Male is read.

Liu, Luo, Wang and Tang, "Deep learning face attributes in the wild", 2015.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from facialnet.data.manifest import PARTS, Reading, as_manifest
from facialnet.data.sources.missing_data import missing_data
from facialnet.errors import UserError

LICENCE = "non-commercial research only"
ATTRIBUTES, PARTITION, IDENTITIES = "list_attr_celeba", "list_eval_partition", "identity_CelebA"
# Where they lie in the root: below folders in the owners' download, in one more in Kaggle's.
_PICTURES = ("img_align_celeba", "Img/img_align_celeba", "img_align_celeba/img_align_celeba")
_LISTS = (".", "Anno", "Eval")
_GENDERS = {"1": "male", "-1": "female"}
_PARTITION = dict(zip("012", PARTS, strict=True))


@dataclass(frozen=True, kw_only=True)
class CelebASource:
    """The aligned pictures, ``img_align_celeba/000001.jpg``, and the lists beside them.

    The lists are the owners' ``.txt`` files or the ``.csv`` files of Kaggle's copies: attributes,
    the official partition and, where it is there, the people's numbers.

    Attributes:
        root: folder with ``img_align_celeba/`` and lists, or with ``Img/``, ``Anno/``, ``Eval/``.
        name: name of the data set.
    """

    root: str
    name: str = "celeba"

    def read(self) -> Reading:
        """Read the lists and the names of the pictures.

        Copies of CelebA are often only a part of it, so a listed picture that is not there is
        counted, not missed. Raises UserError where there are no pictures, or where a list is
        missing or damaged.
        """
        root = Path(self.root).expanduser().absolute()
        folder = _pictures_folder(root)
        pictures = {file.name for file in os.scandir(folder) if file.name.endswith(".jpg")}
        announced, genders = _read_attributes(_list(root, ATTRIBUTES))
        parts = _read_partition(_list(root, PARTITION))
        people = _read_identities(root)
        names = [*genders, *sorted(pictures - genders.keys())]
        prefix = folder.relative_to(root).as_posix()
        table = as_manifest(
            pd.DataFrame(
                {
                    "path": [f"{prefix}/{name}" for name in names],
                    "source": self.name,
                    "subject": [people.get(name) for name in names],
                    "part": [parts.get(name) for name in names],
                    "gender": [genders.get(name) for name in names],
                }
            )
        )
        dropped = pd.Series(pd.NA, index=table.index, dtype="str")
        dropped[table["gender"].isna()] = "no label"
        dropped[[name not in pictures for name in names]] = "not in this copy"
        return Reading(
            rows=table.assign(dropped=dropped),
            root=root,
            name=self.name,
            notes=_notes(announced, genders, pictures, parts, people),
            licence=LICENCE,
        )


def _pictures_folder(root: Path) -> Path:
    for name in _PICTURES:
        if any((root / name).glob("*.jpg")):
            return root / name
    raise missing_data(
        "CelebA",
        root,
        f"img_align_celeba/*.jpg, {ATTRIBUTES}.txt and {PARTITION}.txt",
        "Get the aligned images from mmlab.ie.cuhk.edu.hk/projects/CelebA.html",
    )


def _list(root: Path, name: str) -> Path:
    """Return where a list is; raises UserError where it is not."""
    for place in _LISTS:
        for ending in (".txt", ".csv"):
            if (root / place / f"{name}{ending}").is_file():
                return root / place / f"{name}{ending}"
    raise UserError(
        f"CelebA: {root / name}.txt (or .csv) is missing; copy it from the download of the data set"
    )


def _fields(path: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield the place of every line that is not empty, as ``file, line number``, and its fields."""
    text = path.read_text(encoding="utf-8-sig", errors="replace")
    for number, line in enumerate(text.splitlines(), start=1):
        fields = line.strip().split("," if path.suffix == ".csv" else None)
        if fields and fields != [""]:
            yield f"{path}, line {number}", [field.strip() for field in fields]


def _damaged(where: str, what: str) -> UserError:
    return UserError(f"{where}: {what}; restore the official file")


def _read_attributes(path: Path) -> tuple[int | None, dict[str, str]]:
    """Return how many pictures the list announces, if it does, and the genders of those it has."""
    lines = _fields(path)
    announced: int | None = None
    where, header = next(lines, (str(path), [""]))
    if path.suffix == ".txt":
        if not header[0].isdecimal() or len(header) != 1:
            raise _damaged(where, "expected the number of pictures")
        announced = int(header[0])
        where, header = next(lines, (str(path), [""]))
        header = ["image_id", *header]
    if header[0] != "image_id" or header.count("Male") != 1:
        raise _damaged(where, "expected the names of the attributes, Male among them")
    male = header.index("Male")
    genders: dict[str, str] = {}
    for where, fields in lines:
        if len(fields) != len(header):
            raise _damaged(where, f"{len(fields)} columns instead of {len(header)}")
        if wrong := set(fields[1:]) - _GENDERS.keys():
            raise _damaged(where, f"{min(wrong)!r} is not 1 or -1")
        if fields[0] in genders:
            raise _damaged(where, f"{fields[0]} is listed twice")
        if len(genders) == announced:
            raise _damaged(where, f"more than the {announced:,} pictures that line 1 announces")
        genders[fields[0]] = _GENDERS[fields[male]]
    if not genders:
        raise _damaged(str(path), "no rows after the header")
    return announced, genders


def _read_pairs(path: Path) -> Iterator[tuple[str, str, str]]:
    """Yield place, picture and value of every row; raises UserError for rows of another form."""
    seen: set[str] = set()
    for where, fields in _fields(path):
        if path.suffix == ".csv" and not seen and fields[0] == "image_id":
            continue
        if len(fields) != 2 or not fields[1].isdecimal():
            raise _damaged(where, "expected a picture and a number")
        if fields[0] in seen:
            raise _damaged(where, f"{fields[0]} is listed twice")
        seen.add(fields[0])
        yield where, fields[0], fields[1]
    if not seen:
        raise _damaged(str(path), "no rows")


def _read_partition(path: Path) -> dict[str, str]:
    parts = {}
    for where, name, number in _read_pairs(path):
        if number not in _PARTITION:
            raise _damaged(where, f"partition {number} is not 0, 1 or 2")
        parts[name] = _PARTITION[number]
    return parts


def _read_identities(root: Path) -> dict[str, str]:
    """Return the people's numbers, none where there is no list of them."""
    for place in _LISTS:
        if (path := root / place / f"{IDENTITIES}.txt").is_file():
            return {name: number for _, name, number in _read_pairs(path)}
    return {}


def _notes(
    announced: int | None,
    genders: Mapping[str, str],
    pictures: set[str],
    parts: Mapping[str, str],
    people: Mapping[str, str],
) -> list[str]:
    """Say what of CelebA is here and what the lists leave open."""
    listed, here = len(genders), len(pictures & genders.keys())
    notes = []
    if announced is not None and listed < announced:
        notes.append(f"partial list: it announces {announced:,} pictures and has {listed:,}")
    if here < listed:
        notes.append(f"partial copy: {here:,} of the {listed:,} listed pictures are here")
    for count, what in (
        (len(pictures - genders.keys()), "not on the attribute list"),
        (len(pictures - parts.keys()), "not on the partition list"),
        (len(pictures - people.keys()) if people else 0, f"not on {IDENTITIES}.txt"),
    ):
        if count:
            notes.append(f"{count:,} pictures are {what}")
    if not people:
        notes.append(f"people are not known: there is no {IDENTITIES}.txt")
    return notes
