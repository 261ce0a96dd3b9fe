"""What a run leaves behind its test: predictions, pictures, hyper-parameters, the last lines."""

import shlex
import sys
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
from lightning.pytorch.loggers import TensorBoardLogger
from numpy.typing import NDArray

from facialnet.data.datamodule import FaceDataModule
from facialnet.entry import console
from facialnet.evaluation.figures import answers_figure
from facialnet.evaluation.results import results_table, write_predictions
from facialnet.labels import IGNORE
from facialnet.training.module import FaceModule


def write_outputs(
    folder: Path,
    trainer: L.Trainer,
    data: FaceDataModule,
    module: FaceModule,
    metrics: dict[str, float],
    settings: dict[str, Any],
) -> int:
    """Write predictions, a picture of test faces, and settings with scores to TensorBoard.

    Call it in every process: answers are gathered from all of them, files come from the first.
    Returns the number of images that were tested.
    """
    rows, probabilities = module.test_answers()
    if not trainer.is_global_zero:
        return len(rows)
    table = folder / "predictions.parquet"
    write_predictions(table, data.manifest, rows, probabilities, module.tasks)
    _draw_answers(folder / "pictures/test_faces.png", data, module, rows, probabilities)
    for logger in trainer.loggers:
        if isinstance(logger, TensorBoardLogger):
            final = {name: value for name, value in metrics.items() if name.startswith("test/")}
            logger.log_hyperparams(_compared(settings), final)
            logger.save()
    return len(rows)


def _compared(settings: dict[str, Any]) -> dict[str, Any]:
    """Return the settings that runs differ in, those that are tuned first."""
    first = ("optimizer.lr", "data.batch_size", "seed", "trainer.max_epochs", "trainer.precision")
    groups = (
        "optimizer",
        "scheduler",
        "loss",
        "model",
        "augment",
        "protocol",
        "tasks",
        "preprocess",
    )
    others = ("data.source._target_", "data.label_policy", "callbacks.ema.decay", "compile")
    chosen = {key: settings[key] for key in first}
    for key, value in settings.items():
        if key.split(".")[0] in groups or key in others:
            shown = str(value) if isinstance(value, list) else value
            chosen.setdefault(key.removesuffix("._target_"), shown)
    return chosen


def _draw_answers(
    path: Path,
    data: FaceDataModule,
    module: FaceModule,
    rows: NDArray[np.int64],
    probabilities: dict[str, NDArray[np.float32]],
    count: int = 24,
) -> None:
    """Draw some test faces, spread over the split, with the network's answers."""
    dataset = data.datasets["test"]
    chosen = [int(i) for i in np.linspace(0, len(rows) - 1, min(count, len(rows)))]
    positions = np.searchsorted(dataset.rows, rows[chosen])
    images = dataset.__getitems__([(0, int(i)) for i in positions])["images"]
    captions, right = [], []
    for row, position in zip(chosen, positions, strict=True):
        answers = {name: int(values[row].argmax()) for name, values in probabilities.items()}
        truths = {name: dataset.targets[name][position] for name in answers}
        captions.append(" ".join(module.tasks[name].classes[n] for name, n in answers.items()))
        right.append(all(truths[name] in (n, IGNORE) for name, n in answers.items()))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure = answers_figure(images.permute(0, 2, 3, 1).numpy(), captions, right)
    figure.savefig(path, dpi=110)


def majority_scores(data: FaceDataModule, module: FaceModule) -> dict[str, float]:
    """Return the test accuracy of always answering each task's most frequent training class."""
    scores = {}
    for name, task in module.tasks.items():
        targets = data.datasets["test"].targets[name]
        known = targets[targets != IGNORE]
        if len(known):
            most = np.argmax(data.class_counts(task))
            scores[f"test/{name}/majority"] = float(np.mean(known == most))
    return scores


def print_summary(folder: Path, results: dict[str, Any], module: FaceModule) -> None:
    """Print the test results, where they lie and the next command to type."""
    title = f"Test on {results['images_tested']:,} images, {results['protocol']}"
    console.print(results_table(results["metrics"], module.tasks, title))
    if results["leaky"]:
        console.print(f"LEAKY: test images seen in training: {results['shared_with_test']}")
    console.print(
        f"{results['parameters']:,} parameters, {results['images_per_second']} images/s in "
        f"training, {results['wall_seconds']:.0f} s in all"
    )
    console.print(f"results: {folder}")
    python = Path(sys.executable)
    shown = python.relative_to(Path.cwd()) if python.is_relative_to(Path.cwd()) else python
    console.print(f"next: {shown} -m tensorboard.main --logdir {shlex.quote(str(folder))}")
