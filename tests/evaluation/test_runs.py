import json
import shutil

import pytest
from believable_runs import AGE, GENDER, faces, make_run

from facialnet.errors import UserError
from facialnet.evaluation.runs import find_runs, flat, read_run


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    """Folds 0 and 1 done, fold 2 failed, fold 3 killed."""
    folder = tmp_path_factory.mktemp("runs") / "folds"
    manifest = faces(300, people=40)
    make_run(folder / "fold0", manifest, fold=0)
    make_run(folder / "fold1", manifest, fold=1)
    make_run(folder / "fold2", manifest, fold=2, status="failed")
    make_run(folder / "fold3", manifest, fold=3, status="unfinished")
    (folder / "report").mkdir()
    return folder


@pytest.fixture
def run_folder(sweep, tmp_path):
    """A copy to break."""
    folder = shutil.copytree(sweep / "fold1", tmp_path / "run")
    (folder / "checkpoints").mkdir()
    return folder


def test_a_run_is_read_with_all_that_it_left(sweep):
    run = read_run(sweep / "fold1")
    assert (run.status, run.done, run.fold, run.seed) == ("done", True, 1, 0)
    assert run.tasks == {"gender": GENDER, "age": AGE}
    assert run.name == "adience_aug"
    assert run.protocol == "official fold 1"
    assert run.stamp is None
    assert run.majority("gender") == 0.53
    assert run.majority("race") is None
    assert len(run.predictions) == run.metrics["images"]
    assert list(run.epochs["epoch"]) == list(range(12))
    assert run.settings["optimizer.lr"] == 0.002


def test_a_sweep_gives_all_its_jobs_and_says_which_are_not_done(sweep):
    runs = find_runs(sweep)
    assert [run.folder.name for run in runs] == ["fold0", "fold1", "fold2", "fold3"]
    assert [run.status for run in runs] == ["done", "done", "failed", "unfinished"]
    assert [run.fold for run in runs] == [0, 1, 2, 3]
    assert runs[2].metrics == runs[3].metrics == {}


def test_jobs_may_lie_one_level_deeper_and_a_run_is_itself(sweep):
    assert len(find_runs(sweep.parent)) == 4
    assert [run.folder for run in find_runs(sweep / "fold0")] == [sweep / "fold0"]


def test_an_evaluation_has_no_epochs(run_folder):
    (run_folder / "epochs.csv").unlink()
    assert read_run(run_folder).epochs is None


@pytest.mark.parametrize("name", ["nowhere", "empty"])
def test_a_folder_without_runs_is_refused(tmp_path, name):
    (tmp_path / "empty" / "report").mkdir(parents=True)
    with pytest.raises(UserError, match=f"{name}: no (such folder|run in here).*name a run"):
        find_runs(tmp_path / name)


def test_a_run_without_results_says_how_to_go_on(sweep):
    with pytest.raises(UserError, match=r"no results\.json.*run_dir=.*fold3 and ckpt_path=last"):
        find_runs(sweep / "fold3")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("results.json", '{"status": "do', "results.json is damaged"),
        ("results.json", "[1]", "results.json is damaged .it holds no object"),
        ("metrics.json", "", "metrics.json is damaged"),
        ("metrics.json", "{}", "metrics.json is damaged .it holds no tasks"),
        (
            "metrics.json",
            None,
            r"metrics.json is missing; delete .*results\.json and start .* again with run_dir=",
        ),
        ("config.yaml", "a: [", "config.yaml is damaged"),
        ("config.yaml", "[]", "config.yaml is damaged"),
        ("config.yaml", None, "config.yaml is missing"),
        ("config.yaml", "tasks: {gender: {column: gender}}", "tasks cannot be read"),
        ("config.yaml", "name: x", "tasks cannot be read"),
        ("epochs.csv", "", "epochs.csv is damaged"),
    ],
)
def test_damaged_files_are_named(run_folder, name, content, message):
    if content is None:
        (run_folder / name).unlink()
    else:
        (run_folder / name).write_text(content)
    with pytest.raises(UserError, match=message) as caught:
        find_runs(run_folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [None, b"PAR1 and nothing more"])
