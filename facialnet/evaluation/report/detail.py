"""What a report shows of one setup: curves, tables and charts of each task, pictures, settings."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from facialnet.evaluation.report.charts import (
    Curve,
    coverage_chart,
    curves_chart,
    reliability_chart,
)
from facialnet.evaluation.report.faces import Face, gallery
from facialnet.evaluation.report.facts import (
    command,
    cost_of,
    environment,
    leak_line,
    limits_of,
)
from facialnet.evaluation.report.measured import Measured
from facialnet.evaluation.runs import Run
from facialnet.labels import Task


@dataclass(frozen=True)
class TaskDetail:
    """One task's figures (an entry of metrics.json), its charts as SVG, and faces by kind."""

    task: Task
    figures: dict[str, Any]
    subgroups: dict[str, Any]
    reliability: str
    coverage: str
    faces: dict[str, list[Face]]


@dataclass(frozen=True)
class Picture:
    """A PNG as it stands on the page: its layer's name and its content in base64."""

    name: str
    png: str


@dataclass(frozen=True)
class Detail:
    """All that a report shows of one setup below the overview."""

    found: Measured
    run: Run
    curves: list[str]
    tasks: list[TaskDetail]
    feature_maps: list[Picture]
    cost: list[tuple[str, str]]
    environment: list[tuple[str, str]]
    reproduce: list[str]
    backbone: str
    leak_line: str
    limits: list[str]


def detail_of(found: Measured) -> Detail:
    """Draw and gather the details of a setup."""
    run = found.setup.done[0]
    tasks = []
    for name, task in found.setup.tasks.items():
        figures = found.metrics["tasks"].get(name)
        if figures is None or not figures["images"]:
            continue
        calibration = figures["calibration"]
        tasks.append(
            TaskDetail(
                task=task,
                figures=figures,
                subgroups=(found.metrics.get("subgroups") or {}).get(name, {}),
                reliability=reliability_chart(
                    calibration["reliability"], title=f"{name}: accuracy against confidence"
                ),
                coverage=coverage_chart(
                    calibration["risk_coverage"]["points"],
                    title=f"{name}: answering only when certain",
                ),
                faces=gallery(found.table, task, found.setup.done),
            )
        )
    return Detail(
        found=found,
        run=run,
        curves=training_curves(found.setup.done),
        tasks=tasks,
        feature_maps=_feature_maps(run.folder / "pictures"),
        cost=cost_of(found.setup.done),
        environment=environment(run.results),
        reproduce=[command(each) for each in found.setup.done],
        backbone=str(run.settings.get("model.backbone._target_", "")).rpartition(".")[2],
        leak_line=leak_line(run)[1],
        limits=limits_of(found),
    )


def training_curves(runs: Sequence[Run]) -> list[str]:
    """Draw loss, each task's accuracy, learning rate and gradient cosine, all runs in one chart."""
    tables = [run.epochs for run in runs if run.epochs is not None]
    if not tables:
        return []
    charts = [_training_and_validation(tables, "loss", "loss", percent=False)]
    for task in runs[0].tasks:
        charts.append(_training_and_validation(tables, f"{task}/accuracy", f"{task}: accuracy"))
    if rates := _curves(tables, "lr"):
        charts.append(curves_chart({"lr": rates}, title="learning rate"))
    pairs = [name for name in tables[0].columns if name.startswith("gradient_cosine")]
    if cosines := {name.rpartition("/")[2]: _curves(tables, name) for name in pairs}:
        charts.append(curves_chart(cosines, title="cosine between the tasks' gradients"))
    return [chart for chart in charts if chart]


def _training_and_validation(
    tables: Sequence[pd.DataFrame], score: str, title: str, *, percent: bool = True
) -> str:
    stages = {"validation": _curves(tables, f"val/{score}")}
    stages["training"] = _curves(tables, f"train/{score}")
    stages = {name: curves for name, curves in stages.items() if curves}
    return curves_chart(stages, title=title, percent=percent) if stages else ""


def _curves(tables: Sequence[pd.DataFrame], column: str) -> list[Curve]:
    """Return one curve for each table that has the column; epochs are counted from 1."""
    curves = []
    for table in tables:
        if column in table.columns:
            known = table[["epoch", column]].dropna()
            curves.append(((known["epoch"] + 1).tolist(), known[column].tolist()))
    return [curve for curve in curves if curve[0]]


def _feature_maps(folder: Path) -> list[Picture]:
    """Return the pictures of the layers in the order of the network: input first, kernels last."""

    def place(path: Path) -> tuple[int, int, str]:
        name = path.stem.removeprefix("feature_maps_")
        digits = "".join(filter(str.isdigit, name))
        return ({"input": 0, "kernels": 2}.get(name, 1), int(digits or 0), name)

    return [
        Picture(
            path.stem.removeprefix("feature_maps_"), base64.b64encode(path.read_bytes()).decode()
        )
        for path in sorted(folder.glob("feature_maps_*.png"), key=place)
    ]
