import numpy as np
import pandas as pd
import pytest

from facialnet.evaluation.pareto import COSTS, cost_table, pareto_front


def slow_front(costs, gains):
    """The definition, pair by pair."""
    front = []
    for mine, gain in zip(costs, gains, strict=True):
        beaten = any(
            all(a <= b for a, b in zip(other, mine, strict=True))
            and other_gain >= gain
            and (tuple(other) != tuple(mine) or other_gain > gain)
            for other, other_gain in zip(costs, gains, strict=True)
        )
        front.append(not beaten)
    return front


@pytest.mark.parametrize("kinds", [1, 2, 3])
def test_front_is_that_of_the_definition(kinds):
    generator = np.random.default_rng(kinds)
    for _ in range(20):
        costs = generator.integers(0, 6, (25, kinds))  # few values, so there are ties
        gains = generator.integers(0, 6, 25)
        assert pareto_front(costs, gains).tolist() == slow_front(costs.tolist(), gains.tolist())


def test_front_by_hand():
    costs = [[1], [2], [2], [3], [3], [4]]
    gains = [0.5, 0.7, 0.7, 0.6, 0.8, 0.8]
    assert pareto_front(costs, gains).tolist() == [True, True, True, False, True, False]


def test_one_cost_may_be_a_plain_list():
    assert pareto_front([1, 2, 3], [1, 1, 2]).tolist() == [True, False, True]


def test_unknown_values_are_never_on_the_front_and_beat_nobody():
    costs = [[1, np.nan], [2, 2], [3, 3], [0, 0]]
    assert pareto_front(costs, [9, 2, 1, np.nan]).tolist() == [False, True, False, False]


@pytest.mark.parametrize("kinds", [1, 3])
def test_no_points_have_no_front(kinds):
    assert pareto_front(np.zeros((0, kinds)), []).shape == (0,)


def cost(parameters, multiply_adds, latency_ms, **more):
    return {
        "parameters": parameters,
        "multiply_adds": multiply_adds,
        "latency_ms": latency_ms,
        **more,
    }


def test_table_marks_the_front_of_each_task_and_cost():
    runs = [
        {
            "name": "shared",
            "accuracy": {"gender": 0.9, "age": 0.5},
            "cost": cost(40, 175, 9, checkpoint_mb=16.6),
        },
        {"name": "alone", "accuracy": {"gender": 0.91}, "cost": cost(30, 174, 12)},
        {"name": "large", "accuracy": {"gender": 0.89, "age": 0.6}, "cost": cost(90, 900, 80)},
    ]
    table = cost_table(runs).set_index(["task", "name"])
    assert list(table.columns) == ["accuracy", *COSTS, *(f"{name}_front" for name in COSTS)]
    assert table.loc[("gender", "shared"), list(COSTS)].tolist() == [40, 175, 9]
    fronts = {
        ("gender", "shared"): [False, False, True],  # slower runs only are better at it
        ("gender", "alone"): [True, True, True],
        ("gender", "large"): [False, False, False],
        ("age", "shared"): [True, True, True],
        ("age", "large"): [True, True, True],
    }
    marks = table[[f"{name}_front" for name in COSTS]]
    assert {key: marks.loc[key].tolist() for key in marks.index} == fronts


def test_runs_without_a_cost_or_an_accuracy_stay_in_the_table_without_marks():
    runs = [
        {"name": "old", "accuracy": {"gender": 0.9}},
        {"name": "none", "accuracy": {"gender": 0.9}, "cost": None},
        {"name": "empty", "accuracy": {"gender": None}, "cost": cost(1, 1, 1)},
        {"name": "part", "accuracy": {"gender": 0.8}, "cost": {"parameters": 5}},
    ]
    table = cost_table(runs)
    assert table["name"].tolist() == ["old", "none", "empty", "part"]
    assert table["parameters_front"].tolist() == [False, False, False, True]
    assert not table[["multiply_adds_front", "latency_ms_front"]].any(axis=None)
    assert pd.isna(table["latency_ms"]).tolist() == [True, True, False, True]


def test_no_runs_make_an_empty_table():
    table = cost_table([])
    assert len(table) == 0
    assert {"name", "task", "accuracy", *COSTS, "latency_ms_front"} <= set(table.columns)