def test_damaged_predictions_are_named_when_they_are_needed(run_folder, content):
    path = run_folder / "predictions.parquet"
    path.unlink() if content is None else path.write_bytes(content)
    run = read_run(run_folder)
    with pytest.raises(
        UserError, match=r"predictions\.parquet is (missing|damaged).*delete .*results\.json"
    ):
        _ = run.predictions


def test_an_interrupted_run_needs_no_figures(run_folder):
    results = json.loads((run_folder / "results.json").read_text())
    (run_folder / "results.json").write_text(json.dumps(results | {"status": "interrupted"}))
    (run_folder / "metrics.json").unlink()
    assert not read_run(run_folder).done


def test_settings_are_flattened_and_empty_groups_kept():
    assert flat({"a": {"b": 1, "c": {}}, "d": [1]}) == {"a.b": 1, "a.c": {}, "d": [1]}


@pytest.mark.parametrize("name", ["metrics.json", "predictions.parquet", "results.json"])
def test_a_damaged_job_does_not_stop_a_sweep(run_folder, name):
    shutil.copytree(run_folder, run_folder.parent / "whole")
    (run_folder.parent / "multirun.yaml").write_text("")
    (run_folder / name).write_bytes(b"PAR1 and nothing more")
    damaged, whole = find_runs(run_folder.parent)
    assert (damaged.status, whole.status) == ("damaged", "done")
    assert f"{name} is damaged" in damaged.problem
    assert "start the command again" in damaged.problem
    assert "run_dir" not in damaged.problem
    assert whole.problem == ""


def test_an_unfinished_job_is_gone_on_with_by_its_sweep(run_folder):
    (run_folder.parent / "multirun.yaml").write_text("")
    (run_folder / "results.json").unlink()
    with pytest.raises(UserError, match=r"no results\.json.*start the sweep again"):
        find_runs(run_folder)


def test_a_pruned_run_has_its_last_score_and_no_figures(tmp_path):
    manifest = faces(100, people=20)
    make_run(tmp_path / "a", manifest, status="pruned", validation=0.61)
    make_run(tmp_path / "b", manifest, status="failed", results={"error": "no room\nline 2"})
    pruned, failed = find_runs(tmp_path)
    assert (pruned.status, pruned.done, pruned.validation) == ("pruned", False, 0.61)
    assert pruned.metrics == {}
    assert (failed.validation, failed.trouble) == (None, "no room")


def test_what_a_search_compares_goes_before_the_last_epoch(tmp_path):
    score = {"score": 0.7}
    make_run(tmp_path / "a", faces(100, people=20), bare=True, validation=0.6, results=score)
    assert read_run(tmp_path / "a").validation == 0.7


@pytest.mark.parametrize("value", [None, float("nan"), float("inf")])
def test_a_validation_accuracy_that_is_no_number_is_none(tmp_path, value):
    metrics = {} if value is None else {"val/accuracy": value}
    make_run(tmp_path / "a", faces(100, people=20), bare=True, results={"metrics": metrics})
    assert read_run(tmp_path / "a").validation is None


@pytest.mark.parametrize(
    ("overrides", "name"),
    [
        (["+system=vgg16", "seed=1"], "vgg16"),
        (["++system=vgg16"], "vgg16"),
        (["+experiment=lfw_cnn", "model.system=x"], None),
        ([], None),
    ],
)
def test_the_system_is_the_one_that_was_given(tmp_path, overrides, name):
    make_run(tmp_path / "a", faces(100, people=20), bare=True, results={"overrides": overrides})
    assert read_run(tmp_path / "a").system == name


def test_a_claim_is_known_whatever_the_data(tmp_path):
    claim = {"data": "celeba", "gender": 0.9}
    manifest = faces(100, people=20)
    make_run(tmp_path / "a", manifest, bare=True, settings={"claim": claim})
    make_run(tmp_path / "b", manifest, bare=True, settings={"claim": None})
    assert read_run(tmp_path / "a").claim == claim
    assert read_run(tmp_path / "b").claim == {}
