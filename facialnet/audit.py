"""Look for wrong labels and repeated pictures: `python -m facialnet.audit data=utkface`."""

import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from hydra.core.hydra_config import HydraConfig
from numpy.typing import NDArray
from omegaconf import DictConfig
from rich.table import Table

from facialnet import build
from facialnet.data.grouping import groups
from facialnet.data.store import Store
from facialnet.entry import check_overrides, console, run
from facialnet.errors import UserError
from facialnet.evaluation.audit.contact_sheet import copies_sheet, suspects_sheet
from facialnet.evaluation.audit.duplicate_groups import duplicate_groups
from facialnet.evaluation.audit.exclusion_list import exclusion_list
from facialnet.evaluation.audit.label_quality import (
    Judgement,
    codes_of,
    judge,
    mean_predictions,
    rare_classes,
)
from facialnet.evaluation.audit.quick_classifier import out_of_fold, picture_features
from facialnet.labels import Task
from facialnet.prepare import prepare_data
from facialnet.training.run_folder import read_results, write_json

_SUMMARY, _EXCLUDE = "audit.json", "exclude.csv"


def main(cfg: DictConfig) -> dict[str, Any]:
    """Judge every label by out-of-fold predictions, list the copies, and leave a folder of both.

    Returns the content of audit.json.
    """
    check_overrides("audit")
    threshold = cfg.audit.exclude_below
    if threshold is None or not 0 <= threshold <= 1:
        raise UserError(f"audit.exclude_below={threshold} must lie between 0 and 1")
    folder = Path(cfg.run_dir).absolute()
    if (folder / _SUMMARY).exists():
        raise UserError(f"{folder} holds an audit; choose another run_dir")
    prepared, _ = prepare_data(cfg)
    store = build.store_of(prepared)
    tasks = build.tasks(cfg)
    judgements, origin = _judgements(store, tasks, cfg.audit.predictions)
    manifest = store.manifest
    copies = duplicate_groups(manifest, groups(manifest, ("content", "lookalike")))
    suspects = _suspects(manifest, judgements)
    columns = [task.column for task in tasks.values()]
    excluded = exclusion_list(suspects, copies, columns, threshold)
    if cfg.data.exclude is not None:  # the new list takes the place of the one in use
        earlier = pd.read_csv(Path(cfg.data.exclude).expanduser(), dtype="str")[
            list(excluded.columns)
        ]
        excluded = pd.concat([earlier, excluded], ignore_index=True)
    summary = _summary(prepared.audit, judgements, origin, copies, excluded, threshold)
    folder.mkdir(parents=True, exist_ok=True)
    suspects.drop(columns="row").to_csv(folder / "suspects.csv", index=False, float_format="%.6g")
    copies.drop(columns="row").to_csv(folder / "duplicates.csv", index=False)
    excluded.to_csv(folder / _EXCLUDE, index=False)
    suspects_sheet(judgements, store.pixels).save(folder / "contact_sheet.png")
    if len(copies):
        copies_sheet(copies, store.pixels).save(folder / "duplicates.png")
    write_json(summary, folder / _SUMMARY)
    _print(summary, folder)
    return summary


def _judgements(
    store: Store, tasks: dict[str, Task], predictions: str | None
) -> tuple[list[Judgement], str]:
    """Return every task's judgement, and in a sentence who judged."""
    manifest = store.manifest
    found = []
    if predictions is not None:
        tables = _predictions(Path(predictions).expanduser())
        alone = np.arange(len(manifest))
        for task in tasks.values():
            codes = codes_of(manifest, task)
            answers = mean_predictions(tables, manifest["path"], task)
            found.append(judge(task, codes, answers, rare_classes(codes, alone, task)))
        return found, f"judged by the test predictions of {len(tables)} runs below {predictions}"
    together = groups(manifest)
    with console.status("a quick classifier judges every picture by the others"):
        features = picture_features(store.pixels, len(store))
        for task in tasks.values():
            codes = codes_of(manifest, task)
            rare = rare_classes(codes, together, task)
            answers = _quick_answers(features, codes, together, task, list(rare))
            found.append(judge(task, codes, answers, rare))
    return found, (
        "judged by a quick classifier, which misses what a trained network finds; better: "
        "audit.predictions=FOLDER of a k-fold sweep (protocol=kfold)"
    )


