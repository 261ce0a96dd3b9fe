"""What a run leaves behind its test: predictions, measures, faces, calibration, the last lines."""

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pandas as pd
from lightning.pytorch.loggers import TensorBoardLogger
from numpy.typing import NDArray
from PIL import Image

from facialnet.data.datamodule import FaceDataModule
from facialnet.entry import console
from facialnet.evaluation.answers import answers_of
from facialnet.evaluation.calibration import fit_calibration, tempered
from facialnet.evaluation.figures import answers_figure
from facialnet.evaluation.gallery import choose_faces
from facialnet.evaluation.measure import measure
from facialnet.evaluation.results import predictions_table, results_table, write_predictions
from facialnet.labels import IGNORE
from facialnet.models.cost import measure_cost
from facialnet.training.module import FaceModule
from facialnet.training.run_folder import METRICS, write_json
from facialnet.training.wandb_run import WandbRun

Calibration = dict[str, dict[str, Any]]


def calibrate(
    trainer: L.Trainer, module: FaceModule, data: FaceDataModule, checkpoint: str | None
) -> Calibration:
    """Fit every task's calibration on the validation images, as answered by a checkpoint.

    Call it in every process. A task without a validation label is left out.
    """
    trainer.predict(module, datamodule=data, ckpt_path=checkpoint, return_predictions=False)
    rows, probabilities = module.answers()
    table = predictions_table(data.manifest, rows, probabilities, module.tasks)
    labelled = [task for name, task in module.tasks.items() if table[f"{name}_true"].notna().any()]
    return {task.name: fit_calibration(answers_of(table, task)) for task in labelled}


def write_outputs(
    folder: Path,
    trainer: L.Trainer,
    data: FaceDataModule,
    module: FaceModule,
    calibration: Calibration,
    results: Mapping[str, Any],
) -> dict[str, Any]:
    """Write predictions, measures and faces of the test; return the measures (see ``measure``).

    Probabilities are the calibrated ones; the measures name the protocol and its stamp. Call it in
    every process: answers are gathered from all of them, files come from the first, and the others
    get an empty result.
    """
    rows, raw = module.answers()
    if not trainer.is_global_zero:
        return {}
    probabilities = {
        name: tempered(values, calibration[name]["temperature"]) if name in calibration else values
        for name, values in raw.items()
    }
    table = predictions_table(data.manifest, rows, probabilities, module.tasks)
    write_predictions(table, folder / "predictions.parquet")
    about = {name: results[name] for name in ("data", "protocol", "stamp")}
    measured = about | measure(table, module.tasks, calibration)
    write_json(measured, folder / METRICS)
    _draw_answers(folder / "pictures/test_faces.png", data, module, table)
    _write_gallery(folder / "gallery", data, module, table)
    return measured


def log_settings(trainer: L.Trainer, settings: Mapping[str, Any]) -> None:
    """Tell the loggers all settings; TensorBoard gets those that are compared, with the scores."""
    for logger in trainer.loggers:
        if not isinstance(logger, TensorBoardLogger):
            logger.log_hyperparams(dict(settings))


def log_hyperparameters(
    trainer: L.Trainer, metrics: Mapping[str, float], settings: Mapping[str, Any]
) -> None:
    """Put settings with test scores into TensorBoard."""
    for logger in trainer.loggers:
        if isinstance(logger, TensorBoardLogger):
            final = {name: value for name, value in metrics.items() if name.startswith("test/")}
            logger.log_hyperparams(_compared(settings), final)
            logger.save()


def end_logging(trainer: L.Trainer, *, failed: bool) -> None:
    """End the run at Weights & Biases: the next job of a sweep begins one of its own."""
    for logger in trainer.loggers:
        if isinstance(logger, WandbRun):
            logger.finish(failed=failed)


def _compared(settings: Mapping[str, Any]) -> dict[str, Any]:
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
        "views",
    )
    others = (
        "data.source._target_",
        "data.label_policy",
        "callbacks.ema.decay",
        "compile",
        "init_from",
        "backbone_lr",
        "mixup",
    )
    chosen = {key: settings[key] for key in first}
    for key, value in settings.items():
        if key.split(".")[0] in groups or key in others:
            shown = str(value) if isinstance(value, list) else value
            chosen.setdefault(key.removesuffix("._target_"), shown)
    return chosen


