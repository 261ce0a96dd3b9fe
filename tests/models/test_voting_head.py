import pytest
import torch

from facialnet.errors import UserError
from facialnet.models.voting_head import VotingHead


@pytest.mark.parametrize("options", [{}, {"hidden": (6,)}, {"sigmoid": True, "norm": "before"}])
def test_the_answer_is_the_mean_of_the_parts_probabilities(options):
    torch.manual_seed(0)
    head = VotingHead(features=5, classes=2, **options).eval()
    features = torch.randn(4, 9, 5)
    expected = torch.stack([head.vote(features[:, part]).softmax(1) for part in range(9)]).mean(0)
    outputs = head(features)
    torch.testing.assert_close(outputs.exp(), expected)
    torch.testing.assert_close(head.log_probabilities(outputs).exp(), expected)


def test_the_order_of_the_parts_does_not_matter():
    head = VotingHead(features=5, classes=8)
    features = torch.randn(4, 9, 5)
    torch.testing.assert_close(head(features), head(features[:, torch.randperm(9)]))


def test_a_sure_but_wrong_part_is_outvoted_and_nothing_is_infinite():
    head = VotingHead(features=2, classes=2)
    head.vote.load_state_dict(
        {"layers.output.weight": torch.eye(2), "layers.output.bias": torch.zeros(2)}
    )
    features = torch.tensor([[[0.0, 9.0]] * 8 + [[1e4, 0.0]]])
    outputs = head(features)
    assert outputs.exp()[0, 1].item() == pytest.approx(8 / 9, abs=1e-3)
    assert outputs.isfinite().all()


def test_features_without_parts_are_refused():
    with pytest.raises(UserError, match="several parts"):
        VotingHead(features=5, classes=2)(torch.zeros(3, 5))


def test_thresholds_cannot_vote():
    with pytest.raises(UserError, match=r"head\.coding=corn: VotingHead mixes probabilities"):
        VotingHead(features=5, classes=8, coding="corn")
