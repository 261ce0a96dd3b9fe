"""What all losses for ordered classes have in common, and those that learn thresholds."""

import math

import pytest
import torch
from coral_pytorch.dataset import levels_from_labelbatch
from coral_pytorch.losses import coral_loss, corn_loss

from facialnet.errors import UserError
from facialnet.labels import IGNORE
from facialnet.models.codings import log_probabilities, output_count
from facialnet.training.label_distributions import DLDL, Expectation, SoftLabels
from facialnet.training.losses import mean_loss
from facialnet.training.ordinal import Coral, Corn, OrCnn

LOSSES = (SoftLabels, DLDL, Coral, Corn, OrCnn, Expectation)
CLASSES = 8
WEIGHTS = [0.2, 1.0, 3.0, 0.5, 0.0, 1.5, 2.0, 0.7]


def draw(loss, rows=33, missing=0.4, seed=0, scale=3.0):
    """Outputs, targets of which some are missing, and row weights."""
    generator = torch.Generator().manual_seed(seed)
    outputs = scale * torch.randn(rows, output_count(loss.coding, CLASSES), generator=generator)
    targets = torch.randint(0, CLASSES, (rows,), generator=generator)
    targets[torch.rand(rows, generator=generator) < missing] = IGNORE
    return outputs, targets, torch.rand(rows, generator=generator)


def slow_sums(row_loss, outputs, targets, class_weights, row_weights):
    """Weighted sum of one row's loss after the other, and sum of the weights."""
    total = weight_sum = 0.0
    rows = zip(outputs.double().tolist(), targets.tolist(), row_weights.tolist(), strict=True)
    for row, target, row_weight in rows:
        if target == IGNORE:
            continue
        weight = row_weight * (1.0 if class_weights is None else class_weights[target])
        total += weight * row_loss(row, target)
        weight_sum += weight
    return total, weight_sum


def log_sigmoid(value):
    return -math.log1p(math.exp(-value))


def slow_thresholds(row, target):
    """Cross-entropy of every answer to: is it beyond class k?"""
    return -sum(
        log_sigmoid(value) if target > k else log_sigmoid(-value) for k, value in enumerate(row)
    )


def slow_conditional(row, target):
    """Minus the logarithm of a chain: beyond 0, and then beyond 1, ..., and then not beyond y."""
    passed = sum(log_sigmoid(value) for value in row[:target])
    return -(passed + (log_sigmoid(-row[target]) if target < len(row) else 0.0))


def check_against(loss_class, row_loss, class_weights, weighed, **named):
    loss = loss_class(classes=CLASSES, class_weights=class_weights, **named)
    for seed in range(3):
        outputs, targets, row_weights = draw(loss, seed=seed)
        actual = loss(outputs, targets, row_weights if weighed else None)
        weights = row_weights if weighed else torch.ones(len(targets))
        total, weight = slow_sums(row_loss, outputs, targets, class_weights, weights)
        assert actual[0].item() == pytest.approx(total, rel=1e-4)
        assert actual[1].item() == pytest.approx(weight, rel=1e-5)


@pytest.mark.parametrize("class_weights", [None, WEIGHTS])
@pytest.mark.parametrize("weighed", [False, True])
def test_threshold_losses_equal_the_slow_loop(class_weights, weighed):
    for loss, row_loss in (
        (Coral, slow_thresholds),
        (OrCnn, slow_thresholds),
        (Corn, slow_conditional),
    ):
        check_against(loss, row_loss, class_weights, weighed)


@pytest.mark.parametrize("loss", [Coral, OrCnn])
def test_coral_is_that_of_its_authors(loss):
    outputs, targets, _ = draw(loss, missing=0)
    expected = coral_loss(outputs, levels_from_labelbatch(targets, CLASSES))
    actual = mean_loss(*loss(classes=CLASSES)(outputs, targets))
    torch.testing.assert_close(actual, expected)


def test_corn_is_that_of_its_authors_times_the_subsets_of_a_row():
    outputs, targets, _ = draw(Corn, missing=0)
    subsets = sum(int((targets >= k).sum()) for k in range(CLASSES - 1))
    expected = corn_loss(outputs, targets, CLASSES) * subsets / len(targets)
    torch.testing.assert_close(mean_loss(*Corn(classes=CLASSES)(outputs, targets)), expected)


def test_corn_is_the_negative_log_likelihood_of_its_coding():
    outputs, targets, _ = draw(Corn, missing=0)
    expected = -log_probabilities(outputs, "corn").gather(1, targets[:, None]).sum()
    torch.testing.assert_close(Corn(classes=CLASSES)(outputs, targets)[0], expected)


