import html
import os

import pytest
from believable_runs import faces, make_folds, make_run

from facialnet.inference.app.run_browser import list_runs, run_report

MANIFEST = faces(200, people=30)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("app") / "outputs"
    make_run(folder / "demo" / "first", MANIFEST)
    make_folds(folder / "adience" / "folds", MANIFEST, range(2))
    (folder / "adience" / "folds" / "multirun.yaml").write_text("hydra: {}")
    (folder / "empty").mkdir()
    for path in (folder / "demo" / "first").iterdir():
        os.utime(path, (0, 0))
    return folder


def test_runs_and_sweeps_are_listed_newest_first(root):
    names = list_runs(root)
    assert names[-1] == "demo/first"
    assert "adience/folds" in names
    assert sum(name.startswith("adience/folds/") for name in names) == 2


def test_no_folder_no_runs(tmp_path):
    assert list_runs(tmp_path / "nothing") == []


@pytest.mark.parametrize("name", ["demo/first", "adience/folds"])
def test_a_report_stands_in_a_frame_that_runs_no_script(root, name):
    frame = run_report(root, name)
    assert frame.startswith("<iframe")
    assert 'sandbox=""' in frame
    content = html.unescape(frame)
    assert "<script" not in content
    assert "gender" in content


@pytest.mark.parametrize("name", ["../secret", "/etc", "demo/first/../../..", "<b>x</b>", "empty"])
def test_only_what_is_listed_can_be_asked_for(root, name):
    said = run_report(root, name)
    assert "there is no such run" in said
    assert "<b>" not in said


def test_a_run_that_cannot_be_reported_says_why_without_the_machines_paths(root, tmp_path):
    make_run(tmp_path / "outputs" / "one" / "broken", MANIFEST)
    (tmp_path / "outputs" / "one" / "broken" / "metrics.json").write_text("{")
    said = run_report(tmp_path / "outputs", "one/broken")
    assert "damaged" in said
    assert str(tmp_path) not in said
