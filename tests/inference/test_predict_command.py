"""The command, from arguments to files, with a small random network and red boxes as faces."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from commands import QUICK
from damaged_files import write_damaged
from PIL import Image
from red_boxes import RedBoxes, picture, save
from sklearn.metrics import average_precision_score
from test_photos import film

import facialnet
from facialnet import predict
from facialnet.errors import UserError
from facialnet.inference import predictor as predictor_module
from facialnet.inference.video import frames

BOX = (20, 15, 40, 50)
ALONE = {**QUICK, "PYTHONPATH": str(Path(facialnet.__file__).parents[1])}


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(predict, "RetinaFace", lambda **_: RedBoxes())
    for number in range(6):
        save(tmp_path / "in" / f"{number}.png", picture((number, 10, 30, 30 + number)))
    save(tmp_path / "in" / "group.png", picture(BOX, (80, 10, 20, 20)))
    save(tmp_path / "in" / "none.png", picture())
    (tmp_path / "in" / "bad.png").write_bytes(b"no picture")
    return tmp_path


@pytest.fixture
def call(here, checkpoint, capsys):
    def run(*arguments):
        capsys.readouterr()
        predict.main([*map(str, arguments), "--checkpoint", str(checkpoint)])
        return capsys.readouterr()

    return run


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_folder_to_json_lines(call, here):
    printed = call("in", "--output", "a.jsonl")
    rows = lines(here / "a.jsonl")
    names = [*(f"in/{number}.png" for number in range(6)), "in/bad.png", "in/group.png"]
    assert [row["path"] for row in rows] == [*names, "in/none.png"]
    by_path = {row["path"]: row for row in rows}
    assert by_path["in/bad.png"] == {
        "path": "in/bad.png",
        "error": "not a picture of a known kind",
        "faces": [],
    }
    assert by_path["in/none.png"]["no_face"] == "whole"
    group = by_path["in/group.png"]["faces"]
    assert [face["box"] for face in group] == [list(BOX), [80, 10, 20, 20]]
    assert set(group[0]) == {"box", "detection", "gender", "age", "race"}
    assert "index" not in group[0]["gender"]
    assert group[0]["age"]["index"] == list(group[0]["age"]["probabilities"]).index(
        group[0]["age"]["label"]
    )
    assert "unreadable: in/bad.png: not a picture" in printed.err
    assert "9 photos: 9 faces, 1 without a face (whole), 1 unreadable" in printed.err
    assert printed.out.splitlines()[0] == str(here / "a.jsonl")
    assert printed.out.splitlines()[1].startswith("next: python -m facialnet.predict in --annotate")


def test_the_terminal_is_the_default(call):
    printed = call("in/group.png", "--threshold", "1")
    assert len(printed.out.splitlines()) == 3
    assert "not sure" in printed.out


def test_json_lines_to_a_pipe_are_nothing_else(call):
    printed = call("in", "--format", "jsonl")
    assert len([json.loads(line) for line in printed.out.splitlines()]) == 9


def test_started_again_it_goes_on_where_it_stopped(call, here):
    whole = call("in", "--output", "whole.jsonl") and (here / "whole.jsonl").read_bytes()
    call("in/0.png", "in/1.png", "--output", "a.jsonl")
    printed = call("in", "--output", "a.jsonl")
    assert "7 photos, 2 answered before" in printed.err
    assert (here / "a.jsonl").read_bytes() == whole
    assert "0 photos, 9 answered before" in call("in", "--output", "a.jsonl").err
    with pytest.raises(UserError, match="begun with no_face 'whole', and now it is 'skip'"):
        call("in", "--output", "a.jsonl", "--no-face", "skip")
    call("in/0.png", "--output", "a.jsonl", "--no-face", "skip", "--restart")
    assert len(lines(here / "a.jsonl")) == 1


def test_policies_for_photos_without_a_face(call, here):
    call("in/none.png", "--output", "a.jsonl", "--no-face", "skip")
    assert lines(here / "a.jsonl") == [
        {"path": "in/none.png", "error": None, "faces": [], "no_face": "skip"}
    ]
    with pytest.raises(UserError, match=r"in/none\.png: no face was found"):
        call("in", "--output", "b.jsonl", "--no-face", "stop")
    assert len(lines(here / "b.jsonl")) == 8  # what came before it is there


def test_own_boxes(call, here):
    (here / "in" / "boxes.csv").write_text(
        "path,x,y,width,height\n0.png,5,5,50,50\n0.png,1,1,9,9\n1.png,900,5,5,5\n"
    )
    call("in/0.png", "in/1.png", "--boxes", "in/boxes.csv", "--output", "a.jsonl")
    first, second = lines(here / "a.jsonl")
    assert [face["box"] for face in first["faces"]] == [[5, 5, 50, 50], [1, 1, 9, 9]]
    assert first["faces"][0]["detection"] is None
    assert second["error"] == "the box lies outside the photo"


def test_annotated_copies_and_a_gallery(call, here):
    printed = call("in", "--annotate", "out", "--gallery", "g.png", "--output", "a.csv")
    copy = np.asarray(Image.open(here / "out" / "in" / "group.png.jpg")).astype(int)
    assert copy.shape == (100, 120, 3)
    changed = np.abs(copy - picture(BOX, (80, 10, 20, 20))).max(2) > 60
    assert changed[15 : 15 + 50, 20].mean() > 0.5  # the left edge of the box
    assert not (here / "out" / "in" / "bad.png.jpg").exists()
    assert len(list((here / "out").rglob("*.jpg"))) == 8
    assert min(Image.open(here / "g.png").size) > 100
    assert str(here / "out") in printed.err
    assert str(here / "g.png") in printed.err
    assert len(pd.read_csv(here / "a.csv")) == 10


def test_a_video(call, here):
    film(here / "film.mp4", count=5, size=(120, 100))
    call("film.mp4", "--output", "a.jsonl", "--annotate", "out")
    rows = lines(here / "a.jsonl")
    assert [row["frame"] for row in rows] == [0, 1, 2, 3, 4]
    assert [row["time"] for row in rows] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])

    copies = list(frames(str(here / "out" / "film.mp4")))
    assert len(copies) == 5
    assert copies[1][1] == pytest.approx(0.1)  # as fast as the original


def test_a_labelled_folder(call, here):
    chance = np.random.default_rng(0)
    for number in range(20):
        place = here / "val" / ("man" if number % 2 else "woman") / f"{number}.png"
        boxes = [] if number in (3, 4) else [(number, 10, 30 + number, 40), (90, 70, 10, 12)]
        save(place, picture(*boxes, seed=int(chance.integers(1000))))
    (here / "val" / "man" / "bad.png").write_bytes(b"no")
    printed = call("--labels", "val", "--output", "a.jsonl", "--no-face", "skip")
    rows = lines(here / "a.jsonl")
    assert all(len(row["faces"]) <= 1 for row in rows)
    answered = [row for row in rows if row["faces"]]
    truth = ["male" if "/man/" in row["path"] else "female" for row in answered]
    given = [row["faces"][0]["gender"] for row in answered]
    right = sum(answer["label"] == label for answer, label in zip(given, truth, strict=True))
    report = json.loads((here / "a.jsonl.report.json").read_text())
    gender = report["tasks"]["gender"]
    assert report["photos"] == {"face": 18, "whole": 0, "no face": 2, "unreadable": 1}
    assert (gender["labelled"], gender["answered"], gender["right"]) == (21, 18, right)
    assert gender["accuracy"] == pytest.approx(right / 18)
    assert gender["accuracy_of_all"] == pytest.approx(right / 21)
    for name in ("male", "female"):
        expected = average_precision_score(
            [label == name for label in truth], [answer["probabilities"][name] for answer in given]
        )
        assert gender["average_precision"][name] == pytest.approx(expected)
    mean = np.mean(list(gender["average_precision"].values()))
    assert gender["mean_average_precision"] == pytest.approx(mean)
    assert "what the seven-layer CNN's report calls AP" in printed.out
    assert "18 with a face found, 2 without a face found, not answered" in printed.out


def test_labels_in_a_csv(call, here):
    (here / "in" / "labels.csv").write_text("path,age_years\n0.png,30\n1.png,70\n")
    printed = call("--labels", "in/labels.csv", "--gallery", "g.png")
    assert "age: 2 of 2 photos answered" in printed.out
    assert (here / "g.png").is_file()


def test_the_search_may_look_at_smaller_photos(call, monkeypatch):
    asked = []
    monkeypatch.setattr(predict, "RetinaFace", lambda **given: asked.append(given) or RedBoxes())
    for size in (["--search-side", "200"], []):
        call("in/0.png", *size)
    assert [given.get("longest") for given in asked] == [200, None]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ([], "name a photo"),
        (["gone.jpg"], "there is no file or folder"),
        (["in", "--labels", "in"], "leave the others out"),
        (["in", "--detector", "yunet"], "needs --detector-model"),
        (["in", "--detector-model", "a.onnx"], "is for --detector yunet"),
        (["in", "--search-side", "100"], "--search-side 100: give 160 or more"),
        (["in", "--search-side", "200", "--detector", "none"], "no faces are searched for"),
        (["best.ckpt", "in"], r"a network is named by --checkpoint best\.ckpt"),
        (["in", "--threshold", "2"], "threshold=2"),
        (["in", "--output", "a.txt"], "say the format"),
        (["in", "--output", "in"], "say the format"),
        (["in", "--boxes", "gone.csv"], "gone.csv"),
        (["in", "--gallery", "g"], "ends in .png"),
        (["in", "--gallery", "in/g.png"], "--gallery in/g.png lies in in and would be answered"),
        (["in", "--annotate", "in/sub"], "--annotate in/sub lies in in and would be answered"),
        (["in/bad.png"], r"no photo could be read \(not a picture"),
    ],
)
def test_what_is_wrong_is_said(call, arguments, reason):
    with pytest.raises(UserError, match=reason):
        call(*arguments)


def test_without_a_checkpoint_nothing_is_answered(here, monkeypatch):
    monkeypatch.setattr(predictor_module, "DEFAULT_CHECKPOINT", here / "none")
    with pytest.raises(UserError, match="no checkpoint"):
        predict.main(["in"])


def test_a_few_dozen_damaged_files(call, here):
    expected = write_damaged(here / "bad", 42)
    begun = time.monotonic()
    call("bad", "--detector", "none", "--output", "a.jsonl")
    assert time.monotonic() - begun < 60
    check_damaged(lines(here / "a.jsonl"), expected, here)


def check_damaged(rows, expected, folder):
    errors = {str(folder / row["path"]): row["error"] for row in rows}
    assert set(errors) == set(expected)
    for path, answered in expected.items():
        if answered is not None:
            assert (errors[path] is None) is answered, (path, errors[path])
    for row in rows:
        assert bool(row["faces"]) is (row["error"] is None)
        assert row["error"] is None or 0 < len(row["error"]) < 220


@pytest.mark.slow
def test_two_thousand_damaged_files(here, checkpoint):
    """No crash, no hang, every file named, memory bounded: in a process of its own."""
    expected = write_damaged(here / "bad", 2000)
    code = (
        "import resource, sys; from facialnet.predict import main; main(sys.argv[1:]);"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    few = ["bad/00000_cut.jpg", "bad/00004_wrong_ending.jpg"]
    peaks = []
    for photos in (few, ["bad"]):
        begun = time.monotonic()
        done = subprocess.run(
            [
                *(sys.executable, "-c", code, *photos, "--checkpoint", str(checkpoint)),
                *("--detector", "none", "--output", "a.jsonl", "--restart"),
            ],
            env=ALONE,
            capture_output=True,
            text=True,
            check=True,
        )
        peaks.append(int(done.stdout.splitlines()[-1]))
    print(f"2,000 files in {time.monotonic() - begun:.0f} s; KB at most: {peaks}")
    check_damaged(lines(here / "a.jsonl"), expected, here)
    assert peaks[1] < peaks[0] + 300_000


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet"])
def test_ctrl_c_leaves_a_valid_file_and_the_rest_for_later(here, checkpoint, kind):
    for number in range(3000):
        os.link(here / "in" / "0.png", here / "in" / f"copy_{number:04}.png")
    output = here / f"a.{kind}"
    words = [
        *(sys.executable, "-m", "facialnet.predict", "in", "--checkpoint", str(checkpoint)),
        *("--detector", "none", "--output", output.name),
    ]
    running = subprocess.Popen(
        words,
        env=ALONE,
        stderr=subprocess.PIPE,
        text=True,
        # what runs in a shell's background hands down that Ctrl-C is ignored
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    written = here / f"a.{kind}.unfinished.jsonl" if kind == "parquet" else output
    while not (written.exists() and written.stat().st_size > 20_000):
        assert running.poll() is None
        time.sleep(0.05)
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=60)
    assert running.returncode == 130
    assert said.splitlines()[-1] == "error: stopped by SIGINT"
    first = rows_in(output)
    assert 0 < len(first) < 3009
    subprocess.run(words, env=ALONE, check=True, capture_output=True)
    rows = rows_in(output)
    assert len(rows) == 3009
    assert len(set(rows)) == 3009


def rows_in(path):
    if path.suffix == ".jsonl":
        return [row["path"] for row in lines(path)]
    table = pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)
    return list(table["path"])
