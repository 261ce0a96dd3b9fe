import pytest
import torch
from systems import network_of

from facialnet.errors import UserError
from facialnet.models.chained_head import ChainedHead


@pytest.fixture
def head():
    torch.manual_seed(0)
    return ChainedHead(features=5, classes=8, given="gender", given_classes=2, hidden=(6, 4)).eval()


@pytest.fixture
def features():
    return torch.randn(4, 5, generator=torch.Generator().manual_seed(0))


def test_the_answer_is_the_sum_over_genders(head, features):
    gender = torch.tensor([[0.5, 0.5], [0.9, 0.1], [0.2, 0.8], [0.3, 0.7]])
    for_each = [answer(features).softmax(1) for answer in head.answers]
    expected = gender[:, :1] * for_each[0] + gender[:, 1:] * for_each[1]
    outputs = head(features, gender.log())
    torch.testing.assert_close(outputs.exp(), expected)
    torch.testing.assert_close(head.log_probabilities(outputs).exp(), expected)
    torch.testing.assert_close(outputs.exp().sum(1), torch.ones(4))


def test_a_sure_gender_chooses_one_answer(head, features):
    sure = torch.tensor([[0.0, -torch.inf]]).expand(4, 2)
    expected = head.answers[0](features).log_softmax(1)
    torch.testing.assert_close(head(features, sure), expected)


def test_no_gradient_goes_through_the_given_answer(head, features):
    given = torch.zeros(4, 2, requires_grad=True)
    head(features, given.log_softmax(1)).sum().backward()
    assert given.grad is None
    assert all(p.grad is not None for p in head.parameters())


def test_thresholds_cannot_be_mixed():
    with pytest.raises(UserError, match=r"head\.coding=coral: ChainedHead mixes probabilities"):
        ChainedHead(features=5, classes=8, given="gender", given_classes=2, coding="coral")


def test_in_a_network_age_follows_from_the_networks_own_gender():
    network = network_of("+system=chained").eval()
    images = torch.randint(0, 256, (3, 1, 75, 75), dtype=torch.uint8)
    with torch.no_grad():
        outputs = network(images)
        features = network.backbone((images / 255 - 0.5) / 0.5)
        gender = outputs["gender"].softmax(1)
        ages = [answer(features).softmax(1) for answer in network.heads["age"].answers]
    expected = gender[:, :1] * ages[0] + gender[:, 1:] * ages[1]
    actual = network.log_probabilities(outputs)["age"].exp()
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-6)


def test_the_ages_loss_leaves_the_gender_head_alone():
    network = network_of("+system=chained")
    images = torch.randint(0, 256, (4, 1, 75, 75), dtype=torch.uint8)
    network(images)["age"][:, 0].sum().backward()
    assert all(p.grad is None for p in network.heads["gender"].parameters())
    assert network.backbone.layers.conv1.weight.grad.abs().sum() > 0


def test_the_chain_needs_its_first_link():
    with pytest.raises(UserError, match=r"tasks\.age\.head\.given=gender: there must be a task"):
        network_of("+system=chained", "~tasks.gender")
