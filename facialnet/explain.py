"""Say why a network answers as it does: `python -m facialnet.explain PHOTO…`."""

import argparse
import re
import shlex
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from rich.console import Console

from facialnet.command import run_command
from facialnet.data.faces.engines import fastest_engine
from facialnet.data.faces.retinaface import RetinaFace
from facialnet.errors import UserError, gist
from facialnet.explanation.attribution import METHODS, check_methods
from facialnet.explanation.explainer import ORDERS, Explainer
from facialnet.explanation.feature_maps import feature_map_figure
from facialnet.explanation.figures import explanation_figure
from facialnet.explanation.verdict import figures, verdict
from facialnet.inference.checkpoint_network import CheckpointNetwork
from facialnet.inference.finding import FACES, FaceFinder, FoundPhoto
from facialnet.inference.photos import Photo, check_arguments, find_photos
from facialnet.inference.predictor import checkpoint_path
from facialnet.labels import Task
from facialnet.training.checkpoint import read_checkpoint
from facialnet.training.run_folder import write_json

_ABOUT = """Show for each face of some photos what in it speaks for the network's answers, by up to
three methods, and whether that means anything: what deleting it does to the answer, against random
order. Leaves for each face a picture of the maps and one of all feature maps, and for each photo
its figures as JSON. docs/explain.md tells how to read them."""
_EXAMPLES = """examples:
  python -m facialnet.explain photo.jpg
  python -m facialnet.explain photo.jpg --class female --methods gradcam
  python -m facialnet.explain 'crops/*.jpg' --detector none --task age --checkpoint best.ckpt"""
_DPI = 130


@dataclass
class _Wanted:
    """What is explained, and where it goes."""

    explainer: Explainer
    trained: CheckpointNetwork
    classes: dict[str, str]
    out: Path
    console: Console
    names: set[str] = field(default_factory=set)

    def name(self, photo: Photo) -> str:
        """Return a name for a photo's files that no other photo of this command has."""
        stem = re.sub(r"[^\w.-]+", "_", Path(photo.path).stem)
        stem += "" if photo.frame is None else f"_frame{photo.frame}"
        name, number = stem, 1
        while name in self.names:
            number += 1
            name = f"{stem}_{number}"
        self.names.add(name)
        return name


def main(arguments: Sequence[str] | None = None) -> None:
    """Explain the faces of photos, and say where pictures and figures lie."""
    given = _parser().parse_intermixed_args(arguments)
    methods = given.methods.split(",")
    check_methods(methods, "--methods")
    check_arguments(given.photos)
    if given.orders < 1:
        raise UserError(f"--orders {given.orders}: at least 1 is needed to compare with")
    checkpoint = read_checkpoint(checkpoint_path(given.checkpoint))
    trained = CheckpointNetwork(checkpoint, device=given.device)
    tasks = checkpoint.tasks
    wanted = _Wanted(
        explainer=Explainer(
            trained.network,
            tasks,
            methods=methods,
            temperatures=checkpoint.temperatures,
            orders=given.orders,
        ),
        trained=trained,
        classes=_classes(tasks, given.task, given.explained),
        out=Path(given.out),
        console=Console(soft_wrap=True, highlight=False),
    )
    explained = 0
    for found in _faces(wanted.trained, given):
        if found.error is not None:
            wanted.console.print(f"unreadable: {found.photo.path}: {found.error}", markup=False)
        else:
            explained += 1
            _explain(wanted, found)
    if not explained:
        raise UserError("no photo could be read; see above")
    wanted.console.print(f"explanations: {wanted.out.absolute()}", markup=False)
    command = shlex.join(["python", "-m", "facialnet.predict", *given.photos[:1]])
    same = f" --checkpoint {shlex.quote(given.checkpoint)}" if given.checkpoint else ""
    wanted.console.print(f"next: {command}{same}", markup=False)


def _faces(trained: CheckpointNetwork, given: argparse.Namespace) -> Iterator[FoundPhoto]:
    """Yield the photos with their faces as `facialnet.predict` finds and frames them."""
    finder = FaceFinder(
        frame=trained.frame,
        preprocessing=trained.preprocessing,
        detector=None if given.detector == "none" else RetinaFace(engine=fastest_engine),
        faces=given.faces,
        threads=1,
    )
    with closing(finder.find(find_photos(given.photos))) as found:  # type: ignore[type-var]
        yield from found


