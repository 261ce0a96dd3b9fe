import math

import pytest
import torch
from torch.nn import functional

from facialnet.errors import UserError
from facialnet.labels import IGNORE
from facialnet.training.losses import CrossEntropy, balanced_weights, mean_loss

WEIGHTS = [0.2, 1.0, 3.0, 0.5]


def draw(rows=33, classes=4, missing=0.4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(rows, classes, generator=generator)
    targets = torch.randint(0, classes, (rows,), generator=generator)
    targets[torch.rand(rows, generator=generator) < missing] = IGNORE
    return logits, targets


def slow_loss(logits, targets, weights, smoothing):
    """Weighted mean cross-entropy, one number after the other."""
    total = weight_sum = 0.0
    for row, target in zip(logits.tolist(), targets.tolist(), strict=True):
        if target == IGNORE:
            continue
        log_sum = math.log(sum(math.exp(value) for value in row))
        for index, value in enumerate(row):
            wanted = smoothing / len(row) + (1 - smoothing) * (index == target)
            total += wanted * weights[index] * (log_sum - value)
        weight_sum += weights[target]
    return total / weight_sum


@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("seed", range(3))
def test_mean_is_that_of_torch_and_of_the_slow_loop(weights, smoothing, seed):
    logits, targets = draw(seed=seed)
    loss = CrossEntropy(classes=4, label_smoothing=smoothing, class_weights=weights)
    actual = mean_loss(*loss(logits, targets))
    expected = functional.cross_entropy(
        logits,
        targets,
        weight=None if weights is None else torch.tensor(weights),
        ignore_index=IGNORE,
        label_smoothing=smoothing,
    )
    torch.testing.assert_close(actual, expected)
    slow = slow_loss(logits, targets, weights or [1.0] * 4, smoothing)
    assert actual.item() == pytest.approx(slow, rel=1e-5)


@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_rows_without_a_label_add_nothing(weights, smoothing):
    logits, targets = draw()
    logits.requires_grad_()
    loss = CrossEntropy(classes=4, label_smoothing=smoothing, class_weights=weights)
    total, weight = loss(logits, targets)
    known = targets != IGNORE
    total_known, weight_known = loss(logits[known], targets[known])
    torch.testing.assert_close(total, total_known)
    torch.testing.assert_close(weight, weight_known)
    total.backward()
    assert (logits.grad[~known] == 0).all()
    assert (logits.grad[known] != 0).any(dim=1).all()


@pytest.mark.parametrize("rows", [1, 7])
@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_a_batch_without_labels_gives_zero_and_zero_gradients(rows, weights, smoothing):
    logits = (1e4 * torch.randn(rows, 4)).requires_grad_()
    loss = CrossEntropy(classes=4, label_smoothing=smoothing, class_weights=weights)
    total, weight = loss(logits, torch.full((rows,), IGNORE))
    mean = mean_loss(total, weight)
    assert (total.item(), weight.item(), mean.item()) == (0, 0, 0)
    mean.backward()  # fails if the mean has no way back to the logits, as DDP would
    assert torch.equal(logits.grad, torch.zeros(rows, 4))


def test_a_batch_of_one():
    logits = torch.tensor([[1.0, 2.0]])
    total, weight = CrossEntropy(classes=2)(logits, torch.tensor([0]))
    assert mean_loss(total, weight).item() == pytest.approx(math.log(1 + math.e))


def test_a_batch_whose_classes_weigh_nothing_gives_zero():
    loss = CrossEntropy(classes=2, class_weights=[0, 1])
    mean = mean_loss(*loss(torch.randn(3, 2), torch.zeros(3, dtype=torch.int64)))
    assert mean.item() == 0


def test_processes_with_unequal_labels_add_up_to_the_whole_batch():
    logits, targets = draw(rows=20)
    targets[:10] = IGNORE  # one process without any label
    loss = CrossEntropy(classes=4, label_smoothing=0.1, class_weights=WEIGHTS)
    parts = [loss(logits[rows], targets[rows]) for rows in (slice(0, 10), slice(10, 20))]
    weight = torch.stack([weight for _, weight in parts]).mean()
    averaged = torch.stack([mean_loss(total, weight) for total, _ in parts]).mean()
    torch.testing.assert_close(averaged, mean_loss(*loss(logits, targets)))


def test_half_precision_logits_are_added_up_in_float32():
    logits, targets = draw(rows=512)
    half = logits.bfloat16()
    total, weight = CrossEntropy(classes=4)(half, targets)
    assert total.dtype == weight.dtype == torch.float32
    torch.testing.assert_close(total, CrossEntropy(classes=4)(half.float(), targets)[0])


def test_weights_are_not_in_the_state_dict():
    assert not CrossEntropy(classes=4, class_weights=WEIGHTS).state_dict()


def test_bad_settings_are_refused():
    with pytest.raises(UserError, match="3 weights for 2 classes"):
        CrossEntropy(classes=2, class_weights=[1, 1, 1])
    with pytest.raises(UserError, match=r"label_smoothing=1\.5"):
        CrossEntropy(classes=2, label_smoothing=1.5)


def test_balanced_weights_give_each_class_the_same_total():
    counts = [10, 30, 60]
    weights = balanced_weights(counts)
    assert weights == pytest.approx([100 / 30, 100 / 90, 100 / 180])
    totals = [weight * count for weight, count in zip(weights, counts, strict=True)]
    assert totals == pytest.approx([100 / 3] * 3)


def test_balanced_weights_of_an_empty_class_are_zero():
    assert balanced_weights([5, 0]) == [0.5, 0.0]
    assert balanced_weights([0, 0]) == [0.0, 0.0]
