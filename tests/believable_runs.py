"""Run folders as training leaves them, with made-up answers: what reports are tested on."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from PIL import Image, ImageDraw

from facialnet.evaluation.answers import answers_of
from facialnet.evaluation.gallery import choose_faces
from facialnet.evaluation.intervals import intervals
from facialnet.evaluation.measure import measure
from facialnet.evaluation.results import predictions_table, write_predictions
from facialnet.labels import AGE_GROUPS, GENDERS, RACES, Task

GENDER = Task("gender", "gender", GENDERS)
AGE = Task("age", "age_group", AGE_GROUPS, ordinal=True)
CLAIM = {
    "source": "FacialNet, Table 5",
    "protocol": "not stated",
    "gender": 0.942,
    "age": 0.728,
    "one_off": None,
}
STAMP = "LEAKY: 95.2 % of the test images show a person seen in training (albums 60.0 %)"
PROTOCOLS = {
    "official": ("facialnet.data.protocol.OfficialFolds", "official fold {fold}"),
    "random_image": (
        "facialnet.data.published_protocols.RandomImage",
        "random images 80/20 seed 0",
    ),
    "holdout": ("facialnet.data.protocol.Holdout", "holdout seed 0"),
}


def faces(images: int = 1500, *, people: int = 120, folds: int = 5, seed: int = 0) -> pd.DataFrame:
    """Return a manifest whose people have very different numbers of images, all in one fold."""
    rng = np.random.default_rng(seed)
    share = rng.pareto(1.2, people) + 0.2
    who = rng.choice(people, images, p=share / share.sum())
    gender = rng.choice(GENDERS, people)
    age = rng.choice(len(AGE_GROUPS), people, p=[0.13, 0.12, 0.12, 0.09, 0.3, 0.14, 0.05, 0.05])
    race = rng.choice(RACES, people, p=[0.6, 0.15, 0.15, 0.07, 0.03])
    table = pd.DataFrame(
        {
            "path": [f"person_{person}/image_{n}.jpg" for n, person in enumerate(who)],
            "source": "adience",
            "subject": [f"p{person}" for person in who],
            "album": [f"a{person % 60}" for person in who],
            "photo": [f"f{n}" for n in range(images)],
            "fold": who % folds,
            "gender": gender[who],
            "age_group": np.array(AGE_GROUPS)[age[who]],
            "age_years": pd.array([pd.NA] * images, dtype="Float64"),
            "race": race[who],
        }
    )
    table.loc[rng.random(images) < 0.05, "age_group"] = None
    return table


def make_run(
    folder: Path,
    manifest: pd.DataFrame,
    *,
    fold: int | None = 0,
    seed: int = 0,
    tasks: Mapping[str, Task] | None = None,
    skill: float = 1.0,
    protocol: str = "official",
    stamp: str | None = None,
    status: str = "done",
    validation: float | None = None,
    settings: Mapping[str, Any] | None = None,
    results: Mapping[str, Any] | None = None,
    resamples: int = 100,
    bare: bool = False,
    plain: bool = False,
) -> Path:
    """Write a run folder.

    ``status="unfinished"`` leaves out its results, ``bare`` measures and pictures, which take time,
    ``plain`` all measures but scores. A pruned or failed one leaves its last validation accuracy,
    if it has one.
    """
    tasks = {"gender": GENDER, "age": AGE} if tasks is None else tasks
    rows = np.arange(len(manifest))
    if fold is not None:
        rows = rows[manifest["fold"].to_numpy() == fold]
    elif protocol != "official":
        rows = np.random.default_rng(5).permutation(len(manifest))[: len(manifest) // 5]
        rows.sort()
    folder.mkdir(parents=True)
    _write_config(folder, fold, seed, tasks, protocol, settings or {})
    if status == "unfinished":
        return folder
    facts = _facts(manifest, rows, fold, seed, protocol, stamp) | {"status": status}
    if status == "done":
        table = predictions_table(
            manifest, rows, _answers(manifest, rows, tasks, skill, seed), tasks
        )
        write_predictions(table, folder / "predictions.parquet")
        calibration = {
            name: {"temperature": 1.3, "images": 900, "people": 80, "conformal": {"0.9": 0.93}}
            for name in tasks
        }
        facts["calibration"] = calibration
        measured = {"images": len(table), "tasks": {}}
        if plain:
            measured["tasks"] = {name: _scores(table, task) for name, task in tasks.items()}
            _write_epochs(folder / "epochs.csv", tasks, seed)
        elif not bare:
            measured = measure(table, tasks, calibration, resamples=resamples)
            _draw_pictures(folder, table, tasks)
            _write_epochs(folder / "epochs.csv", tasks, seed + 10 * (fold or 0))
        (folder / "metrics.json").write_text(json.dumps(measured))
        facts["metrics"] = {
            f"test/{name}/majority": 0.53 if name == "gender" else 0.3 for name in tasks
        }
    if validation is not None:
        facts["metrics"] |= {"val/accuracy": validation}
    facts |= results or {}
    (folder / "results.json").write_text(json.dumps(facts, indent=2))
    return folder


def make_folds(sweep: Path, manifest: pd.DataFrame, folds: Any = range(5), **about: Any) -> Path:
    """Write a sweep over folds."""
    for fold in folds:
        make_run(sweep / f"protocol.test_fold-{fold}", manifest, fold=fold, **about)
    return sweep


def make_search(
    sweep: Path, manifest: pd.DataFrame, trials: int = 12, *, seed: int = 0, **about: Any
) -> Path:
    """Write a search over four settings: rates over decades, shares, widths, and one of two losses.

    Trial 3 failed without a score, every fifth one was pruned. The rate matters most.
    """
    rng = np.random.default_rng(seed)
    for number in range(trials):
        rate = float(10 ** rng.uniform(-4, -1))
        dropout = float(rng.choice([0.0, 0.2, 0.5]))
        widths = [[256, 128], [512, 256], [1024, 512, 256]][int(rng.integers(3))]
        reached = 0.86 - 0.09 * (np.log10(rate) + 2.5) ** 2 - 0.04 * dropout + rng.normal(0, 0.004)
        status = "failed" if number == 3 else "pruned" if number % 5 == 4 else "done"
        make_run(
            sweep / f"{number}",
            manifest,
            status=status,
            skill=float(2 * reached),
            validation=None if status == "failed" else float(reached),
            settings={
                "optimizer.lr": rate,
                "data.batch_size": int(rng.choice([16, 32, 64])),
                "tasks.gender.head.hidden": widths,
                "tasks.gender.head.dropout": dropout,
            },
            results={"error": "no memory\nleft"} if status == "failed" else {},
            **about,
        )
    return sweep


def make_system(
    folder: Path,
    manifest: pd.DataFrame,
    name: str,
    *,
    backbone: str = "facialnet.models.FacialNet",
    multiply_adds: float = 174.6e6,
    settings: Mapping[str, Any] | None = None,
    results: Mapping[str, Any] | None = None,
    **about: Any,
) -> Path:
    """Write the run of one system of a sweep over systems, on a random fifth of the images."""
    given = {"fold": None, "protocol": "holdout", "validation": 0.7, "plain": True} | about
    return make_run(
        folder / f"system-{name}",
        manifest,
        settings={
            "name": "compare",
            "claim": None,
            "model.backbone._target_": backbone,
            "preprocess": {"size": 75, "channels": 1},
            **(settings or {}),
        },
        results={
            "name": "compare",
            "claim": None,
            "overrides": ["+experiment=compare", f"+system={name}"],
            "machine": {"cores": 2, "gpu": None},
            "cost": {
                "parameters": int(multiply_adds / 40),
                "multiply_adds": int(multiply_adds),
                "latency_ms": multiply_adds / 3e7,
                "weights_mb": multiply_adds / 1e7,
            },
            **(results or {}),
        },
        **given,
    )


def _answers(
    manifest: pd.DataFrame,
    rows: np.ndarray,
    tasks: Mapping[str, Task],
    skill: float,
    seed: int,
) -> dict[str, np.ndarray]:
    """Return probabilities that are easier to get right for some people than for others."""
    rng = np.random.default_rng([seed, len(rows)])
    chosen = manifest.iloc[rows]
    people = pd.factorize(chosen["path"].str.partition("/")[0])[0]
    answers = {}
    for name, task in tasks.items():
        truth = pd.Categorical(chosen[task.column], categories=list(task.classes)).codes
        ease = skill * (1.6 + rng.normal(0, 1.0, people.max() + 1))[people]
        distance = np.abs(np.arange(len(task.classes)) - truth[:, None])
        logits = -ease[:, None] * (distance if task.ordinal else 1.0 * (distance > 0))
        logits = logits + rng.normal(0, 1.2, logits.shape)
        values = np.exp(logits)
        answers[name] = (values / values.sum(1, keepdims=True)).astype(np.float32)
    return answers


def _scores(table: pd.DataFrame, task: Task) -> dict[str, Any]:
    answers = answers_of(table, task)
    return {
        "images": len(answers.truth),
        "people": len(np.unique(answers.people)),
        "clustered_on": answers.clustered_on,
        "scores": {name: found.plain() for name, found in intervals(answers).items()},
    }


def _write_config(
    folder: Path,
    fold: int | None,
    seed: int,
    tasks: Mapping[str, Task],
    protocol: str,
    settings: Mapping[str, Any],
) -> None:
    config: dict[str, Any] = {
        "name": "adience_aug",
        "seed": seed,
        "run_dir": str(folder),
        "sweep_name": folder.parent.name,
        "paths": {"outputs": "outputs"},
        "data": {
            "root": "data/adience",
            "label_policy": "nearest",
            "source": {
                "_target_": "facialnet.data.sources.adience.AdienceSource",
                "label_policy": "nearest",
            },
        },
        "protocol": {"_target_": PROTOCOLS[protocol][0], "val_share": 0.1, "seed": 0},
        "tasks": {
            name: {
                "column": task.column,
                "classes": list(task.classes),
                "ordinal": task.ordinal,
                "weight": 1.0,
            }
            for name, task in tasks.items()
        },
        "model": {"init": "he", "backbone": {"_target_": "facialnet.models.FacialNet", "size": 75}},
        "optimizer": {"_target_": "torch.optim.AdamW", "lr": 0.002},
        "trainer": {"max_epochs": 12, "accelerator": "cpu"},
        "callbacks": {"best": {"dirpath": str(folder / "checkpoints")}, "ema": None},
    }
    if fold is not None:
        config["protocol"]["test_fold"] = fold
    for key, value in settings.items():
        *parents, last = key.split(".")
        group = config
        for parent in parents:
            group = group.setdefault(parent, {})
        group[last] = value
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))


def _facts(
    manifest: pd.DataFrame,
    rows: np.ndarray,
    fold: int | None,
    seed: int,
    protocol: str,
    stamp: str | None,
) -> dict[str, Any]:
    rest = len(manifest) - len(rows)
    sizes = {"train": rest - rest // 10, "val": rest // 10, "test": len(rows)}
    seen = round(0.952 * len(rows)) if stamp else 0
    kinds = {"person": seen, "album": seen // 2, "photo": 0, "bytes": 0, "lookalike": None}
    return {
        "name": "adience_aug",
        "metrics": {},
        "protocol": PROTOCOLS[protocol][1].format(fold=fold),
        "leaky": stamp is not None,
        "stamp": stamp,
        "leaks": {"sizes": sizes, "shared": {"test/seen": {**kinds, "any": seen}}},
        "images": sizes,
        "claim": CLAIM,
        "seed": seed,
        "fold": fold,
        "data": "adience",
        "licence": "research only; photographs from Flickr, rights with their owners",
        "store": "0123456789abcdef",
        "devices": 1,
        "precision": "32-true",
        "images_per_second": 398.2,
        "wall_seconds": 1834.0,
        "overrides": ["+experiment=adience_aug", "data.root=data/adience"]
        + ([] if fold is None else [f"protocol.test_fold={fold}"]),
        "cost": {
            "parameters": 4_161_002,
            "multiply_adds": 174_600_000,
            "latency_ms": 6.4,
            "latency_threads": 1,
            "weights_mb": 16.6,
        },
        "calibration": {},
        "git_revision": "3902d20aa3902d20aa3902d20aa3902d20aa3902d+",
        "python": "3.11.7",
        "packages": {"facialnet": "0.1.0", "torch": "2.14.1", "numpy": "2.4.6"},
        "ended": "2026-11-21T23:23:50+00:00",
    }


def _draw_pictures(folder: Path, table: pd.DataFrame, tasks: Mapping[str, Task]) -> None:
    for name in ("pictures", "gallery"):
        (folder / name).mkdir()
    for layer in ("input", "conv1", "conv2", "conv10", "kernels"):
        noise = np.random.default_rng(0).integers(0, 255, (60, 300), dtype=np.uint8)
        Image.fromarray(noise).save(folder / "pictures" / f"feature_maps_{layer}.png")
    for task in tasks.values():
        for places in choose_faces(table, task).values():
            for place in places:
                row = int(table["row"].iloc[place])
                face = Image.new("L", (75, 75), 40 + row % 60)
                draw = ImageDraw.Draw(face)
                draw.ellipse((14, 6, 61, 70), fill=170 + row % 60)
                draw.ellipse((25, 28, 31, 34), fill=20)
                draw.ellipse((44, 28, 50, 34), fill=20)
                draw.arc((27, 40, 48, 58), 20, 160, fill=40, width=2)
                face.save(folder / "gallery" / f"{row}.png")


def _write_epochs(path: Path, tasks: Mapping[str, Task], seed: int, epochs: int = 12) -> None:
    rng = np.random.default_rng(seed)
    rows = []
    for epoch in range(epochs):
        learnt = 1 - np.exp(-(epoch + 1) / 4)
        row = {"epoch": epoch, "lr": 0.002 * 0.5 * (1 + np.cos(np.pi * epoch / epochs))}
        for stage, worse in (("train", 0.0), ("val", 0.05)):
            row[f"{stage}/loss"] = 2.8 - 1.7 * learnt + 4 * worse * learnt + rng.normal(0, 0.02)
            for name, top in zip(tasks, (0.92, 0.6), strict=False):
                row[f"{stage}/{name}/accuracy"] = top * learnt - worse + rng.normal(0, 0.01)
        row["gradient_cosine/gender_age"] = 0.2 - 0.1 * learnt + rng.normal(0, 0.02)
        rows.append(row)
    pd.DataFrame(rows).to_csv(path, index=False)
