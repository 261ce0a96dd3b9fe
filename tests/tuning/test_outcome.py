"""What counts as a score, and jobs that take their neighbours along when they die."""

import math

import pytest

from facialnet.errors import UserError
from facialnet.tuning.outcome import Outcome, run_all


@pytest.mark.parametrize("value", [None, math.nan, math.inf, "0.5"])
def test_only_finite_numbers_can_be_compared(value):
    outcome = Outcome.of(value)
    assert outcome.score is None
    assert "no validation accuracy" in outcome.error


def test_errors_in_one_line():
    assert Outcome.of(UserError("lower the rate")).error == "lower the rate"
    assert Outcome.of(ValueError("first\nsecond")).error == "ValueError: first"
    assert Outcome.of(0.5) == Outcome(score=0.5)


def test_the_job_that_kills_its_process_is_found():
    launched = []

    def launch(jobs):
        launched.append([job[0] for job in jobs])
        if any(job[0] == "deadly" for job in jobs):
            raise RuntimeError("a worker died")
        return [0.5 for _ in jobs]

    outcomes = run_all([["good"], ["deadly"], ["fine"]], launch)
    assert launched == [["good", "deadly", "fine"], ["good"], ["deadly"], ["fine"]]
    assert outcomes == [
        Outcome(score=0.5),
        Outcome(error="RuntimeError: a worker died"),
        Outcome(score=0.5),
    ]


def test_a_signal_is_no_outcome():
    def launch(jobs):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_all([["a"], ["b"]], launch)
