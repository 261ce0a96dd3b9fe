"""The audit from the command line, on drawn faces with errors and copies that were planted."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from facialnet.data.exclusions import read_exclusions
from facialnet.data.grouping import groups
from facialnet.data.store import open_store
from facialnet.evaluation.audit.label_quality import codes_of, judge
from facialnet.evaluation.audit.quick_classifier import out_of_fold, picture_features
from facialnet.labels import GENDERS, Task

GENDER = Task("gender", "gender", GENDERS)


@pytest.fixture(scope="module")
def arguments(drawn_data, tmp_path_factory):
    """Arguments that choose the drawn faces, with a store that no other file of tests adds to."""
    words = [word for word in drawn_data if not word.startswith(("data.batch", "trainer", "paths"))]
    return [*words, f"paths.prepared={tmp_path_factory.mktemp('audited')}"]


def manifest_of(arguments, cli):
    assert cli("prepare", *arguments).code == 0
    folder = Path(next(w for w in arguments if w.startswith("paths.prepared")).split("=")[1])
    (store,) = folder.glob("drawn-*/store")
    return open_store(store).manifest


@dataclass
class Planted:
    """Predictions that answer all genders rightly, but for rows that they seem to contradict."""

    folder: Path
    wrong: set[str]


@pytest.fixture
def planted(arguments, cli, tmp_path):
    """Two runs' predictions; on six pictures they are sure of the other gender."""
    manifest = manifest_of(arguments, cli)
    labelled = manifest[manifest["gender"].notna()]
    wrong = set(labelled["path"].iloc[5::25])
    male = (labelled["gender"] == "male") ^ labelled["path"].isin(wrong)
    table = labelled[["path"]].assign(
        gender_p_male=np.where(male, 0.97, 0.03), gender_p_female=np.where(male, 0.03, 0.97)
    )
    for number, part in enumerate((table.iloc[:-4:2], table.iloc[1:-4:2])):
        (tmp_path / f"sweep/{number}").mkdir(parents=True)
        part.to_parquet(tmp_path / f"sweep/{number}/predictions.parquet")
    return Planted(tmp_path / "sweep", wrong)


def test_planted_errors_are_found_listed_and_drawn(arguments, cli, planted, tmp_path):
    ended = cli(
        "audit", *arguments, "tasks=gender", f"audit.predictions={planted.folder}", "run_dir=found"
    )
    assert ended.code == 0, ended.err
    suspects = pd.read_csv(tmp_path / "found/suspects.csv")
    assert set(suspects["path"]) == planted.wrong
    np.testing.assert_allclose(suspects["probability"], 0.03, atol=1e-6)
    assert set(read_exclusions(tmp_path / "found/exclude.csv").contents) == planted.wrong
    assert Image.open(tmp_path / "found/contact_sheet.png").size[0] > 500
    summary = json.loads((tmp_path / "found/audit.json").read_text())
    assert summary["tasks"]["gender"]["without_prediction"] == 4
    assert summary["excluded"] == len(planted.wrong)
    assert "2 runs" in ended.out
    assert "4 labelled images were not judged" in ended.out
    assert "data.exclude=" in ended.out


def test_what_was_listed_is_left_out_by_prepare(arguments, cli, planted):
    cli("audit", *arguments, "tasks=gender", f"audit.predictions={planted.folder}", "run_dir=found")
    whole = len(manifest_of(arguments, cli))
    words = [word for word in arguments if not word.startswith("paths")]
    listed = "data.exclude=found/exclude.csv"
    ended = cli("prepare", *words, "paths.prepared=own", listed)
    assert ended.code == 0, ended.err
    left = open_store(next(Path("own").glob("*/store"))).manifest
    assert len(left) == whole - len(planted.wrong)
    assert not set(left["path"]) & planted.wrong

    ended = cli("audit", *words, "paths.prepared=own", listed, "tasks=gender", "run_dir=again")
    assert ended.code == 0, ended.err
    assert set(read_exclusions(Path("again/exclude.csv")).contents) >= planted.wrong


