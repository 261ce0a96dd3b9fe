"""Settings tuned one after the other: the order, what is carried on, and what fails."""

import json

import pytest

from facialnet.errors import UserError
from facialnet.tuning.chain import Step, run_chain, summary, write_chain
from facialnet.tuning.outcome import Outcome

STEPS = [Step("a", ("1", "2", "3")), Step("b", ("x", "y")), Step("c", ("0", "9"))]
# Greatest for a=2 alone, b=y given a=2, c=0 given both; a=3 only with b=x would be better still.
SCORES = {
    "a=1": 0.5, "a=2": 0.7, "a=3": 0.6,
    "a=2 b=x": 0.71, "a=2 b=y": 0.72, "a=3 b=x": 0.99,
    "a=2 b=y c=0": 0.8, "a=2 b=y c=9": 0.8,
}  # fmt: skip


def from_table(jobs):
    return [Outcome.of(SCORES[" ".join(job)]) for job in jobs]


def test_the_best_of_each_step_is_carried_on_and_of_equals_the_first():
    seen = []

    def run(jobs):
        seen.append([" ".join(job) for job in jobs])
        return from_table(jobs)

    tuned = run_chain(STEPS, run, lambda _: None)
    assert seen == [
        ["a=1", "a=2", "a=3"],
        ["a=2 b=x", "a=2 b=y"],
        ["a=2 b=y c=0", "a=2 b=y c=9"],
    ]
    assert [each.best for each in tuned] == ["2", "y", "0"]


def test_a_value_that_fails_cannot_win(tmp_path):
    def run(jobs):
        outcomes = from_table(jobs)
        return [Outcome(error="it broke") if o.score == 0.7 else o for o in outcomes]

    lines = []
    tuned = run_chain(STEPS[:1], run, lines.append)
    assert [each.best for each in tuned] == ["3"]
    assert "a=2: failed: it broke" in lines
    assert summary(tuned) == ["a: 1 0.5000, 2 failed, 3 0.6000", "best: a=3"]
    write_chain(tuned, tmp_path / "chain.json")
    assert json.loads((tmp_path / "chain.json").read_text()) == {
        "steps": [{"setting": "a", "best": "3", "scores": {"1": 0.5, "2": None, "3": 0.6}}]
    }


def test_a_step_without_any_outcome_ends_the_chain():
    with pytest.raises(UserError, match="all values of a failed, 1 with: it broke"):
        run_chain(STEPS, lambda jobs: [Outcome(error="it broke") for _ in jobs], lambda _: None)
