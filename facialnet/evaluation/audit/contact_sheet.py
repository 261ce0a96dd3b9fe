"""Sheets of small faces with captions, to be looked at."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from facialnet.evaluation.audit.label_quality import Judgement

Pixels = Callable[[NDArray[np.int64]], NDArray[np.uint8]]  # rows to pictures [n, H, W, C]

_SUSPECTS, _GROUPS, _COPIES = 48, 12, 6  # shown of each task; groups of copies, pictures of each
_FACE, _GAP, _LINE = 112, 10, 15
_HEADING = 30
_FONT = Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf"  # it has the arrow


@dataclass(frozen=True)
class Section:
    """Faces under one heading.

    Attributes:
        heading: one line.
        faces: uint8 [N, H, W, C], C 1 or 3.
        captions: N texts of at most three lines.
        marked: whether the heading warns.
    """

    heading: str
    faces: NDArray[np.uint8]
    captions: Sequence[str]
    marked: bool = False


def contact_sheet(sections: Sequence[Section], *, columns: int = 8) -> Image.Image:
    """Return the sections below one another, their faces in rows of ``columns``."""
    lines = max((text.count("\n") + 1 for s in sections for text in s.captions), default=1)
    cell = _FACE + lines * _LINE + _GAP
    heights = [_HEADING + max(1, -(-len(s.faces) // columns)) * cell for s in sections]
    width = _GAP + columns * (_FACE + _GAP)
    sheet = Image.new("RGB", (width, max(sum(heights), _HEADING) + _GAP), "white")
    draw = ImageDraw.Draw(sheet)
    large, small = (ImageFont.truetype(str(_FONT), size) for size in (15, 11))
    top = 0
    for section, height in zip(sections, heights, strict=True):
        colour = "firebrick" if section.marked else "black"
        draw.text((_GAP, top + 8), section.heading, fill=colour, font=large)
        for number, (face, caption) in enumerate(zip(section.faces, section.captions, strict=True)):
            left = _GAP + number % columns * (_FACE + _GAP)
            upper = top + _HEADING + number // columns * cell
            sheet.paste(_thumbnail(face), (left, upper))
            draw.multiline_text(
                (left, upper + _FACE + 1), caption, fill="black", font=small, spacing=2
            )
        top += height
    return sheet


def suspects_sheet(judgements: Sequence[Judgement], pixels: Pixels) -> Image.Image:
    """Return each task's most suspicious labels with what they probably should be."""
    sections = []
    for each in judgements:
        top = each.suspects.head(_SUSPECTS)
        captions = [
            f"{rank}. {given} →\n{likely} (given: {probability:.1%})"
            for rank, given, likely, probability in zip(
                top["rank"], top["given"], top["likely"], top["probability"], strict=True
            )
        ]
        heading = f"{each.task.name}: given label → likely label (probability of the given one)"
        sections.append(Section(heading, pixels(top["row"].to_numpy(np.int64)), captions))
    return contact_sheet(sections)


def copies_sheet(copies: pd.DataFrame, pixels: Pixels) -> Image.Image:
    """Return the first groups of copies, as duplicate_groups returns them, with their labels."""
    sections = []
    for number, group in list(copies.groupby("group"))[:_GROUPS]:
        shown = group.head(_COPIES)
        years = shown["age_years"].astype("str").fillna("?")
        ages = shown["age_group"].fillna("?") + " (" + years + ")"
        labels = zip(shown["gender"].fillna("?"), ages, shown["race"].fillna("?"), strict=True)
        conflict = str(group["conflict"].iloc[0])
        heading = f"{number}. {group['kind'].iloc[0]}, {len(group)} pictures"
        if conflict:
            heading += f"; they disagree on {conflict.replace(' ', ', ')}"
        faces = pixels(shown["row"].to_numpy(np.int64))
        sections.append(Section(heading, faces, ["\n".join(own) for own in labels], bool(conflict)))
    return contact_sheet(sections, columns=_COPIES)


def _thumbnail(face: NDArray[np.uint8]) -> Image.Image:
    picture = Image.fromarray(face.squeeze(2) if face.shape[2] == 1 else face)
    return picture.convert("RGB").resize((_FACE, _FACE), Image.Resampling.BICUBIC)
