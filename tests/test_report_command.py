import dataclasses
import time

import pytest
from believable_runs import faces, make_folds, make_run
from commands import command

from facialnet import report
from facialnet.errors import UserError
from facialnet.evaluation.report import files
from facialnet.evaluation.report.content import gather
from facialnet.evaluation.runs import find_runs

MANIFEST = faces(300, people=40)
NAMES = {"report.html", "results.md", "results.csv", "model_card.md"}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    make_run(folder / "one", MANIFEST)
    make_run(folder / "other", MANIFEST, fold=1)
    return folder


@pytest.fixture(scope="module")
def gathered(runs):
    return gather(find_runs(runs / "one"))


def test_the_files_lie_in_the_run_and_their_paths_are_printed(runs, capsys):
    report.main([str(runs / "one")])
    printed = capsys.readouterr().out
    folder = runs / "one" / "report"
    assert {path.name for path in folder.iterdir()} == NAMES
    for name in NAMES:
        assert str(folder / name) in printed
    assert "official fold 0" in printed
    assert "next: " in printed


def test_a_report_replaces_an_earlier_one_whole_or_not_at_all(gathered, tmp_path, monkeypatch):
    def contents():
        return {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    files.write_report(gathered, tmp_path)
    before = contents()
    other = dataclasses.replace(gathered, title="another", runs=2)
    monkeypatch.setattr(files, "model_card", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        files.write_report(other, tmp_path)
    assert contents() == before
    monkeypatch.undo()
    files.write_report(other, tmp_path)
    assert contents().keys() == before.keys() == NAMES
    assert b"another" in contents()["report.html"]
    assert b"another" in contents()["results.md"]


def test_a_folder_that_cannot_be_written_is_named(gathered, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"--out .*file: cannot be written"):
        files.write_report(gathered, tmp_path / "file")


def test_runs_named_twice_count_once(runs, tmp_path):
    out = tmp_path / "out"
    report.main([str(runs), str(runs / "one"), f"{runs}/./one", "--out", str(out)])
    assert "adience · 2 runs" in (out / "report.html").read_text()


def test_other_test_images_are_no_pair(runs, tmp_path):
    with pytest.raises(UserError, match=r"--paired: .*test images differ"):
        report.main([str(runs / "one"), str(runs / "other"), "--paired"])


def test_an_error_is_one_line_and_no_torch_is_loaded(tmp_path):
    ended = command("-X", "importtime", "-m", "facialnet.report", str(tmp_path))
    lines = [line for line in ended.stderr.splitlines() if not line.startswith("import time:")]
    assert ended.returncode == 2
    assert lines == [
        f"error: {tmp_path}: no run in here (a run's folder holds config.yaml and results.json); "
        "name a run's folder, or a sweep's"
    ]
    loaded = {line.split("|")[-1].strip() for line in ended.stderr.splitlines()}
    assert "facialnet.evaluation.report" in loaded
    assert not loaded & {"torch", "lightning", "hydra"}


@pytest.mark.slow
def test_five_folds_take_less_than_twenty_seconds(tmp_path):
    sweep = make_folds(tmp_path / "sweep", faces(19_500, people=2284))
    began = time.perf_counter()
    ended = command("-m", "facialnet.report", str(sweep))
    took = time.perf_counter() - began
    print(f"report on five folds of 3,900 images: {took:.1f} s")
    assert ended.returncode == 0, ended.stderr
    assert took < 20
