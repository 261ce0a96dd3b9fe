"""Several data sets as one."""

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NotRequired, TypedDict

import pandas as pd

from facialnet.data.manifest import CROP, Reading, Source, as_manifest
from facialnet.errors import UserError
from facialnet.labels import check_policy


class Part(TypedDict):
    """One of the data sets: its source, and the share of its pictures' centred square to use.

    Without ``crop``, or where it is None, the pictures are used whole. A configuration has more
    beside the two: the settings that the source was made from.
    """

    source: Source
    crop: NotRequired[float | None]


@dataclass(frozen=True, kw_only=True)
class JointSource:
    """Read several data sets as one, in which each row keeps its ``source``.

    Attributes:
        parts: the data sets by any name.
        label_policy: one of labels.POLICIES for all parts that have one; None: each part's own.
    """

    parts: Mapping[str, Part]
    label_policy: str | None = None

    def read(self) -> Reading:
        """Read all parts; paths are relative to the folder that all roots lie in.

        Raises UserError where a part cannot be read, where there is none, or where two have the
        same name.
        """
        if self.label_policy is not None:
            check_policy(self.label_policy)
        if not self.parts:
            raise UserError(
                "data=joint: no data set to join; add some, as in '+data@data.parts.lfw=lfw'"
            )
        readings = {name: self._read(name, part) for name, part in self.parts.items()}
        names = [reading.name for reading in readings.values()]
        for place, name in zip(readings, names, strict=True):
            if names.count(name) > 1:
                raise UserError(
                    f"data.parts.{place}: another part is called {name} too; rename one with "
                    f"data.parts.{place}.source.name=NAME"
                )
        root = Path(os.path.commonpath([reading.root.absolute() for reading in readings.values()]))
        rows = pd.concat(
            [_below(root, reading) for reading in readings.values()], ignore_index=True
        )
        return Reading(
            rows=as_manifest(rows),
            root=root,
            name="+".join(names),
            duplicates=sum(reading.duplicates for reading in readings.values()),
            notes=[
                f"{reading.name}: {note}" for reading in readings.values() for note in reading.notes
            ],
            licence="; ".join(
                f"{reading.name}: {reading.licence}" for reading in readings.values()
            ),
        )

    def _read(self, name: str, part: Part) -> Reading:
        source: Any = part["source"]
        if self.label_policy is not None and hasattr(source, "label_policy"):
            source = dataclasses.replace(source, label_policy=self.label_policy)
        reading: Reading = source.read()
        crop = part.get("crop")
        if crop is None:
            return reading
        if not 0 < crop <= 1:
            raise UserError(f"data.parts.{name}.crop={crop} must lie in (0, 1]")
        return dataclasses.replace(reading, rows=reading.rows.assign(**{CROP: crop}))


def _below(root: Path, reading: Reading) -> pd.DataFrame:
    """Return the rows with paths that are relative to a folder above the part's root."""
    prefix = reading.root.absolute().relative_to(root).as_posix()
    rows = as_manifest(reading.rows)
    return rows if prefix == "." else rows.assign(path=prefix + "/" + rows["path"])
