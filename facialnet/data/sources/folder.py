"""Pictures of your own: in folders that are named after their class, or listed in a CSV file."""

import csv
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from facialnet.data.manifest import LABELS, Reading, as_manifest
from facialnet.data.sources.copies import drop_conflicts, photo_of
from facialnet.data.sources.missing_data import missing_data
from facialnet.errors import UserError
from facialnet.labels import AGE_GROUPS, RACES, age_group_of_years, check_policy

COLUMNS = (
    *("path", "subject", "album", "photo", "fold", "part"),
    *("gender", "age_group", "age_years", "race"),
)
_ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
_CLASSES = {
    **dict.fromkeys(("male", "man", "men"), "male"),
    **dict.fromkeys(("female", "woman", "women"), "female"),
    **{group: group for group in AGE_GROUPS},
}
_PARTS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
_REPEATS = "all"  # folder of the seven-layer CNN's layout: train and val once more
_COLUMN_OF = {label: column for column, labels in LABELS.items() for label in labels}
_Row = dict[str, str | int | None]


@dataclass(frozen=True, kw_only=True)
class FolderSource:
    """Class folders such as ``man/`` and ``woman/``, or a CSV file with a row for each picture.

    Class folders lie in the root, or below ``train/``, ``val/`` and ``test/`` in it, which become
    the data set's own partition; case does not matter.

    Attributes:
        root: the folder; paths of the CSV file are relative to it.
        csv: file with a column ``path`` and any other of COLUMNS; None: class folders.
        classes: further names of folders, or values of the CSV file, and the labels they stand for.
        label_policy: one of labels.POLICIES, for ages in years.
        licence: under which terms the pictures may be used.
        name: name of the data set.
    """

    root: str
    csv: str | None = None
    classes: Mapping[str, str] | None = None
    label_policy: str = "nearest"
    licence: str = "not stated"
    name: str = "folder"

    def read(self) -> Reading:
        """Read the labels, and the bytes to find identical files.

        Where ``photo`` is not given it is a hash of the file's bytes, so that copies of a picture
        stay together. Raises UserError where there are no pictures, where a class folder is not
        known, or where the CSV file is missing or has a row that cannot be used.
        """
        check_policy(self.label_policy)
        root = Path(self.root).expanduser().absolute()
        names = self._names()
        rows = _found(root, names) if self.csv is None else self._listed(root, names)
        table = as_manifest(pd.DataFrame(rows).assign(source=self.name))
        given = table["photo"]
        table["photo"] = [photo_of(root / path, root) for path in table["path"]]
        duplicates = int(table.duplicated("photo").sum())
        notes = drop_conflicts(table, ("gender", "age_group", "age_years", "race"))
        if self.csv is None and (root / _REPEATS).is_dir() and table["part"].notna().any():
            notes.append(f"{_REPEATS}/ is left out: the partition lies beside it")
        table["photo"] = given.fillna(table["photo"])
        dropped = pd.Series(pd.NA, index=table.index, dtype="str")
        dropped[table[list(LABELS)].isna().all(axis=1)] = "no label"
        dropped[table.duplicated("path")] = "duplicate row"
        return Reading(
            rows=table.assign(dropped=dropped),
            root=root,
            name=self.name,
            duplicates=duplicates,
            notes=notes,
            licence=self.licence,
        )

    def _names(self) -> dict[str, str]:
        """Return the label of each name in lower case, those of ``classes`` included."""
        given = {str(name).lower(): label for name, label in (self.classes or {}).items()}
        for name, label in given.items():
            if label not in _COLUMN_OF:
                raise UserError(
                    f"data.source.classes.{name}={label}: allowed are {', '.join(_COLUMN_OF)}"
                )
        return _CLASSES | given

    def _listed(self, root: Path, names: Mapping[str, str]) -> list[_Row]:
        """Return the rows of the CSV file, which lies where the path says or below the root."""
        assert self.csv is not None
        places = [Path(self.csv).expanduser().absolute(), root / self.csv]
        path = next((place for place in places if place.is_file()), None)
        if path is None:
            raise UserError(
                f"data.source.csv={self.csv}: there is no such file, nor {places[1]}; it needs a "
                f"column path and may have {', '.join(COLUMNS[1:])}"
            )
        names = {**{race: race for race in RACES}, **names}
        rows = [self._row(values, root, names, where) for where, values in _read_csv(path)]
        if not rows:
            raise UserError(f"{path}: no rows after the header")
        return rows

    def _row(
        self, values: Mapping[str, str], root: Path, names: Mapping[str, str], where: str
    ) -> _Row:
        """Return the manifest row of a row of the CSV file."""
        row: _Row = {name: values.get(name) or None for name in ("subject", "album", "photo")}
        row["path"] = _relative(values["path"], root, where)
        for column in ("fold", "age_years"):
            row[column] = _whole(values.get(column, ""), column, where)
        if part := values.get("part"):
            if part.lower() not in _PARTS:
                raise UserError(f"{where}: unknown part {part!r}; allowed are train, val, test")
            row["part"] = _PARTS[part.lower()]
        for column, labels in LABELS.items():
            if not (text := values.get(column)):
                continue
            label = names.get(text.lower())
            if label not in labels:
                raise UserError(
                    f"{where}: unknown {column} {text!r}; allowed are {', '.join(labels)}; "
                    f"for another name: data.source.classes={{{text}: {labels[0]}}}"
                )
            row[column] = label
        years = row["age_years"]
        if not row.get("age_group") and isinstance(years, int):
            row["age_group"] = age_group_of_years(years, self.label_policy)
        return row


