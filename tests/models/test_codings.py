import math
from itertools import product

import pytest
import torch
from coral_pytorch.dataset import corn_label_from_logits, proba_to_label

from facialnet.errors import UserError
from facialnet.models.codings import CODINGS, log_probabilities, output_count

CLASSES = 8
THRESHOLDS = ("coral", "or_cnn", "corn")


def draw(coding, rows=50, scale=3.0, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(rows, output_count(coding, CLASSES), generator=generator)


def sigmoid(value):
    return 1 / (1 + math.exp(-value))


def slow(row, coding):
    """Probability of each class from one row of outputs, one number after the other."""
    if coding == "softmax":
        return [math.exp(value) / sum(map(math.exp, row)) for value in row]
    chances = [sigmoid(value) for value in row]
    if coding == "corn":
        found = []
        for label in range(len(row) + 1):
            chance = math.prod(chances[:label])
            found.append(chance if label == len(row) else chance * (1 - chances[label]))
        return found
    chances = [1.0, *sorted(chances, reverse=True), 0.0]
    return [chances[label] - chances[label + 1] for label in range(len(row) + 1)]


@pytest.mark.parametrize("coding", CODINGS)
def test_equals_the_slow_loop(coding):
    outputs = draw(coding)
    actual = log_probabilities(outputs, coding).exp()
    expected = torch.tensor([slow(row, coding) for row in outputs.tolist()])
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("scale", [0.0, 1.0, 30.0, 1e4])
def test_are_finite_and_add_up_to_one(coding, dtype, scale):
    outputs = draw(coding, scale=scale).to(dtype)
    extreme = scale * torch.tensor(list(product([-1.0, 1.0], repeat=outputs.shape[1])))
    for values in (outputs, extreme.to(dtype)):
        logs = log_probabilities(values, coding)
        assert logs.dtype == torch.float32
        assert logs.shape == (*values.shape[:-1], CLASSES)
        assert logs.isfinite().all()
        torch.testing.assert_close(logs.exp().sum(-1), torch.ones(len(values)))


@pytest.mark.parametrize("coding", CODINGS)
def test_gradients_of_extreme_outputs_are_finite(coding):
    outputs = draw(coding, scale=1e4).requires_grad_()
    log_probabilities(outputs, coding).sum().backward()
    assert outputs.grad.isfinite().all()


@pytest.mark.parametrize("coding", ["coral", "or_cnn"])
def test_likeliest_class_is_the_number_of_thresholds_passed(coding):
    # every pattern of clear answers, also those that contradict each other
    answers = torch.tensor(list(product([-9.0, 9.0], repeat=CLASSES - 1)))
    expected = proba_to_label(answers.sigmoid())
    assert torch.equal(log_probabilities(answers, coding).argmax(-1), expected)
    assert set(expected.tolist()) == set(range(CLASSES))


def test_likeliest_class_of_corn_is_where_the_first_threshold_stops():
    answers = torch.tensor(list(product([-9.0, 9.0], repeat=CLASSES - 1)))
    expected = corn_label_from_logits(answers)
    assert torch.equal(log_probabilities(answers, "corn").argmax(-1), expected)
    assert set(expected.tolist()) == set(range(CLASSES))


@pytest.mark.parametrize("coding", THRESHOLDS)
def test_two_classes_are_a_sigmoid(coding):
    outputs = torch.tensor([[-2.0], [0.0], [3.0]])
    expected = torch.stack([(-outputs[:, 0]).sigmoid(), outputs[:, 0].sigmoid()], 1)
    torch.testing.assert_close(log_probabilities(outputs, coding).exp(), expected)


@pytest.mark.parametrize("coding", CODINGS)
def test_leading_dimensions_are_kept(coding):
    outputs = draw(coding, rows=6)
    expected = log_probabilities(outputs, coding).view(2, 3, CLASSES)
    actual = log_probabilities(outputs.view(2, 3, -1), coding)
    torch.testing.assert_close(actual, expected, rtol=0, atol=0)


def test_output_counts():
    assert [output_count(coding, 8) for coding in CODINGS] == [8, 7, 7, 7]
    with pytest.raises(UserError, match=r"head\.coding=rank: allowed values are softmax, coral"):
        output_count("rank", 8)