def test_a_leaky_run_is_named(arguments, cli, planted):
    stamp = {"status": "done", "stamp": "LEAKY: 95 % of the test images"}
    (planted.folder / "1/results.json").write_text(json.dumps(stamp))
    ended = cli("audit", *arguments, "tasks=gender", f"audit.predictions={planted.folder}")
    assert "1: LEAKY: 95 % of the test images" in ended.out


def test_without_predictions_a_quick_classifier_judges(arguments, cli, tmp_path):
    ended = cli("audit", *arguments, "run_dir=quick")
    assert ended.code == 0, ended.err
    assert "quick classifier" in ended.out
    summary = json.loads((tmp_path / "quick/audit.json").read_text())
    assert set(summary["tasks"]) == {"gender", "age"}
    assert summary["tasks"]["gender"]["judged"] > 100
    assert not (tmp_path / "quick/duplicates.png").exists()


def test_copies_with_other_labels_are_found(arguments, cli, drawn_root, tmp_path):
    root = tmp_path / "copies"
    shutil.copytree(drawn_root, root)
    pictures = sorted(path for path in (root / "aligned").rglob("*.jpg"))
    (pictures[3]).write_bytes(pictures[100].read_bytes())
    words = [word for word in arguments if not word.startswith(("data.root", "paths"))]
    ended = cli("audit", *words, f"data.root={root}", "paths.prepared=own", "run_dir=copies_found")
    assert ended.code == 0, ended.err
    copies = pd.read_csv(tmp_path / "copies_found/duplicates.csv")
    names = [path.relative_to(root).as_posix() for path in (pictures[3], pictures[100])]
    assert set(copies["path"]) == set(names)
    assert set(copies["kind"]) == {"identical"}
    assert (tmp_path / "copies_found/duplicates.png").exists()
    assert "1 groups of copies (1 identical" in ended.out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["audit.predictions=nowhere"], "there is no predictions.parquet"),
        (["audit.exclude_below=2"], "must lie between 0 and 1"),
        (["audit.exclude_below=much"], "expected a number"),
        (["audit.threshold=1"], "audit.threshold is not a setting"),
        (["data.audit_only=true"], "leave it out"),
    ],
)
def test_wrong_settings_end_in_one_line(arguments, cli, words, message):
    ended = cli("audit", *arguments, *words)
    assert ended.code == 2
    assert message in ended.err
    assert len(ended.err.strip().splitlines()) == 1


def test_an_audit_is_not_run_over(arguments, cli, tmp_path):
    (tmp_path / "old").mkdir()
    (tmp_path / "old/audit.json").write_text("{}")
    ended = cli("audit", *arguments, "run_dir=old")
    assert ended.code == 2
    assert "choose another run_dir" in ended.err


@pytest.mark.slow
def test_the_quick_classifier_finds_planted_errors_among_real_faces(cli, utkface_root, tmp_path):
    """3 % of the genders are changed; two thirds of the first hundred suspects are of these."""
    words = ["data=utkface", f"data.root={utkface_root}", f"paths.prepared={tmp_path}/prepared"]
    assert cli("prepare", *words).code == 0
    store = open_store(next((tmp_path / "prepared").glob("*/store")))
    given = codes_of(store.manifest, GENDER)
    rng = np.random.default_rng(0)
    wrong = (given >= 0) & (rng.random(len(given)) < 0.03)
    given = np.where(wrong, 1 - given, given)
    rows = np.flatnonzero(given >= 0)
    features = picture_features(store.pixels, len(store))
    answers = np.full((len(given), 2), np.nan)
    answers[rows] = out_of_fold(features[rows], given[rows], groups(store.manifest)[rows])
    found = judge(GENDER, given, answers, {})
    assert found.accuracy > 0.78
    precision = wrong[found.suspects["row"].head(100)].mean()
    print(f"planted among the first 100 suspects: {precision:.2f}")
    assert precision > 0.55
