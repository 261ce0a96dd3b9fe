"""Who may import whom, read from the source; see the design: data flows one way."""

import ast
from pathlib import Path

import pytest

import facialnet

PACKAGE = Path(facialnet.__file__).parent
ENTRY_POINTS = {
    *("train", "prepare", "audit", "evaluate", "predict", "report", "results", "export", "app"),
    "explain",
}
KNOWS_HYDRA = ENTRY_POINTS | {
    *("build", "build_card", "build_faces", "instantiation", "entry", "job", "launch", "sweep_job")
}
# Part of the package: what it may import of the package.
MAY_IMPORT = {
    "errors": set(),
    "labels": {"errors"},
    "data": {"data", "labels", "errors"},
    "models": {"models", "labels", "errors"},
    "explanation": {"explanation", "models", "evaluation", "labels", "errors"},
    "training": {"training", "models", "explanation", "evaluation", "labels", "errors"},
    "tuning": {"tuning", "training", "errors"},
    "evaluation": {"evaluation", "labels", "errors"},
    "inference": {
        *("inference", "data", "models", "training", "evaluation", "explanation"),
        *("labels", "errors"),
    },
}


def imports_of(source: str, module: str, *, is_package: bool) -> set[str]:
    """Full names of all that a module imports, also inside functions."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = module.split(".")
                keep = len(parents) - node.level + is_package
                base = ".".join([*parents[:keep], *([base] if base else [])])
            # `from facialnet import build` imports the module build
            found |= {f"{base}.{alias.name}" for alias in node.names}
    return found


def read_package() -> dict[str, set[str]]:
    """Every module's name without the package's, and what it imports."""
    modules = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        is_package = parts[-1] == "__init__"
        name = ".".join(parts[:-1] if is_package else parts)
        modules[name] = imports_of(path.read_text(), name, is_package=is_package)
    return modules


MODULES = read_package()
NAMES = sorted(name.partition(".")[2] for name in MODULES if "." in name)


def own_parts(module: str) -> set[str]:
    """Parts of the package that a module imports: `data` for facialnet.data.store."""
    imported = [name.split(".") for name in MODULES[f"facialnet.{module}"]]
    return {name[1] for name in imported if name[0] == "facialnet" and len(name) > 1}


def foreign(module: str) -> set[str]:
    """Libraries that a module imports."""
    return {name.split(".")[0] for name in MODULES[f"facialnet.{module}"]} - {"facialnet"}


def test_the_reading_finds_every_form_of_import():
    source = """
import facialnet.data.store
import torch.nn as nn, hydra
from facialnet import build, train
from facialnet.data import store as s
from . import decode
from .. import labels
def later():
    from ..models.heads import MLPHead
"""
    for module, is_package in (("facialnet.data.x", False), ("facialnet.data", True)):
        assert imports_of(source, module, is_package=is_package) == {
            "facialnet.data.store",
            "torch.nn",
            "hydra",
            "facialnet.build",
            "facialnet.train",
            "facialnet.data.decode",
            "facialnet.labels",
            "facialnet.models.heads.MLPHead",
        }


def test_the_whole_package_is_read():
    parts = {name.split(".")[0] for name in NAMES}
    assert parts >= {*MAY_IMPORT, "build", "entry", "train", "prepare", "evaluate"}
    assert own_parts("data.store") == {"data", "errors"}
    assert "albumentations" in foreign("data.transforms")
    assert "hydra" in foreign("build")


@pytest.mark.parametrize("part", MAY_IMPORT)
def test_parts_import_only_what_they_may(part):
    modules = [name for name in NAMES if name.split(".")[0] == part]
    assert modules
    wrong = {name: own_parts(name) - MAY_IMPORT[part] for name in modules}
    assert {name: parts for name, parts in wrong.items() if parts} == {}


def test_evaluation_needs_no_torch():
    wrong = {"torch", "torchvision", "lightning", "torchmetrics", "tensorboard"}
    modules = [name for name in NAMES if name.split(".")[0] in ("evaluation", "labels", "errors")]
    assert {name for name in modules if foreign(name) & wrong} == set()


def test_hydra_stays_at_the_rim():
    found = {name for name in NAMES if foreign(name) & {"hydra", "omegaconf"}}
    assert {name.split(".")[0] for name in found} <= KNOWS_HYDRA


def test_nothing_imports_an_entry_point():
    # for prepare_data alone
    allowed = {("train", "prepare"), ("evaluate", "prepare"), ("audit", "prepare")}
    found = {(name, part) for name in NAMES for part in own_parts(name) & ENTRY_POINTS}
    assert found <= allowed
    for name, _ in found:
        assert {
            imported
            for imported in MODULES[f"facialnet.{name}"]
            if imported.startswith("facialnet.prepare")
        } == {"facialnet.prepare.prepare_data"}


def test_one_file_knows_albumentations():
    assert {name for name in NAMES if foreign(name) & {"albumentations", "albucore"}} == {
        "data.transforms"
    }


def test_importing_the_package_alone_imports_nothing_heavy():
    imported = {name.split(".")[0] for name in MODULES["facialnet"]}
    assert not imported & {"torch", "lightning", "hydra", "omegaconf", "albumentations"}
