"""Accuracy when faces are framed wider or tighter than in training: `python -m benchmarks.margin`.

Every photo's face is brought to the checkpoint's own layout, and to the same layout with the face
larger or smaller about its centre; nothing else changes, so the rows differ by the margin alone.
With --crops, the middle of the photos is taken as it is, too: what alignment is worth. On
the checkpoint's own data set only the images that it was tested on count.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import hydra
import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

from facialnet import build
from facialnet.build_faces import detector
from facialnet.command import run_command
from facialnet.data.alignment import zoomed
from facialnet.data.decode import UnreadableImageError, decode
from facialnet.data.faces.choice import main_face
from facialnet.data.faces.face import Face
from facialnet.data.faces.framing import frame
from facialnet.data.faces.layout import training_layout
from facialnet.data.manifest import as_manifest
from facialnet.entry import conf_dir, quiet
from facialnet.errors import UserError
from facialnet.evaluation.intervals import Interval, mean_interval
from facialnet.inference.checkpoint_network import CheckpointNetwork
from facialnet.labels import Task
from facialnet.training.checkpoint import Checkpoint, read_checkpoint

ZOOMS = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0)
_BATCH = 16


def main(arguments: Sequence[str] | None = None) -> None:
    """Frame, answer, and print one row for each zoom, as a table and as Markdown on request."""
    given = _parser().parse_args(arguments)
    quiet()
    checkpoint = read_checkpoint(Path(given.checkpoint))
    network = CheckpointNetwork(checkpoint, device="cpu")
    root, rows, own_layout = _labelled(checkpoint, network, given.settings)
    rows = _only(rows, given.only)
    if not all(0 < crop <= 1 for crop in given.crops):
        raise UserError(f"--crops {given.crops}: shares above 0 and up to 1")
    layout = network.layout if network.layout is not None else own_layout
    if layout is None:
        raise UserError(
            f"{given.checkpoint} does not say where faces lay in its training: train it again, or "
            "measure on its own data set"
        )
    rows = rows.iloc[np.linspace(0, len(rows) - 1, min(given.images, len(rows))).astype(int)]
    ways = _ways(network, layout, given.zooms, given.crops)
    stored: dict[str, list[np.ndarray]] = {name: [] for name in ways}
    found = []
    for index, image, face in _faces(root, rows):
        found.append(index)
        for name, way in ways.items():
            stored[name].append(way(image, face))
    if not found:
        raise UserError(f"no face was found in {len(rows)} pictures below {root}")
    tested = rows.loc[found]
    tasks = [task for task in network.tasks.values() if tested[task.column].notna().any()]
    names = [task.name for task in tasks]
    table = Table(title=f"{given.checkpoint} on {len(found):,} of {len(rows):,} photos with a face")
    for column in ("face against training", *names):
        table.add_column(column, justify="right")
    lines = [f"| face against training | {' | '.join(names)} |"]
    lines.append("|---|" + "---|" * len(names))
    for name, framed in stored.items():
        cells = [name, *_accuracies(network, tasks, np.stack(framed), tested)]
        table.add_row(*cells)
        lines.append(f"| {' | '.join(cells)} |")
    Console().print(table)
    if given.out is not None:
        Path(given.out).write_text("\n".join(lines) + "\n")


def _only(rows: pd.DataFrame, source: str | None) -> pd.DataFrame:
    if source is None:
        return rows
    known = ", ".join(sorted(rows["source"].unique()))
    rows = rows[rows["source"] == source]
    if rows.empty:
        raise UserError(f"--only {source}: there are labelled pictures of {known}")
    return rows


def _ways(
    network: CheckpointNetwork, layout: np.ndarray, zooms: list[float], crops: list[float]
) -> dict[str, Callable[[np.ndarray, Face], np.ndarray]]:
    """Return the ways to frame a face: aligned and larger or smaller, or the photo's middle."""
    ways: dict[str, Callable[[np.ndarray, Face], np.ndarray]] = {}
    for zoom in zooms:
        goal = zoomed(layout, zoom)
        ways[f"{zoom:.3g}"] = partial(
            lambda image, face, goal: frame(image, face, goal, network.preprocessing), goal=goal
        )
    for crop in crops:
        ways[f"middle {crop:.3g}, not aligned"] = partial(
            lambda image, _, crop: network.preprocessing(image, None, crop), crop=crop
        )
    return ways


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.margin", description=__doc__)
    parser.add_argument("checkpoint", help="a file, such as outputs/…/checkpoints/best.ckpt")
    parser.add_argument(
        "settings", nargs="+", help="the labelled photos, such as data=lfw data.root=FOLDER"
    )
    parser.add_argument("--images", type=int, default=1000, help="at most so many photos")
    parser.add_argument("--zooms", type=float, nargs="+", default=ZOOMS, help="1: as in training")
    parser.add_argument(
        "--crops",
        type=float,
        nargs="+",
        default=[],
        help="also the photo's centred square of this share, not aligned",
    )
    parser.add_argument("--only", metavar="DATA_SET", help="of several: take this one's images")
    parser.add_argument("--out", help="also write the rows to this file, as Markdown")
    return parser