@pytest.mark.parametrize("loss_class", LOSSES)
@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_rows_without_a_label_add_nothing(loss_class, weights):
    loss = loss_class(classes=CLASSES, class_weights=weights)
    outputs, targets, row_weights = draw(loss)
    outputs.requires_grad_()
    known = targets != IGNORE
    for given in (None, row_weights):
        outputs.grad = None
        total, weight = loss(outputs, targets, given)
        some = None if given is None else given[known]
        total_known, weight_known = loss(outputs[known], targets[known], some)
        torch.testing.assert_close(total, total_known)
        torch.testing.assert_close(weight, weight_known)
        total.backward()
        assert (outputs.grad[~known] == 0).all()
        heavy = known if weights is None else known & (targets != 4)  # class 4 weighs nothing
        assert (outputs.grad[heavy] != 0).any(dim=1).all()


@pytest.mark.parametrize("loss_class", LOSSES)
@pytest.mark.parametrize("rows", [1, 7])
@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_a_batch_without_labels_gives_zero_and_zero_gradients(loss_class, rows, weights):
    loss = loss_class(classes=CLASSES, class_weights=weights)
    outputs = draw(loss, rows=rows, scale=1e4)[0].requires_grad_()
    total, weight = loss(outputs, torch.full((rows,), IGNORE), torch.ones(rows))
    mean = mean_loss(total, weight)
    assert (total.item(), weight.item(), mean.item()) == (0, 0, 0)
    mean.backward()  # fails if the mean has no way back to the outputs, as DDP would
    assert torch.equal(outputs.grad, torch.zeros_like(outputs))


@pytest.mark.parametrize("loss_class", LOSSES)
def test_processes_with_unequal_labels_add_up_to_the_whole_batch(loss_class):
    loss = loss_class(classes=CLASSES, class_weights=WEIGHTS)
    outputs, targets, row_weights = draw(loss, rows=20, missing=0.2)
    targets[:10] = IGNORE  # one process without any label
    parts = [
        loss(outputs[rows], targets[rows], row_weights[rows])
        for rows in (slice(0, 10), slice(10, 20))
    ]
    whole = loss(outputs, targets, row_weights)
    for number in (0, 1):
        torch.testing.assert_close(parts[0][number] + parts[1][number], whole[number])


@pytest.mark.parametrize("loss_class", LOSSES)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_outputs_are_added_up_in_float32(loss_class, dtype):
    loss = loss_class(classes=CLASSES)
    outputs, targets, row_weights = draw(loss, rows=512)
    half = outputs.to(dtype)
    expected = loss(half.float(), targets, row_weights)
    for autocast in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            total, weight = loss(half, targets, row_weights)
        assert total.dtype == weight.dtype == torch.float32
        torch.testing.assert_close((total, weight), expected)


@pytest.mark.parametrize("loss_class", LOSSES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_extreme_outputs_stay_finite(loss_class, dtype):
    loss = loss_class(classes=CLASSES)
    columns = output_count(loss.coding, CLASSES)
    outputs = torch.full((2 * CLASSES, columns), 1e4)
    outputs[::2, ::2] *= -1
    outputs[-1] *= -1
    outputs = outputs.to(dtype).requires_grad_()
    total, _ = loss(outputs, torch.arange(2 * CLASSES) % CLASSES)
    total.backward()
    assert total.isfinite()
    assert total > 0
    assert outputs.grad.isfinite().all()


@pytest.mark.parametrize("loss_class", LOSSES)
def test_right_answers_cost_less_than_wrong_ones_and_near_less_than_far(loss_class):
    """Clear answers for every class, in the loss's own coding."""
    loss = loss_class(classes=CLASSES)
    if loss.coding == "softmax":
        answers = 6 * torch.eye(CLASSES)
    else:
        answers = torch.tensor(
            [[6.0 if label > k else -6.0 for k in range(CLASSES - 1)] for label in range(CLASSES)]
        )
    assert torch.equal(log_probabilities(answers, loss.coding).argmax(1), torch.arange(CLASSES))
    for label in range(CLASSES):
        targets = torch.full((CLASSES,), label)
        costs = loss.row_losses(answers, targets)
        assert costs.argmin() == label
        if loss_class is not Corn:  # it asks a face of class 0 no more than one question
            older, younger = costs[label:], costs[: label + 1].flip(0)
            assert (older.diff() >= -1e-4).all()
            assert (younger.diff() >= -1e-4).all()


@pytest.mark.parametrize("loss_class", LOSSES)
def test_nothing_is_in_the_state_dict(loss_class):
    assert not loss_class(classes=CLASSES, class_weights=WEIGHTS).state_dict()


@pytest.mark.parametrize("loss_class", LOSSES)
def test_bad_settings_are_refused(loss_class):
    with pytest.raises(UserError, match=r"loss\.class_weights has 3 weights for 8 classes"):
        loss_class(classes=CLASSES, class_weights=[1, 1, 1])
    outputs = 7 if loss_class.coding == "softmax" else 8
    with pytest.raises(UserError, match=f"coding={loss_class.coding}.*this one has {outputs}"):
        loss_class(classes=CLASSES)(torch.zeros(2, outputs), torch.zeros(2, dtype=torch.int64))