def _faces(data: FaceDataModule, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Return what the network saw of some tested rows: uint8 [N, H, W, C]."""
    dataset = data.datasets["test"]
    positions = np.searchsorted(dataset.rows, rows)
    images = dataset.__getitems__([(0, int(i)) for i in positions])["images"]
    return np.asarray(images.permute(0, 2, 3, 1).numpy(), np.uint8)


def _draw_answers(
    path: Path, data: FaceDataModule, module: FaceModule, table: pd.DataFrame, count: int = 24
) -> None:
    """Draw some test faces, spread over the split, with the network's answers."""
    chosen = table.iloc[np.linspace(0, len(table) - 1, min(count, len(table))).astype(int)]
    captions, right = [], []
    for _, row in chosen.iterrows():
        captions.append(" ".join(row[f"{name}_predicted"] for name in module.tasks))
        right.append(
            all(
                pd.isna(row[f"{name}_true"]) or row[f"{name}_true"] == row[f"{name}_predicted"]
                for name in module.tasks
            )
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    figure = answers_figure(_faces(data, chosen["row"].to_numpy()), captions, right)
    figure.savefig(path, dpi=110)


def _write_gallery(
    folder: Path, data: FaceDataModule, module: FaceModule, table: pd.DataFrame
) -> None:
    """Save the faces that a report shows as ``<row>.png``; see choose_faces."""
    chosen: set[int] = set()
    for task in module.tasks.values():
        for places in choose_faces(table, task).values():
            chosen |= {int(table["row"].iloc[place]) for place in places}
    folder.mkdir(parents=True, exist_ok=True)
    rows = np.array(sorted(chosen), np.int64)
    for row, face in zip(rows, _faces(data, rows) if len(rows) else [], strict=True):
        Image.fromarray(face.squeeze()).save(folder / f"{row}.png")


def majority_scores(data: FaceDataModule, module: FaceModule) -> dict[str, float]:
    """Return the test accuracy of always answering each task's most frequent training class.

    Nothing for a task without training or test labels.
    """
    scores = {}
    for name, task in module.tasks.items():
        targets = data.datasets["test"].targets[name]
        known, counts = targets[targets != IGNORE], data.class_counts(task)
        if len(known) and sum(counts):
            scores[f"test/{name}/majority"] = float(np.mean(known == np.argmax(counts)))
    return scores


def network_cost(module: FaceModule, data: FaceDataModule) -> dict[str, int | float]:
    """Return what one face costs the network; see measure_cost."""
    channels, height, width = data.datasets["test"][(0, 0)]["images"].shape[1:]
    return measure_cost(module.network, (channels, height, width))


def print_results(measured: Mapping[str, Any], results: Mapping[str, Any], title: str) -> None:
    """Print the table of the test, what its intervals rest on, and what the paper says."""
    scores = results["metrics"]
    majority = {name: scores.get(f"test/{name}/majority") for name in measured["tasks"]}
    console.print(results_table(measured, majority, title))
    units = {task["clustered_on"] for task in measured["tasks"].values() if task["images"]}
    if units != {"people"}:
        console.print(
            f"intervals take {' and '.join(sorted(units))} as independent: the data set does not "
            "say who is who"
        )
    if claim := results.get("claim"):
        figures = ", ".join(
            f"{name} {claim[name]:.3f}"
            for name in (*measured["tasks"], "one_off")
            if claim.get(name) is not None
        )
        console.print(f"claimed by {claim['source']}: {figures}; split: {claim['protocol']}")
    if results["stamp"]:
        console.print(results["stamp"], style="bold red")
    elif results["leaks"] is None:
        console.print("not compared with the training images: they are of another data set")


def print_summary(folder: Path, results: Mapping[str, Any], measured: Mapping[str, Any]) -> None:
    """Print the test results, where they lie and the next command to type."""
    title = f"Test on {results['images_tested']:,} images, {results['protocol']}"
    print_results(measured, results, title)
    cost = results["cost"]
    console.print(
        f"{cost['parameters']:,} parameters, {cost['multiply_adds'] / 1e6:,.0f} M multiply-adds, "
        f"{cost['latency_ms']:.1f} ms an image on one CPU thread; "
        f"{results['images_per_second']} images/s in training, "
        f"{results['wall_seconds']:.0f} s in all"
    )
    console.print(f"results: {folder}")


def print_next(module: str, folder: Path) -> None:
    """Print the next command, ready to be pasted."""
    python = Path(sys.executable)
    shown = python.relative_to(Path.cwd()) if python.is_relative_to(Path.cwd()) else python
    console.print(f"next: {shown} -m {module} {shlex.quote(str(folder))}")