def _labelled(
    checkpoint: Checkpoint, network: CheckpointNetwork, settings: list[str]
) -> tuple[Path, pd.DataFrame, np.ndarray | None]:
    """Return the photos' root, the labelled rows and, on the training's own data, its layout."""
    with hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
        cfg = hydra.compose("train", settings)
    reading = build.instantiate(cfg.data.source).read()
    trained = str(checkpoint.card["data"]["name"])
    if reading.name != trained:
        before = [entry["name"] for entry in (checkpoint.card.get("init") or {}).get("data") or []]
        seen = {part for name in (trained, *before) for part in name.split("+")}
        if seen & set(reading.name.split("+")):
            raise UserError(
                f"{checkpoint.path} was trained on some of {reading.name}: name all of its data, "
                f"{trained}, so that only tested images count, and one of them by --only"
            )
        table = as_manifest(reading.rows)
        kept = table[table["dropped"].isna()] if "dropped" in table else table
        return reading.root, _with_labels(kept, network), None
    card = checkpoint.card
    cfg.preprocess = card["preprocess"]
    for name in ("align", "exclude"):
        cfg.data[name] = card["config"]["data"].get(name)
    prepared, preprocessing = build.prepared_data(cfg)
    store = build.store_of(prepared)
    if store.digest != card["store"]:
        raise UserError(
            f"{reading.root} is not as it was in the training of {checkpoint.path}: some of its "
            "images may have been trained on"
        )
    split = build.split(card["protocol"], store.manifest)
    layout = training_layout(store, split.train, preprocessing, lambda: detector(cfg)).points
    tested = _with_labels(store.manifest.iloc[split.test], network)
    return reading.root, tested, None if layout is None else np.array(layout, np.float32)


def _with_labels(rows: pd.DataFrame, network: CheckpointNetwork) -> pd.DataFrame:
    columns = [task.column for task in network.tasks.values()]
    return rows[rows[columns].notna().any(axis=1)]


def _faces(root: Path, rows: pd.DataFrame) -> Iterator[tuple[int, np.ndarray, Face]]:
    """Yield index, photo and main face of every photo that has one."""
    search = build.instantiate({"_target_": "facialnet.data.faces.retinaface.RetinaFace"})
    for start in range(0, len(rows), _BATCH):
        images = {}
        for index, path in rows["path"].iloc[start : start + _BATCH].items():
            try:
                images[index] = decode(root / path, grey=False, shortest=1000)[0]
            except UnreadableImageError:
                continue
        for (index, image), faces in zip(images.items(), search([*images.values()]), strict=True):
            if (face := main_face(faces, image.shape)) is not None:
                yield index, image, face


def _accuracies(
    network: CheckpointNetwork, tasks: list[Task], stored: np.ndarray, rows: pd.DataFrame
) -> list[str]:
    """Return each task's accuracy with its 95 % interval; people, where known, are independent."""
    answers = {name: [] for name in network.tasks}
    for start in range(0, len(stored), 4 * _BATCH):
        for name, values in network.probabilities(stored[start : start + 4 * _BATCH]).items():
            answers[name] += values.argmax(1).tolist()
    people = pd.factorize(rows["subject"].fillna(rows["path"]))[0]
    cells = []
    for task in tasks:
        known = rows[task.column].isin(task.classes).to_numpy()
        truth = rows[task.column][known].map(list(task.classes).index).to_numpy()
        right = (np.array(answers[task.name])[known] == truth).astype(float)
        clusters = pd.factorize(people[known])[0]
        cells.append(_text(mean_interval(right, clusters)))
    return cells


def _text(interval: Interval) -> str:
    return f"{interval.value:.3f} ({interval.low:.3f}-{interval.high:.3f})"


if __name__ == "__main__":
    run_command(main)
