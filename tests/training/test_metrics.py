import math
import random

import pytest
import torch

from facialnet.labels import IGNORE
from facialnet.training.metrics import TaskMetrics, scores


def slow_scores(pairs):
    """Scores from (true, predicted) pairs, one after the other."""
    right = near = steps = 0
    for true, predicted in pairs:
        right += true == predicted
        near += true - 1 <= predicted <= true + 1
        steps += abs(true - predicted)
    return {
        "accuracy": right / len(pairs),
        "one_off": near / len(pairs),
        "mae_groups": steps / len(pairs),
    }


def matrix_of(pairs, classes):
    matrix = torch.zeros(classes, classes, dtype=torch.int64)
    for true, predicted in pairs:
        matrix[true, predicted] += 1
    return matrix


@pytest.mark.parametrize("classes", [2, 8])
@pytest.mark.parametrize("rows", [1, 200])
def test_scores_are_those_of_the_slow_loop(classes, rows):
    draw = random.Random(classes + rows)
    pairs = [(draw.randrange(classes), draw.randrange(classes)) for _ in range(rows)]
    actual = scores(matrix_of(pairs, classes), ordinal=True)
    assert actual == pytest.approx(slow_scores(pairs))


def test_distance_counts_groups():
    matrix = torch.zeros(8, 8, dtype=torch.int64)
    matrix[0, 7] = 1  # furthest apart
    matrix[3, 4] = 2
    matrix[5, 5] = 1
    assert scores(matrix, ordinal=True) == {"accuracy": 0.25, "one_off": 0.75, "mae_groups": 2.25}


def test_classes_without_an_order_have_accuracy_only():
    assert scores(torch.tensor([[3, 1], [0, 4]]), ordinal=False) == {"accuracy": 0.875}


def test_an_empty_matrix_scores_nan():
    actual = scores(torch.zeros(8, 8, dtype=torch.int64), ordinal=True)
    assert set(actual) == {"accuracy", "one_off", "mae_groups"}
    assert all(math.isnan(value) for value in actual.values())


def test_a_class_without_rows_is_no_problem():
    matrix = torch.diag(torch.tensor([4, 0, 2]))
    assert scores(matrix, ordinal=True) == {"accuracy": 1, "one_off": 1, "mae_groups": 0}


def test_batches_add_up_and_missing_labels_do_not_count():
    generator = torch.Generator().manual_seed(0)
    metrics = TaskMetrics(classes={"gender": 2, "age": 8}, ordinal=["age"])
    pairs = {"gender": [], "age": []}
    for rows in (64, 1, 30):
        logits, targets = {}, {}
        for task, classes in (("gender", 2), ("age", 8)):
            logits[task] = torch.randn(rows, classes, generator=generator, requires_grad=True)
            targets[task] = torch.randint(0, classes, (rows,), generator=generator)
            targets[task][torch.rand(rows, generator=generator) < 0.3] = IGNORE
            predicted = logits[task].argmax(dim=1).tolist()
            pairs[task] += [
                (true, guess)
                for true, guess in zip(targets[task].tolist(), predicted, strict=True)
                if true != IGNORE
            ]
        metrics.update(logits, targets)
    confusions = metrics.confusions()
    assert torch.equal(confusions["gender"], matrix_of(pairs["gender"], 2))
    assert torch.equal(confusions["age"], matrix_of(pairs["age"], 8))
    expected = {f"age/{name}": value for name, value in slow_scores(pairs["age"]).items()}
    expected["gender/accuracy"] = slow_scores(pairs["gender"])["accuracy"]
    assert metrics.compute() == pytest.approx(expected)


def test_a_task_without_any_label_scores_nan_and_leaves_the_others_alone():
    metrics = TaskMetrics(classes={"gender": 2, "race": 5})
    logits = {"gender": torch.tensor([[2.0, 1.0]]), "race": torch.randn(1, 5)}
    metrics.update(logits, {"gender": torch.tensor([0]), "race": torch.tensor([IGNORE])})
    result = metrics.compute()
    assert result["gender/accuracy"] == 1
    assert math.isnan(result["race/accuracy"])


def test_reset_forgets_and_nothing_is_saved():
    metrics = TaskMetrics(classes={"gender": 2})
    metrics.update({"gender": torch.zeros(3, 2)}, {"gender": torch.zeros(3, dtype=torch.int64)})
    assert not metrics.state_dict()
    metrics.reset()
    metrics.update({"gender": torch.eye(2)}, {"gender": torch.tensor([0, 0])})
    assert metrics.confusions()["gender"].tolist() == [[1, 1], [0, 0]]
