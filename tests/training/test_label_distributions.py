"""Losses that keep a logit for each class: formulas by hand; the rest is in test_ordinal."""

import math

import pytest
import torch
from test_ordinal import CLASSES, WEIGHTS, check_against
from torch.nn import functional

from facialnet.errors import UserError
from facialnet.labels import _YEARS, AGE_GROUPS
from facialnet.training.label_distributions import AGE_MIDDLES, DLDL, Expectation, SoftLabels
from facialnet.training.losses import mean_loss

cases = pytest.mark.parametrize(
    ("class_weights", "weighed"), [(None, False), (None, True), (WEIGHTS, False), (WEIGHTS, True)]
)


def probabilities(row):
    return [math.exp(value) / sum(map(math.exp, row)) for value in row]


def gaussian(places, middle, sigma):
    heights = [math.exp(-((place - middle) ** 2) / (2 * sigma**2)) for place in places]
    return [height / sum(heights) for height in heights]


@cases
@pytest.mark.parametrize("sigma", [0.5, 2.0])
def test_soft_labels_equal_the_slow_loop(class_weights, weighed, sigma):
    def row_loss(row, target):
        wanted = gaussian(range(CLASSES), target, sigma)
        return -sum(q * math.log(p) for q, p in zip(wanted, probabilities(row), strict=True))

    check_against(SoftLabels, row_loss, class_weights, weighed, sigma=sigma)


@cases
@pytest.mark.parametrize("sigma", [1.0, 6.0])
def test_dldl_equals_the_slow_loop(class_weights, weighed, sigma):
    middles = (1, 5, 10.5, 17.5, 28.5, 40.5, 50.5, 70)

    def row_loss(row, target):
        wanted = gaussian(middles, middles[target], sigma)
        pairs = zip(wanted, probabilities(row), strict=True)
        return sum(q * math.log(q / p) for q, p in pairs if q > 0)

    check_against(DLDL, row_loss, class_weights, weighed, sigma=sigma)


@cases
@pytest.mark.parametrize("error_weight", [0.0, 2.5])
def test_expectation_equals_the_slow_loop(class_weights, weighed, error_weight):
    def row_loss(row, target):
        chances = probabilities(row)
        expected = sum(number * chance for number, chance in enumerate(chances))
        return -math.log(chances[target]) + error_weight * abs(expected - target)

    check_against(Expectation, row_loss, class_weights, weighed, error_weight=error_weight)


def test_a_narrow_gaussian_is_cross_entropy():
    logits, targets = torch.randn(20, CLASSES), torch.arange(20) % CLASSES
    expected = functional.cross_entropy(logits, targets)
    for loss in (SoftLabels, DLDL):
        actual = mean_loss(*loss(classes=CLASSES, sigma=0.05)(logits, targets))
        torch.testing.assert_close(actual, expected)


def test_dldl_is_zero_and_at_rest_where_the_network_agrees():
    loss = DLDL(classes=CLASSES, sigma=4)
    logits = loss.wanted.clamp(min=1e-30).log().requires_grad_()
    total, _ = loss(logits, torch.arange(CLASSES))
    total.backward()
    assert total.item() == pytest.approx(0, abs=1e-5)
    assert logits.grad.abs().max() < 1e-6


def test_middles_are_those_of_the_groups():
    assert len(AGE_MIDDLES) == len(AGE_GROUPS)
    assert list(AGE_MIDDLES[:-1]) == [(low + high) / 2 for low, high in _YEARS[:-1]]
    assert AGE_MIDDLES[-1] > 60


def test_other_classes_bring_their_own_middles():
    loss = DLDL(classes=3, sigma=5, middles=[10, 30, 60])
    expected = torch.tensor(gaussian((10, 30, 60), 30, 5))
    logits = torch.tensor([[0.1, -0.2, 0.3]])
    actual = functional.kl_div(logits.log_softmax(1), expected[None], reduction="sum")
    torch.testing.assert_close(loss(logits, torch.tensor([1]))[0], actual)


@pytest.mark.parametrize("sigma", [0, -1, float("inf"), float("nan")])
@pytest.mark.parametrize("loss", [SoftLabels, DLDL])
def test_sigma_must_be_above_0(loss, sigma):
    with pytest.raises(UserError, match=r"ordinal\.sigma=.*: must be above 0"):
        loss(classes=CLASSES, sigma=sigma)


def test_other_bad_settings_are_refused():
    with pytest.raises(UserError, match=r"ordinal\.middles has 8 numbers for 5 classes"):
        DLDL(classes=5)
    with pytest.raises(UserError, match=r"ordinal\.middles=\[1, 1, 2\]: each must be above"):
        DLDL(classes=3, middles=[1, 1, 2])
    with pytest.raises(UserError, match=r"ordinal\.error_weight=-1: must be 0 or above"):
        Expectation(classes=3, error_weight=-1)
