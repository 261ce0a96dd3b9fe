import pytest
import torch
from systems import network_of, parameters, shape_of
from torch import nn

from facialnet.errors import UserError
from facialnet.models.backbones.lfw_cnn import LFWCNN


def published():
    """Figure 9 of the paper, layer by layer, without its softmax."""
    return nn.Sequential(
        nn.Conv2d(3, 16, 3),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.MaxPool2d(2, 2),
        nn.Conv2d(16, 32, 3),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.MaxPool2d(2, 2),
        nn.Flatten(),
        nn.Linear(32 * 23 * 23, 120),
        nn.BatchNorm1d(120),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(120, 2),
    )


def test_the_papers_network_has_2037146_parameters():
    assert parameters(shape_of("+system=lfw_cnn", "tasks=gender")) == 2_037_146


def test_it_computes_what_figure_9_does():
    torch.manual_seed(0)
    theirs = published().eval()
    ours = network_of("+system=lfw_cnn", "tasks=gender").eval()
    tensors = iter(theirs.state_dict().values())
    ours.load_state_dict({name: next(tensors) for name in ours.state_dict()})
    images = torch.randint(0, 256, (2, 3, 100, 100))
    expected = theirs((images / 255 - 0.5) / 0.5)
    torch.testing.assert_close(ours(images)["gender"], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("channels", "size"), [(3, 100), (1, 75), (3, 48), (3, 101)])
def test_features_follow_the_input(channels, size):
    network = LFWCNN(channels=channels, size=size)
    assert network(torch.zeros(1, channels, size, size)).shape == (1, network.features)


def test_a_size_that_leaves_no_feature_is_refused():
    assert LFWCNN(size=10).features == 32
    with pytest.raises(UserError, match=r"model\.backbone\.size=9: too small"):
        LFWCNN(size=9)