def _classes(tasks: dict[str, Task], names: list[str], explained: str | None) -> dict[str, str]:
    """Return the tasks that are explained and the class of each; an empty one: the answer."""
    for name in names:
        if name not in tasks:
            raise UserError(f"--task {name}: the network answers {', '.join(tasks)}")
    chosen = names or list(tasks)
    if explained is None:
        return dict.fromkeys(chosen, "")
    having = [name for name in chosen if explained in tasks[name].classes]
    if not having:
        known = "; ".join(f"{name}: {', '.join(tasks[name].classes)}" for name in chosen)
        raise UserError(f"--class {explained}: there is no such class; there are {known}")
    return dict.fromkeys(having, explained)


def _explain(wanted: _Wanted, found: FoundPhoto) -> None:
    """Explain every face of a photo, and write its files."""
    name, path = wanted.name(found.photo), found.photo.path
    say = wanted.console.print
    if not found.faces or found.no_face:
        say(f"{path}: no face was found; the photo is taken whole", markup=False)
    facts: list[dict[str, Any]] = []
    for number, face in enumerate(found.faces, start=1):
        view = wanted.trained.preprocessing.network_view(face.stored[None])[0]
        pixels = torch.from_numpy(np.ascontiguousarray(view)).permute(2, 0, 1)[None]
        image = pixels.to(wanted.trained.device)
        explanations = wanted.explainer.explain(image, wanted.classes)
        of_face = name if len(found.faces) == 1 else f"{name}_face{number}"
        title = path if len(found.faces) == 1 else f"{path}, face {number}"
        say(title, style="bold", markup=False)
        for explanation in explanations.values():
            for method in explanation.maps:
                say(f"  {verdict(explanation, method)}", markup=False)
        _save(explanation_figure(view, explanations, Path(title).name), wanted.out, of_face)
        maps = feature_map_figure(wanted.trained.network, image)
        if maps is not None:
            _save(maps, wanted.out, f"{of_face}_feature_maps", dpi=100)
        facts.append(
            {
                "box": list(face.box),
                "detection": face.detection,
                "picture": f"{of_face}.png",
                "feature_maps": None if maps is None else f"{of_face}_feature_maps.png",
                "tasks": {task: figures(each) for task, each in explanations.items()},
            }
        )
    about = {"path": path, "checkpoint": str(wanted.trained.path.absolute())}
    write_json(about | {"no_face": found.no_face, "faces": facts}, wanted.out / f"{name}.json")


def _save(figure: Figure, folder: Path, name: str, *, dpi: int = _DPI) -> None:
    """Write a picture whole or not at all."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        partial = folder / f"{name}.png.partial"
        figure.savefig(partial, dpi=dpi, format="png")
        partial.replace(folder / f"{name}.png")
    except OSError as error:
        raise UserError(f"--out {folder}: cannot be written ({gist(error)})") from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m facialnet.explain",
        description=_ABOUT,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("photos", nargs="+", metavar="PHOTO", help="a file, a folder, or a pattern in quotes")
    add("--checkpoint", metavar="FILE", help="default: the one that comes with facialnet")
    add("--task", action="append", default=[], help="explain this head alone; may be repeated")
    add("--class", dest="explained", metavar="CLASS", help="explain this class, not the answer")
    add("--methods", default=",".join(METHODS), help="default: %(default)s")
    add("--faces", choices=FACES, default="largest", help="of a photo; default: %(default)s")
    add(
        "--detector",
        choices=("retinaface", "none"),
        default="retinaface",
        help="none: photos are cropped faces already; default: %(default)s",
    )
    add("--orders", type=int, default=ORDERS, help="random ones; default: %(default)s")
    add("--out", default="outputs/explanations", metavar="FOLDER", help="default: %(default)s")
    add("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps; default: %(default)s")
    return parser


if __name__ == "__main__":
    run_command(main)