def _quick_answers(
    features: NDArray[np.float64],
    codes: NDArray[np.int64],
    together: NDArray[np.int64],
    task: Task,
    rare: list[str],
) -> NDArray[np.float64]:
    kept = [number for number, name in enumerate(task.classes) if name not in rare]
    rows = np.flatnonzero(np.isin(codes, kept))
    answers = np.full((len(codes), len(task.classes)), np.nan)
    if len(rows):
        found = out_of_fold(features[rows], codes[rows], together[rows])
        answers[rows] = 0
        answers[np.ix_(rows, np.arange(found.shape[1]))] = found
    return answers


def _predictions(folder: Path) -> list[pd.DataFrame]:
    """Read all predictions at or below a folder; say where a run was leaky."""
    paths = sorted(folder.rglob("predictions.parquet")) if folder.is_dir() else []
    if not paths:
        raise UserError(
            f"audit.predictions={folder}: there is no predictions.parquet in it or below; name the "
            "folder of a run or a sweep that has ended"
        )
    for path in paths:
        if stamp := (read_results(path.parent) or {}).get("stamp"):
            console.print(f"{path.parent.name}: {stamp}; what was seen hides its wrong labels")
    return [pd.read_parquet(path) for path in paths]


def _suspects(manifest: pd.DataFrame, judgements: list[Judgement]) -> pd.DataFrame:
    """Return all tasks' suspects with path and content of their files."""
    table = pd.concat([each.suspects for each in judgements], ignore_index=True)
    files = manifest.reindex(columns=["path", "content"]).iloc[table["row"].to_numpy(np.int64)]
    return pd.concat([files.reset_index(drop=True), table], axis=1)


def _summary(
    audit: dict[str, Any],
    judgements: list[Judgement],
    origin: str,
    copies: pd.DataFrame,
    excluded: pd.DataFrame,
    threshold: float,
) -> dict[str, Any]:
    per_group = copies.groupby("group").first()
    return {
        "data": audit["data"],
        "licence": audit["licence"],
        "images": audit["kept"],
        "notes": audit["notes"],
        "origin": origin,
        "tasks": {
            each.task.name: {
                "judged": each.judged,
                "accuracy": None if np.isnan(each.accuracy) else each.accuracy,
                "majority": None if np.isnan(each.majority) else each.majority,
                "likely_another": len(each.suspects),
                "issues": int(each.suspects["issue"].sum()),
                "rare_classes": each.rare,
                "without_prediction": each.unanswered,
            }
            for each in judgements
        },
        "duplicates": {
            "groups": len(per_group),
            "images": len(copies),
            "identical": int((per_group["kind"] == "identical").sum()),
            "look_alike": int((per_group["kind"] == "look-alike").sum()),
            "conflicting": int((per_group["conflict"] != "").sum()),
        },
        "exclude_below": threshold,
        "excluded": len(excluded),
    }


def _print(summary: dict[str, Any], folder: Path) -> None:
    table = Table(title=f"Labels of {summary['data']}", title_justify="left")
    table.add_column("task")
    for name in (
        "judged",
        "judge's accuracy",
        "majority class",
        "another is likelier",
        "cleanlab issues",
    ):
        table.add_column(name, justify="right")
    for name, task in summary["tasks"].items():
        shares = ["" if task[k] is None else f"{task[k]:.3f}" for k in ("accuracy", "majority")]
        counts = [f"{task[key]:,}" for key in ("judged", "likely_another", "issues")]
        table.add_row(name, counts[0], *shares, *counts[1:])
    console.print(table)
    console.print(summary["origin"])
    for name, task in summary["tasks"].items():
        for label, count in task["rare_classes"].items():
            console.print(f"{name}: {label} was left out, {count} images are too few to judge")
        if task["without_prediction"]:
            console.print(f"{name}: {task['without_prediction']:,} labelled images were not judged")
    for note in summary["notes"]:
        console.print(note)
    copies = summary["duplicates"]
    console.print(
        f"{copies['groups']:,} groups of copies ({copies['identical']:,} identical, "
        f"{copies['look_alike']:,} look-alike) of {copies['images']:,} images; labels disagree in "
        f"{copies['conflicting']:,}"
    )
    console.print(f"audit: {folder}")
    console.print(
        f"look at {folder / 'contact_sheet.png'} and strike from {_EXCLUDE} what is right"
    )
    words = [
        word
        for word in HydraConfig.get().overrides.task
        if not word.startswith(("audit.", "run_dir=", "tasks=", "data.exclude="))
    ]
    words.append(f"data.exclude={folder / _EXCLUDE}")
    console.print(f"next: python -m facialnet.prepare {' '.join(map(shlex.quote, words))}")


if __name__ == "__main__":
    run(main, "audit")
