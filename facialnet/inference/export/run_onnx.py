"""Answer cropped faces by an exported ONNX file, without PyTorch and without facialnet.

    python run_onnx.py MODEL.onnx FACE... [--threads N]

Needs numpy, pillow and onnxruntime. Prints a JSON object a line, one for each picture: ``path``,
``error`` (null or the reason), and for each task ``label``, ``probability`` and ``probabilities``,
with the class's ``index`` where classes have an order. A picture must show one face, cropped like
those that the network was trained on. How it becomes pixels is in the file's metadata; the
arithmetic is that of OpenCV 5, repeated in numpy.
"""

import argparse
import json
import math
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from PIL import Image, ImageOps

_FORMATS = ("JPEG", "PNG", "WEBP", "BMP")
_MAX_PIXELS = 100_000_000
_BATCH = 32
_LEAST_SHARE = 1e-3  # of a pixel; OpenCV leaves out what is less
_CUBIC = -0.75  # free parameter of OpenCV's cubic interpolation


class Model:
    """An exported network and what its file says about it.

    Args:
        path: the ONNX file.
        threads: of the processor; 0 for all.

    Attributes:
        metadata: such as ``tasks``, ``preprocess``, ``data`` with its licence, ``stamp``.

    Raises:
        ValueError: the file is not facialnet's, or its preprocessing cannot be repeated here.
    """

    def __init__(self, path: Path, threads: int = 0) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self._session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )
        texts = self._session.get_modelmeta().custom_metadata_map
        if "preprocess" not in texts:
            raise ValueError(f"{path} was not exported by facialnet: it names no preprocessing")
        self.metadata: dict[str, Any] = {name: json.loads(text) for name, text in texts.items()}
        self._shares = _crop_shares(self.metadata["preprocess"])

    def pixels(self, path: Path) -> NDArray[np.uint8]:
        """Read a picture as the network takes it, uint8 [C, H, W].

        Raises OSError or ValueError, with the reason, where it is no usable picture.
        """
        settings = self.metadata["preprocess"]
        margin, channels = int(settings["margin"]), int(settings["channels"])
        side = int(settings["size"]) + 2 * margin
        image = _decoded(path, channels, math.ceil(2 * side / math.prod(self._shares)))
        for share in self._shares:
            image = _centred_square(image, share)
        stored = resized(image, side).reshape(side, side, channels)
        cut = margin - int(self.metadata["input"]["margin"])
        return np.ascontiguousarray(stored[cut : side - cut, cut : side - cut].transpose(2, 0, 1))

    def probabilities(self, pixels: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
        """Return each task's probabilities, float32 [N, classes], of pixels [N, C, H, W]."""
        tasks = list(self.metadata["tasks"])
        return dict(zip(tasks, self._session.run(tasks, {"images": pixels}), strict=True))

    def answers(self, paths: Sequence[Path]) -> Iterator[dict[str, Any]]:
        """Yield what is to be said of each picture, in order."""
        for start in range(0, len(paths), _BATCH):
            rows: list[dict[str, Any]] = []
            read: list[NDArray[np.uint8]] = []
            for path in paths[start : start + _BATCH]:
                rows.append({"path": str(path), "error": None})
                try:
                    read.append(self.pixels(path))
                except Exception as error:  # Pillow's decoders raise many kinds for a broken file
                    rows[-1]["error"] = str(error) or type(error).__name__
            if read:
                found = self.probabilities(np.stack(read))
                good = [row for row in rows if row["error"] is None]
                for number, row in enumerate(good):
                    row |= {task: self._answer(task, found[task][number]) for task in found}
            yield from rows

    def _answer(self, task: str, values: NDArray[np.float32]) -> dict[str, Any]:
        about = self.metadata["tasks"][task]
        best = int(values.argmax())
        shares = {name: float(v) for name, v in zip(about["classes"], values, strict=True)}
        answer = {"label": about["classes"][best], "probability": float(values[best])}
        index = {"index": best} if about["ordinal"] else {}
        return answer | index | {"probabilities": shares}


def _crop_shares(settings: dict[str, Any]) -> list[float]:
    """Return the share of the shorter side that each centre crop keeps."""
    shares = []
    for step in (settings.get("steps") or {}).values():
        name = str((step or {}).get("_target_", "")).rpartition(".")[2]
        if name == "CentreCrop":
            shares.append(float(step.get("share", 1.0)))
        elif name not in ("", "AlignFivePoints"):  # without points that step changes nothing
            raise ValueError(f"the network was trained with the step {name}, not repeated here")
    return shares


def _decoded(path: Path, channels: int, shortest: int) -> NDArray[np.uint8]:
    """Decode a picture upright; a JPEG far larger than needed at 1/2, 1/4 or 1/8 of its size."""
    with Image.open(path, formats=_FORMATS) as image:
        width, height = image.size
        if width * height > _MAX_PIXELS:
            raise ValueError(f"{width}x{height} pixels are too many")
        mode, least = "L" if channels == 1 else "RGB", min(width, height)
        if shortest < least:
            image.draft(mode, (-(-width * shortest // least), -(-height * shortest // least)))
        return np.asarray(ImageOps.exif_transpose(image).convert(mode), np.uint8)


def _centred_square(image: NDArray[np.uint8], share: float) -> NDArray[np.uint8]:
    height, width = image.shape[:2]
    side = max(1, round(min(height, width) * share))
    top, left = (height - side) // 2, (width - side) // 2
    return image[top : top + side, left : left + side]


def resized(image: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Return a picture [H, W] or [H, W, C] as a square, as OpenCV's resize does it.

    By the mean over each new pixel's area (INTER_AREA) where neither side grows, otherwise by cubic
    interpolation (INTER_CUBIC). The shades are OpenCV's, but for a few in 100,000 that lie halfway
    between two: it adds up in another order.
    """
    height, width = image.shape[:2]
    if (height, width) == (side, side):
        return image
    if min(height, width) >= side:
        if (height, width) == (2 * side, 2 * side):  # OpenCV rounds this one up at halves
            blocks = image.reshape(side, 2, side, 2, *image.shape[2:]).astype(np.uint16)
            return np.asarray((blocks.sum((1, 3)) + 2) >> 2, np.uint8)
        rows, columns = (_area_weights(length, side) for length in (height, width))
    else:
        rows, columns = (_cubic_weights(length, side) for length in (height, width))
    across = np.tensordot(columns, image.astype(np.float32), (1, 1))  # [side, H] or [side, H, C]
    both = np.tensordot(rows, across, (1, 1))  # [side, side] or [side, side, C]
    return np.clip(np.rint(both), 0, 255).astype(np.uint8)


def _area_weights(length: int, side: int) -> NDArray[np.float32]:
    """Return how much of each old pixel is in each new one, [side, length], rows sum to 1."""
    scale = length / side
    weights = np.zeros((side, length))
    for new in range(side):
        low, high = new * scale, min((new + 1) * scale, length)
        cell = min(scale, length - new * scale)
        last = min(math.floor((new + 1) * scale), length - 1)
        first = min(math.ceil(low), last)
        weights[new, first:last] = 1 / cell
        if first - low > _LEAST_SHARE:
            weights[new, first - 1] = (first - low) / cell
        if high - last > _LEAST_SHARE:
            weights[new, last] = min(high - last, 1.0, cell) / cell
    return weights.astype(np.float32)


def _cubic_weights(length: int, side: int) -> NDArray[np.float32]:
    """Return the weight of each old pixel in each new one, [side, length]; edges are repeated."""
    weights = np.zeros((side, length))
    for new in range(side):
        place = (new + 0.5) * length / side - 0.5
        first = math.floor(place)
        x, a = place - first, _CUBIC
        taps = [
            ((a * (x + 1) - 5 * a) * (x + 1) + 8 * a) * (x + 1) - 4 * a,
            ((a + 2) * x - (a + 3)) * x * x + 1,
            ((a + 2) * (1 - x) - (a + 3)) * (1 - x) * (1 - x) + 1,
        ]
        for offset, tap in enumerate([*taps, 1 - sum(taps)], start=-1):
            weights[new, min(max(first + offset, 0), length - 1)] += tap
    return weights.astype(np.float32)


def main() -> int:
    """Print the answers; return 1 where a picture could not be read, 2 where the file could not."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0] if __doc__ else None)
    parser.add_argument("model", type=Path, metavar="MODEL.onnx")
    parser.add_argument("faces", type=Path, nargs="+", metavar="FACE", help="cropped pictures")
    parser.add_argument("--threads", type=int, default=0, help="of the processor; default: all")
    given = parser.parse_args()
    try:
        model = Model(given.model, given.threads)
    except Exception as error:  # onnxruntime raises many kinds
        reason = str(error).splitlines()[0]
        print(f"error: {given.model} cannot be used: {reason}", file=sys.stderr)
        return 2
    failed = 0
    for answer in model.answers(given.faces):
        failed += answer["error"] is not None
        print(json.dumps(answer, ensure_ascii=False), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
