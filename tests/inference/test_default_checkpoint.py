"""The checkpoint that comes with facialnet, and the ten drawn faces to try it on."""

import csv
import json
import re
import socket
import tarfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from facialnet.data.drawn.face import draw_face
from facialnet.data.drawn.people import make_person
from facialnet.data.drawn.shot import make_shot
from facialnet.inference.predictor import DEFAULT_CHECKPOINT
from facialnet.labels import AGE_GROUPS
from facialnet.training.checkpoint import read_checkpoint

TEN = Path(__file__).parents[2] / "docs" / "ten_faces"


def ten():
    with (TEN / "labels.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_photo_is_answered_without_a_network_right_after_the_set_up(cli, monkeypatch, tmp_path):
    def refuse(*_):
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    ended = cli("predict", str(TEN), "--output", "answers.jsonl")
    assert ended.code == 0, ended.err
    rows = [json.loads(line) for line in (tmp_path / "answers.jsonl").read_text().splitlines()]
    assert [Path(row["path"]).name for row in rows] == [row["path"] for row in ten()]
    for row in rows:
        (face,) = row["faces"]
        assert face["detection"] > 0.9
        assert set(face["age"]["probabilities"]) == set(AGE_GROUPS)


def test_it_says_what_it_is_and_nothing_of_where_it_was_made():
    card = read_checkpoint(DEFAULT_CHECKPOINT).card
    assert card["stamp"] is None
    assert len(card["layout"]) == 5
    assert set(card["calibration"]) == {"gender", "age"}
    assert card["data"]["licence"]
    assert not re.search(r'"/[a-z]+/', json.dumps(card))
    assert DEFAULT_CHECKPOINT.stat().st_size < 10e6
    text = DEFAULT_CHECKPOINT.with_suffix(".md").read_text()
    assert not re.search(r"(^|[\s`=])/(home|root|work|tmp)/", text)


def test_the_ten_faces_are_drawn():
    for number, row in enumerate(ten(), start=1):
        person = make_person(1000, number, gender=row["gender"], years=float(row["age_years"]))
        drawn = draw_face(person, make_shot(1000, number, 1, person), 300)
        with Image.open(TEN / row["path"]) as image:
            there = np.asarray(image, int)
        assert np.abs(there - drawn).mean() < 4, row["path"]  # JPEG's own loss


@pytest.mark.slow
def test_it_is_as_good_as_is_said(cli, shared, tmp_path):
    """On the test images of its own split, which shares no person or look-alike with training."""
    for name in ("utkface", "lfw", "celeba"):
        with tarfile.open(shared / "data" / f"{name}.tar") as archive:
            archive.extractall(tmp_path, filter="data")
    roots = [f"data.parts.{name}.root={tmp_path / name}" for name in ("utkface", "lfw", "celeba")]
    places = [*roots, f"paths.prepared={tmp_path}", f"run_dir={tmp_path / 'run'}"]
    ended = cli("evaluate", f"checkpoint={DEFAULT_CHECKPOINT}", *places)
    assert ended.code == 0, ended.err
    table = pd.read_parquet(tmp_path / "run" / "predictions.parquet")
    faces = {name: rows for name, rows in table.groupby("source")}
    utkface = faces["utkface"]
    for rows, task, least in ((utkface, "gender", 0.88), (utkface, "age", 0.67),
                              (faces["lfw"], "gender", 0.96)):  # fmt: skip
        known = rows[rows[f"{task}_true"].notna()]
        assert (known[f"{task}_true"] == known[f"{task}_predicted"]).mean() >= least
    known = utkface[utkface["age_true"].notna()]
    groups = {name: number for number, name in enumerate(AGE_GROUPS)}
    off = known["age_true"].map(groups) - known["age_predicted"].map(groups)
    assert (off.abs() <= 1).mean() >= 0.955
