"""The audit of a data set as it stands in the terminal."""

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

_SHOWN_REASONS = {
    "duplicate row": "listed twice",
    "no label": "without any label",
    "missing file": "missing on disk",
    "not in this copy": "not in this partial copy",
    "unreadable": "unreadable",
    "no face": "no face found",
    "malformed name": "malformed name",
    "excluded": "by the exclusion list",
}


def print_audit(console: Console, audit: dict[str, Any], path: Path) -> None:
    """Print rows read, kept and dropped, class counts and defects."""
    console.print(
        f"{audit['data']}: {audit['rows']:,} rows read, {audit['kept']:,} kept", style="bold"
    )
    for reason, count in audit["dropped"].items():
        console.print(f"  dropped, {_SHOWN_REASONS.get(reason, reason)}: {count:,}")
    if audit["people"]:
        console.print(f"  {audit['people']:,} people in {audit['albums']:,} albums")
    if audit["duplicates"]:
        console.print(f"  {audit['duplicates']:,} rows or files repeat an earlier one")
    for note in audit["notes"]:
        console.print(f"  {note}")
    _print_files(console, audit)
    for label, counts in audit["kept_counts"].items():
        if sum(counts.values()):
            table = Table(show_header=True, box=None, padding=(0, 2, 0, 2))
            table.add_column(label.replace("_", " "), style="bold", min_width=9)
            for name in counts:
                table.add_column(name, justify="right")
            table.add_row("images", *(f"{count:,}" for count in counts.values()))
            console.print(table)
    console.print(f"audit: {path.absolute()}")


def _print_files(console: Console, audit: dict[str, Any]) -> None:
    """Print the first files that are not usable."""
    for name, reason in list(audit["unreadable_files"].items())[:5]:
        console.print(f"  unreadable: {name} ({reason})")
    for name in audit["missing_files"][:3]:
        console.print(f"  missing: {name}")
    for name in audit.get("no_face_files", [])[:3]:  # audits of before have none
        console.print(f"  no face: {name}")
