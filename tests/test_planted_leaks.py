"""Leaks planted on disk are found from the pictures and lists to the stamp on the result."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facialnet.data.leakage import find_leaks
from facialnet.data.preparation import prepare
from facialnet.data.protocol import OfficialFolds
from facialnet.data.sources.adience import AdienceSource
from facialnet.data.transforms import Preprocessing

COLUMN = {"person": "face_id", "album": "user_id", "photo": "original_image"}


def read_list(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    header, *lines = path.read_text().splitlines()
    names = header.split("\t")
    return names, [dict(zip(names, line.split("\t"), strict=True)) for line in lines]


def picture(root: Path, row: dict[str, str]) -> Path:
    name = f"landmark_aligned_face.{row['face_id']}.{row['original_image']}"
    return root / "aligned" / row["user_id"] / name


def sound(path: Path) -> bool:
    try:
        with Image.open(path) as image:
            image.load()
    except OSError:
        return False
    return True


def plant(root: Path, kind: str) -> None:
    """Append to fold 0 one new picture that has one thing in common with a picture of fold 1."""
    names, rows = read_list(root / "fold_1_data.txt")
    model = next(row for row in rows if sound(picture(root, row)) and row["gender"] in ("m", "f"))
    new = model | {"user_id": "planted@N00", "face_id": "99999", "original_image": "new.jpg"}
    if kind in COLUMN:
        new[COLUMN[kind]] = model[COLUMN[kind]]
    target = picture(root, new)
    target.parent.mkdir(parents=True, exist_ok=True)
    with Image.open(picture(root, model)) as image:
        if kind == "bytes":
            shutil.copy(picture(root, model), target)
        elif kind == "lookalike":
            width, height = image.size
            image.resize((width * 7 // 10, height * 7 // 10)).save(target, quality=40)
        else:  # a picture like no other
            noise = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(noise).resize(image.size, Image.Resampling.BICUBIC).save(target)
    with (root / "fold_0_data.txt").open("a") as file:
        file.write("\t".join(new[name] for name in names) + "\n")


@pytest.fixture
def tree(drawn_root, tmp_path):
    root = tmp_path / "tree"
    shutil.copytree(drawn_root, root)
    (root / "drawn.json").unlink()
    return root


@pytest.mark.parametrize("kind", [None, "person", "album", "photo", "bytes", "lookalike"])
def test_each_planted_leak_is_found_and_nothing_else(tree, tmp_path, kind):
    if kind is not None:
        plant(tree, kind)
    source = AdienceSource(root=str(tree), label_policy="nearest")
    prepared = prepare(
        source, Preprocessing(size=75), spec={}, folder=tmp_path / "prepared", max_missing=0.1
    )
    manifest = prepared.store.manifest
    leaks = find_leaks(manifest, OfficialFolds(val_share=0.05).split(manifest))
    found = {name: count for name, count in leaks.shared["test/seen"].items() if count}
    if kind is None:
        assert found == {}
        return
    assert found.pop("any") == 1
    assert found.pop("lookalike", 1) == 1  # the same bytes look the same, too
    assert found == ({} if kind == "lookalike" else {kind: 1})
    assert leaks.stamp.startswith("LEAKY: ")


def test_a_planted_copy_stamps_the_result(tree, cli, tmp_path):
    plant(tree, "lookalike")
    settings = [
        *("data=adience", f"data.root={tree}", "data.max_missing=0.1", "trainer=cpu"),
        *("+debug=fast", "callbacks.graph=null", "callbacks.feature_maps=null"),
        *("model=facialnet_bn", "data.batch_size=16", f"run_dir={tmp_path}/run"),
    ]
    ended = cli("train", *settings)
    assert ended.code == 0, ended.err
    results = json.loads((tmp_path / "run/results.json").read_text())
    assert "like an image seen in" in results["stamp"]
    for name in ("metrics.json", "results.json"):
        assert json.loads((tmp_path / "run" / name).read_text())["stamp"] == results["stamp"]
    assert f"WARNING: {results['stamp']}" in " ".join(ended.out.split())
