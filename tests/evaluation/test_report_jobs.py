import pytest
import yaml
from believable_runs import faces, make_run

from facialnet.evaluation.report.jobs import missing_jobs
from facialnet.evaluation.runs import find_runs

MANIFEST = faces(200, people=30)


def told(folder, params, *overrides):
    hydra = {"sweeper": {"params": params}, "overrides": {"task": list(overrides)}}
    (folder / "multirun.yaml").write_text(yaml.safe_dump({"hydra": hydra}))
    return missing_jobs(find_runs(folder), [folder])


def job(folder, name, **about):
    make_run(folder / name, MANIFEST, bare=True, **about)


def test_missing_jobs_are_named_where_one_is_left(tmp_path):
    job(tmp_path, "protocol.test_fold-0")
    assert told(tmp_path, {"protocol.test_fold": "0,1,2"}, "data.root=/x") == [
        "1 of 3 jobs: missing protocol.test_fold=1, protocol.test_fold=2"
    ]


def test_sweeps_of_the_command_line_and_several_settings_are_known(tmp_path):
    job(tmp_path, "seed-0_tasks-age")
    job(tmp_path, "seed-1_tasks-age", status="unfinished", seed=1)
    assert told(tmp_path, {"tasks": "age,gender"}, "+experiment=x", "seed=0,1") == [
        "2 of 4 jobs: missing seed=0, tasks=gender, seed=1, tasks=gender"
    ]


@pytest.mark.parametrize(
    ("params", "override"),
    [
        ({"seed": "range(5)"}, "x=1"),
        ({"seed": "0,1"}, "seed=0"),
        ({"seed": "0,1"}, "x=[1,2],[3,4]"),
        (None, "seed=0"),
        ([], "seed=0"),
        ("0,1", "seed=0"),
    ],
)
def test_nothing_is_said_of_what_is_not_understood(tmp_path, params, override):
    job(tmp_path, "seed-0")
    assert told(tmp_path, params, override) == []


def test_nothing_is_said_of_a_whole_sweep_or_without_its_settings(tmp_path):
    job(tmp_path, "seed-0")
    assert missing_jobs(find_runs(tmp_path), [tmp_path]) == []
    job(tmp_path, "seed-1", seed=1)
    assert told(tmp_path, {"seed": "0,1"}) == []


def test_a_search_runs_no_grid_so_that_nothing_is_missing(tmp_path):
    job(tmp_path, "seed-0_tasks-age")
    params = {"tasks": "age,gender", "seed": "0,1"}
    for target, missing in (
        ("hydra_plugins.facialnet_sweepers.ChainSweeper", 0),
        ("hydra._internal.core_plugins.basic_sweeper.BasicSweeper", 1),
    ):
        hydra = {"sweeper": {"_target_": target, "params": params}, "overrides": {"task": []}}
        (tmp_path / "multirun.yaml").write_text(yaml.safe_dump({"hydra": hydra}))
        assert len(missing_jobs(find_runs(tmp_path), [tmp_path])) == missing
