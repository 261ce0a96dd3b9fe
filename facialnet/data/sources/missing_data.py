"""The message for a data set that is not where the configuration says."""

from pathlib import Path

from facialnet.errors import UserError


def missing_data(name: str, root: Path, expected: str, how_to_get: str) -> UserError:
    """Return the error for a root folder that is not there or holds nothing to read."""
    state = "holds no such files" if root.is_dir() else "is not a folder"
    return UserError(
        f"{name}: {root} {state}: expected {expected} in it. {how_to_get}, then set data.root to "
        "its folder; to try without any data, run `python -m facialnet.train +experiment=demo`"
    )
