"""The arguments of prediction from the command line."""

import argparse
from pathlib import Path

from facialnet.errors import UserError
from facialnet.inference.checkpoint_network import VIEWS
from facialnet.inference.finding import FACES, NO_FACE
from facialnet.inference.output.choice import FORMATS
from facialnet.inference.photos import check_arguments

_ABOUT = """Find the faces of photos and tell gender and age group, how sure that is, and the
expected age. A photo is a file, a folder with all below it, a pattern in quotes, a list (.txt, one
a line), a video, webcam:0, or an http(s) address. What cannot be read is named at the end."""
_EXAMPLES = """examples:
  python -m facialnet.predict photo.jpg
  python -m facialnet.predict holiday/ --output holiday.jsonl --annotate annotated
  python -m facialnet.predict 'photos/**/*.jpg' --output photos.parquet --faces largest
  python -m facialnet.predict --labels photos/val --gallery gallery.png

Started again with the same --output, a run goes on where it stopped."""
DETECTORS = ("retinaface", "yunet", "none")


def parser() -> argparse.ArgumentParser:
    """Return what reads the arguments."""
    arguments = argparse.ArgumentParser(
        prog="python -m facialnet.predict",
        description=_ABOUT,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = arguments.add_argument
    add("photos", nargs="*", metavar="PHOTO", help="see above")
    add("--checkpoint", metavar="FILE", help="or an exported .onnx; default: facialnet's own")
    add("--format", choices=FORMATS, help="default: by the ending of --output, else table")
    add("--output", metavar="FILE", help="write there instead of to the terminal")
    add("--restart", action="store_true", help="write --output anew instead of going on with it")
    add("--annotate", metavar="FOLDER", help="write copies with boxes and answers drawn on them")
    add("--gallery", metavar="FILE.png", help="draw 24 of the faces with their answers")
    add("--labels", metavar="FOLDER|CSV", help="answer labelled photos; report AP and accuracy")
    add("--faces", choices=FACES, default="all", help="of a photo; default: %(default)s")
    add(
        "--detector",
        choices=DETECTORS,
        default="retinaface",
        help="none: photos are cropped faces already; default: %(default)s",
    )
    add("--detector-model", metavar="FILE.onnx", help="of --detector yunet")
    add(
        "--search-side",
        type=int,
        metavar="PIXELS",
        help="reduce photos to this longer side for the search: smaller is faster, and faces below "
        "about 16 pixels in it are missed; at least 160, default: 800",
    )
    add("--boxes", metavar="CSV", help="faces of your own: columns path, x, y, width, height")
    add("--no-face", choices=NO_FACE, default="whole", help="default: %(default)s")
    add("--threshold", type=float, default=0.0, help="not sure below this probability; default: 0")
    add("--views", choices=tuple(VIEWS), help="default: as the checkpoint was tested")
    add("--batch-size", type=int, default=64, metavar="FACES", help="default: %(default)s")
    add("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps; default: %(default)s")
    return arguments


def check(given: argparse.Namespace) -> None:
    """Raise UserError for arguments that do not go together or name nothing."""
    if not given.photos and not given.labels:
        raise UserError("name a photo, a folder, a pattern, a video or webcam:0 (--help)")
    if given.photos and given.labels:
        raise UserError("--labels says which photos are meant; leave the others out")
    check_arguments(given.photos)
    if given.search_side is not None:
        if given.boxes or given.detector == "none":
            raise UserError(
                "--search-side: no faces are searched for with --boxes or --detector none"
            )
        if given.search_side < 160:
            raise UserError(f"--search-side {given.search_side}: give 160 or more")
    if given.gallery and Path(given.gallery).suffix.lower() not in (".png", ".svg", ".pdf"):
        raise UserError(f"--gallery {given.gallery}: expected a file that ends in .png")
    for name, place in (("annotate", given.annotate), ("gallery", given.gallery)):
        for folder in given.photos if place else ():
            if Path(folder).is_dir() and Path(place).resolve().is_relative_to(
                Path(folder).resolve()
            ):
                raise UserError(
                    f"--{name} {place} lies in {folder} and would be answered like a photo; name a "
                    "place outside of it"
                )