def _found(root: Path, names: Mapping[str, str]) -> list[_Row]:
    """Return a row for each picture in class folders or beside them."""
    folders = _subfolders(root)
    parts = {each: _PARTS[each.name.lower()] for each in folders if each.name.lower() in _PARTS}
    for folder in folders if parts else []:
        if folder not in parts and folder.name != _REPEATS:
            raise UserError(
                f"{folder}: unknown folder beside {next(iter(parts)).name}/; allowed are train, "
                "val and test with class folders in them, or class folders alone"
            )
    rows: list[_Row] = []
    places: dict[Path, str | None] = {**parts} or {root: None}
    for place, part in places.items():
        rows += [_picture_row(each, root, part) for each in _pictures(place.glob("*"))]
        for folder in _subfolders(place):
            label = names.get(folder.name.lower())
            if label is None:
                raise UserError(
                    f"{folder}: unknown class; known are {', '.join(names)}; for another name: "
                    f"data.source.classes={{{folder.name}: male}}"
                )
            rows += [
                _picture_row(each, root, part) | {_COLUMN_OF[label]: label}
                for each in _pictures(folder.rglob("*"))
            ]
    if not rows:
        raise missing_data(
            "Folder",
            root,
            "pictures in man/ and woman/, or in folders of age groups such as 25-32/, all of them "
            "perhaps below train/, val/ and test/",
            "Put them there, or list them with data.source.csv=FILE",
        )
    return rows


def _picture_row(picture: Path, root: Path, part: str | None) -> _Row:
    return {"path": picture.relative_to(root).as_posix(), "part": part}


def _subfolders(folder: Path) -> list[Path]:
    found = folder.iterdir() if folder.is_dir() else ()
    return sorted(each for each in found if each.is_dir() and not each.name.startswith("."))


def _pictures(paths: Iterable[Path]) -> list[Path]:
    return sorted(
        each
        for each in paths
        if each.suffix.lower() in _ENDINGS and not each.name.startswith(".") and each.is_file()
    )


def _read_csv(path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the place of every row, as ``file, line number``, and its values by column name."""
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        reader = csv.reader(file)
        header = [name.strip() for name in next(reader, [])]
        _check_header(path, header)
        for values in reader:
            where = f"{path}, line {reader.line_num}"
            if values and len(values) != len(header):
                raise UserError(f"{where}: {len(values)} columns instead of {len(header)}")
            if values:
                stripped = (value.strip() for value in values)
                yield where, dict(zip(header, stripped, strict=True))


def _check_header(path: Path, header: list[str]) -> None:
    known = f"known are {', '.join(COLUMNS)}"
    if unknown := [name for name in header if name not in COLUMNS]:
        raise UserError(f"{path}: unknown column {unknown[0]!r}; {known}")
    if repeated := [name for name in header if header.count(name) > 1]:
        raise UserError(f"{path}: column {repeated[0]!r} stands there twice")
    if "path" not in header:
        raise UserError(f"{path}: column 'path' is missing; {known}")


def _relative(text: str, root: Path, where: str) -> str:
    path = Path(text)
    if path.is_absolute() and path.is_relative_to(root):
        path = path.relative_to(root)
    if not text or path.is_absolute() or ".." in path.parts:
        raise UserError(f"{where}: path {text!r} must be that of a picture below {root}")
    return path.as_posix()


def _whole(text: str, column: str, where: str) -> int | None:
    """Return a whole number, also one that a table program wrote as ``30.0``."""
    if not text:
        return None
    digits = text.removesuffix(".0")
    if not digits.isdecimal():
        raise UserError(f"{where}: {column} {text!r} must be a whole number")
    return int(digits)
