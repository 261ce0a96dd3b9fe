"""What a result was begun with, kept beside it, so that it is gone on with in the same way only."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from facialnet.errors import UserError
from facialnet.inference.output.append import open_alone


def settings_path(output: Path) -> Path:
    """Return where the settings of a result lie."""
    return output.with_name(f"{output.name}.settings.json")


def journal_path(output: Path) -> Path:
    """Return where the rows of a result lie that is written as a whole at the end."""
    return output.with_name(f"{output.name}.unfinished.jsonl")


def begin(output: Path, settings: Mapping[str, Any], *, restart: bool) -> bool:
    """Return whether a result is gone on with; else leave its settings beside it.

    Args:
        output: the result's file.
        settings: plain: all that its rows depend on, beside the photos.
        restart: whether what is there is deleted.

    Raises UserError where the settings differ, where a file is there that is no such result,
    where another run is writing it, or where the folder is none.
    """
    place = settings_path(output)
    if output.is_dir():
        raise UserError(f"--output {output} is a folder; name a file in it")
    output.parent.mkdir(parents=True, exist_ok=True)
    if restart:
        parts = [path for path in (output, journal_path(output), place) if path.exists()]
        for path in parts:
            open_alone(path).close()
        for path in parts:
            path.unlink()
    if not place.exists():
        if output.exists():
            raise UserError(
                f"--output {output} is there already, without {place.name} beside it: choose "
                "another name, or --restart to write it anew"
            )
        partial = place.with_name(f"{place.name}.partial")
        partial.write_text(json.dumps(settings, indent=2))
        partial.replace(place)
        return False
    try:
        there = json.loads(place.read_text())
    except ValueError:
        raise UserError(f"{place} is damaged; --restart begins anew") from None
    for name in {**there, **settings}:
        if there.get(name) != settings.get(name):
            raise UserError(
                f"{output} was begun with {name} {there.get(name)!r}, and now it is "
                f"{settings.get(name)!r}: set it as it was, choose another --output, or --restart"
            )
    return True
