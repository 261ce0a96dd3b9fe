"""A search in a file: how many trials, what is recorded, how it goes on after a kill."""

import json
import math

import pytest

from facialnet.errors import UserError
from facialnet.tuning.outcome import Outcome
from facialnet.tuning.search import run_search, summary
from facialnet.tuning.study import JOURNAL, Study, best_of

SPACE = {"lr": {"low": 1e-4, "high": 1e-1, "log": True}, "size": [16, 32, 64]}


def opened(folder, space=None, settings="one", **more) -> Study:
    return Study(folder, space or SPACE, settings=settings, startup_trials=3, **more)


def score_of(trial) -> float:
    """Best near lr = 0.01, by half the decades to it."""
    chosen = dict(each.split("=") for each in trial.overrides)
    return 1 - abs(math.log10(float(chosen["lr"])) + 2) / 2 - int(chosen["size"]) / 1000


def searched(study, n_trials, *, at_once=1, run=None, ran=None):
    ran = [] if ran is None else ran

    def default(trials):
        ran.extend(trial.number for trial in trials)
        return [Outcome.of(score_of(trial)) for trial in trials]

    return run_search(
        study, n_trials=n_trials, at_once=at_once, run=run or default, say=lambda _: None
    )


def test_as_many_trials_as_asked_for_over_all_starts(tmp_path):
    ran = []
    searched(opened(tmp_path), 3, ran=ran)
    trials = searched(opened(tmp_path), 7, at_once=2, ran=ran)
    assert ran == list(range(7))
    assert [trial.state for trial in trials] == ["done"] * 7
    assert searched(opened(tmp_path), 7, ran=ran) == trials
    assert ran == list(range(7))
    assert best_of(trials) == max(trials, key=score_of)
    assert trials[6].name == "trial-006"


@pytest.mark.parametrize("at_once", [1, 2])
def test_killed_it_goes_on_with_what_was_running_as_if_unbroken(tmp_path, at_once):
    whole = searched(opened(tmp_path / "whole"), 8, at_once=at_once)
    killed = []

    def kill(trials):
        if trials[0].number >= 4 and not killed:
            killed.extend(trial.number for trial in trials)
            raise KeyboardInterrupt
        return [Outcome.of(score_of(trial)) for trial in trials]

    with pytest.raises(KeyboardInterrupt):
        searched(opened(tmp_path / "broken"), 8, at_once=at_once, run=kill)
    ran = []
    trials = searched(opened(tmp_path / "broken"), 8, at_once=at_once, ran=ran)
    assert ran == list(range(4, 8))
    assert killed == ran[:at_once]
    assert trials == whole


def test_random_starts_do_not_repeat_and_seeds_differ(tmp_path):
    first = searched(opened(tmp_path / "a"), 3)
    again = searched(opened(tmp_path / "b"), 3)
    other = searched(opened(tmp_path / "c", seed=1), 3)
    assert first == again
    assert len({trial.overrides for trial in [*first, *other]}) == 6


def test_it_learns_where_the_best_is(tmp_path):
    trials = searched(opened(tmp_path), 25)
    late = [score_of(trial) for trial in trials[15:]]
    early = [score_of(trial) for trial in trials[:3]]
    assert sum(late) / len(late) > sum(early) / len(early)
    assert best_of(trials).score > 0.9


def test_a_failing_trial_counts_and_is_named(tmp_path):
    def run(trials):
        return [
            Outcome(error="out of memory") if t.number == 1 else Outcome.of(0.5) for t in trials
        ]

    trials = searched(opened(tmp_path), 4, run=run)
    assert [trial.state for trial in trials] == ["done", "failed", "done", "done"]
    lines = summary(trials)
    assert lines[0] == "4 trials: 3 done, 0 pruned, 1 failed"
    assert "trial-001 failed: out of memory" in lines
    assert searched(opened(tmp_path), 4) == trials


def test_three_failures_and_nothing_else_end_it_but_the_next_start_goes_on(tmp_path):
    with pytest.raises(UserError, match="3 trials and all of them failed, trial-002 with: no data"):
        searched(opened(tmp_path), 9, run=lambda trials: [Outcome(error="no data")])
    trials = searched(opened(tmp_path), 5)
    assert [trial.state for trial in trials] == ["failed"] * 3 + ["done"] * 2


def test_a_trial_whose_folder_says_pruned_is_pruned(tmp_path):
    def run(trials):
        (tmp_path / trials[0].name).mkdir()
        (tmp_path / trials[0].name / "results.json").write_text(json.dumps({"status": "pruned"}))
        return [Outcome.of(0.9)]

    (trial,) = searched(opened(tmp_path), 1, run=run)
    assert (trial.state, trial.score) == ("pruned", None)
    assert best_of([trial]) is None


def test_another_space_or_other_settings_are_refused(tmp_path):
    searched(opened(tmp_path), 1)
    wider = SPACE | {"lr": {"low": 1e-5, "high": 1e-1, "log": True}}
    with pytest.raises(UserError, match="a search with another space; choose another sweep_name"):
        opened(tmp_path, wider)
    with pytest.raises(UserError, match="a search with other settings"):
        opened(tmp_path, settings="two")
    reordered = dict(reversed(SPACE.items()))
    assert len(opened(tmp_path, reordered).trials) == 1


def test_half_an_entry_at_the_end_of_the_file_is_dropped(tmp_path):
    trials = searched(opened(tmp_path), 2)
    with (tmp_path / JOURNAL).open("a") as file:
        file.write('{"op_code":4,"stu')
    assert opened(tmp_path).trials == trials
    assert len(searched(opened(tmp_path), 3)) == 3


def test_a_trial_that_was_killed_while_it_was_chosen_is_completed(tmp_path):
    study = opened(tmp_path)
    study.propose()
    lines = (tmp_path / JOURNAL).read_text().splitlines(keepends=True)
    assert "param_name" in lines[-1]
    (tmp_path / JOURNAL).write_text("".join(lines[:-1]))
    (lost,) = opened(tmp_path).trials
    assert len(lost.overrides) == 1
    (trial,) = searched(opened(tmp_path), 1)
    assert len(trial.overrides) == 2
    assert set(lost.overrides) < set(trial.overrides)


@pytest.mark.parametrize("wrong", [{"seed": -1}, {"startup_trials": 0}])
def test_settings_out_of_range_are_named(tmp_path, wrong):
    with pytest.raises(UserError, match=r"hydra\.sweeper\."):
        Study(tmp_path, SPACE, settings="", **wrong)
