"""Faces to check exported files on, and to calibrate whole numbers with."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facialnet.data.dataset import FaceDataset
from facialnet.data.decode import UnreadableImageError, decode
from facialnet.data.store import Store, open_store
from facialnet.data.transforms import Preprocessing
from facialnet.errors import UserError
from facialnet.inference.export.exportable import Exportable
from facialnet.labels import Task

_ABOUT = "store.json"
_ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".bmp")


@dataclass(frozen=True)
class Faces:
    """Pictures as the exported graph takes them.

    Attributes:
        pixels: uint8 [N, C, H, W].
        targets: task name to int64 [N], a class or IGNORE; empty where nothing is labelled.
        what: what they are, for people.
        real: whether they show faces.
    """

    pixels: NDArray[np.uint8]
    targets: dict[str, NDArray[np.int64]]
    what: str
    real: bool = True


def find_store(folder: Path, digest: str | None) -> Store | None:
    """Return the store of a digest that is in a folder or below it, as ``prepare`` leaves them.

    A folder that is a store itself is returned whatever its digest. None where there is no store
    at all; raises UserError where there are only others.
    """
    if (folder / _ABOUT).is_file():
        return open_store(folder)
    found = sorted(folder.glob(f"*/{_ABOUT}")) + sorted(folder.glob(f"*/store/{_ABOUT}"))
    for path in found:
        about = json.loads(path.read_text())
        if f"{about.get('manifest')}-{about.get('pixels')}" == digest:
            return open_store(path.parent)
    if found:
        raise UserError(
            f"{folder.absolute()}: none of its {len(found)} stores is the one that the checkpoint "
            "was trained on; name another one's folder, or a folder of pictures"
        )
    return None


def faces_of_store(
    exportable: Exportable,
    store: Store,
    rows: NDArray[np.int64],
    preprocessing: Preprocessing,
    *,
    most: int,
    what: str,
) -> Faces:
    """Return pictures of a store, evenly spread over rows where there are more than ``most``.

    Raises UserError where the store's pictures were made in another way.
    """
    if store.shape[1:] != preprocessing.stored_shape:
        raise UserError(
            f"{store.folder}: its pictures are {list(store.shape[1:])}, and the checkpoint needs "
            f"{list(preprocessing.stored_shape)}: prepare them with the checkpoint's preprocessing"
        )
    chosen = _spread(rows, most)
    data = FaceDataset(store, chosen, _tasks_of(exportable, store), preprocessing)
    data = data.with_margin() if exportable.margin else data
    batch = data.__getitems__([(0, position) for position in range(len(chosen))])
    targets = {name: values.numpy() for name, values in batch["targets"].items()}
    pixels = np.ascontiguousarray(batch["images"].numpy())
    return Faces(pixels, targets, _counted(len(chosen), len(rows), what))


def faces_of_pictures(
    exportable: Exportable, folder: Path, preprocessing: Preprocessing, *, most: int
) -> Faces:
    """Return the pictures in a folder and below it, each of one cropped face, without labels.

    Raises UserError where there are none that can be read.
    """
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in _ENDINGS)
    chosen = [paths[number] for number in _spread(np.arange(len(paths)), most)]
    stored, unread = [], 0
    for path in chosen:
        try:
            grey = preprocessing.channels == 1
            picture, _ = decode(path, grey=grey, shortest=preprocessing.decoded_side)
            stored.append(preprocessing(picture))
        except UnreadableImageError:
            unread += 1
    if not stored:
        raise UserError(
            f"{folder.absolute()} holds neither stores nor pictures that can be read "
            f"({', '.join(_ENDINGS)})"
        )
    pixels = np.stack(stored)
    if not exportable.margin:
        pixels = preprocessing.network_view(pixels)
    what = _counted(len(stored), len(paths), f"pictures in {folder}, without labels")
    what += f" ({unread} could not be read)" if unread else ""
    return Faces(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)), {}, what)


def noise(exportable: Exportable, count: int) -> Faces:
    """Return random pixels: differences show on them, too, but they say nothing of faces."""
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (count, *exportable.input_shape), dtype=np.uint8)
    return Faces(pixels, {}, f"{count:,} pictures of noise, since no faces are at hand", real=False)


def _spread(rows: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    if len(rows) <= most:
        return rows
    return rows[np.linspace(0, len(rows) - 1, most).round().astype(np.int64)]


def _tasks_of(exportable: Exportable, store: Store) -> Sequence[Task]:
    """Return the tasks that the store may have labels for."""
    tasks: Mapping[str, Task] = exportable.checkpoint.tasks
    return [task for task in tasks.values() if task.column in store.manifest.columns]


def _counted(used: int, there: int, what: str) -> str:
    return f"{there:,} {what}" if used == there else f"{used:,} of {there:,} {what}"
