"""Write a complete Adience tree of drawn faces, so that everything runs without a download."""

import functools
import json
import math
import multiprocessing
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import cv2

from facialnet.data.drawn.face import draw_face
from facialnet.data.drawn.listing import FOLDS, Listing, Picture, make_listing
from facialnet.data.drawn.people import Person
from facialnet.data.drawn.shot import Shot, make_shot

MARKER = "drawn.json"
VERSION = 1  # of the drawings; raise it whenever the same seed gives other files
SIDE = 160  # pixels
HEADER = (
    "user_id\toriginal_image\tface_id\tage\tgender\tx\ty\tdx\tdy\t"
    "tilt_ang\tfiducial_yaw_angle\tfiducial_score"
)
_JPEG_QUALITY = 92


def settings_of(*, images: int, seed: int, side: int) -> dict[str, int]:
    """Return what the marker of a tree drawn with these settings holds."""
    return {"images": images, "seed": seed, "side": side, "version": VERSION}


def write_tree(
    root: Path,
    *,
    images: int = 2000,
    seed: int = 0,
    side: int = SIDE,
    processes: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write a complete Adience tree of drawn faces to root.

    The tree holds ``aligned/``, the five lists, the five frontal lists and the marker
    ``drawn.json``; it appears under its name only when it is complete. The files depend on
    images, seed and side (pixels), never on processes (None: one a core).

    Args:
        root: folder to write; its parents are made.
        images: distinct pictures in the lists, broken and missing ones included.
        seed: 0 or more.
        side: width and height of the pictures in pixels.
        processes: how many processes draw.
        progress: called with (pictures done, pictures in all) after every picture.

    Raises FileExistsError if root is there and not empty, UserError for too few images.
    """
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise FileExistsError(f"{root} is there already")
    listing = make_listing(images=images, seed=seed)
    root.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{root.name}-", dir=root.parent))
    try:
        unfinished.chmod(0o755)
        _write_lists(unfinished, listing, seed)
        _write_pictures(unfinished, listing, seed, side, processes or os.cpu_count() or 1, progress)
        marker = json.dumps(settings_of(images=images, seed=seed, side=side))
        (unfinished / MARKER).write_text(marker + "\n", encoding="utf-8")
        try:
            unfinished.rename(root)
        except OSError:
            if not (root / MARKER).is_file():  # else another process was first
                raise
            shutil.rmtree(unfinished)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise


def picture_path(picture: Picture) -> str:
    """Return where a picture lies, relative to the tree's root."""
    name = f"landmark_aligned_face.{picture.face_id}.{picture.photo}"
    return f"aligned/{picture.album}/{name}"


def _write_lists(root: Path, listing: Listing, seed: int) -> None:
    for fold in range(FOLDS):
        lines, frontal = [HEADER], [HEADER]
        for picture in listing.pictures:
            if picture.fold != fold:
                continue
            person = listing.people[picture.face_id - 1]
            shot = make_shot(seed, picture.face_id, picture.number, person)
            copies = [_line(picture, shot)] * (2 if picture.listed_twice else 1)
            lines += copies
            if _yaw_degrees(shot) == 0:
                frontal += copies
        for name, content in ((f"fold_{fold}", lines), (f"fold_frontal_{fold}", frontal)):
            text = "".join(f"{line}\n" for line in content)
            (root / f"{name}_data.txt").write_text(text, encoding="utf-8", newline="\n")


def _yaw_degrees(shot: Shot) -> int:
    # Adience's landmark finder tells yaw in steps of 15 degrees.
    return 15 * round(math.degrees(shot.yaw) / 15)


def _line(picture: Picture, shot: Shot) -> str:
    # The box lies in the photograph that the face was cut from: drawn faces have none, so it is
    # one that the shot could have come from.
    width = round(600 * shot.scale)
    box = (round(2000 * shot.x), round(1500 * shot.y), width, width)
    tilt = 5 * round(math.degrees(shot.tilt) / 5)
    score = round(100 * (1 - shot.blur / 2) - 2 * shot.noise)
    labels = (picture.album, picture.photo, picture.face_id, picture.age, picture.gender)
    return "\t".join(map(str, (*labels, *box, tilt, _yaw_degrees(shot), score)))


def _write_pictures(
    root: Path,
    listing: Listing,
    seed: int,
    side: int,
    processes: int,
    progress: Callable[[int, int], None] | None,
) -> None:
    pictures = listing.pictures
    for picture in pictures:
        (root / picture_path(picture)).parent.mkdir(parents=True, exist_ok=True)
    people = [listing.people[picture.face_id - 1] for picture in pictures]
    write = functools.partial(_write_picture, root, seed, side)
    with ExitStack() as stack:
        written: Iterable[None] = map(write, people, pictures)
        if processes > 1:
            # Spawned, not forked: the caller may hold threads, which a fork would break.
            spawn = multiprocessing.get_context("spawn")
            pool = stack.enter_context(ProcessPoolExecutor(processes, mp_context=spawn))
            written = pool.map(write, people, pictures, chunksize=16)
        for done, _ in enumerate(written, start=1):
            if progress is not None:
                progress(done, len(pictures))


def _write_picture(root: Path, seed: int, side: int, person: Person, picture: Picture) -> None:
    if picture.flaw == "missing":
        return
    shot = make_shot(seed, picture.face_id, picture.number, person)
    pixels = draw_face(person, shot, side)[..., ::-1]
    _, encoded = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    content = encoded.tobytes()
    if picture.flaw == "empty":
        content = b""
    elif picture.flaw == "truncated":
        content = content[: len(content) * 2 // 5]
    elif picture.flaw == "not_an_image":
        content = b"<html><body>This photo is no longer available.</body></html>\n"
    (root / picture_path(picture)).write_bytes(content)
