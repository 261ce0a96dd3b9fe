import pytest
import torch
from torch import nn

from facialnet.models.backbones.facialnet import FacialNet
from facialnet.models.heads import Head, MLPHead
from facialnet.models.multitask import MultiTaskNetwork


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    backbone = FacialNet()
    heads = {
        "gender": MLPHead(features=backbone.features, classes=2, dropout=(0.5, 0.3)),
        "age": MLPHead(features=backbone.features, classes=8, dropout=(0.4, 0.2)),
    }
    return MultiTaskNetwork(backbone, heads).eval()


@pytest.fixture(scope="module")
def images():
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (4, 1, 75, 75), dtype=torch.uint8, generator=generator)


class Keep(Head):
    """Hands on what it is given, so that a test sees what the network makes of the pixels."""

    def forward(self, images):
        return images


def test_the_papers_network_has_4159242_parameters(network):
    assert sum(p.numel() for p in network.parameters()) == 4_159_242


def test_each_task_gets_its_logits(network, images):
    logits = network(images)
    assert {task: tuple(values.shape) for task, values in logits.items()} == {
        "gender": (4, 2),
        "age": (4, 8),
    }
    assert all(values.dtype == torch.float32 for values in logits.values())


def test_bytes_and_floats_give_equal_logits(network, images):
    from_bytes, from_floats = network(images), network(images.float())
    assert all(torch.equal(from_bytes[task], from_floats[task]) for task in from_bytes)


def test_memory_format_of_the_input_does_not_matter():
    torch.manual_seed(0)
    backbone = FacialNet(channels=3, size=48)
    heads = {"race": MLPHead(features=backbone.features, classes=5)}
    network = MultiTaskNetwork(backbone, heads).eval()
    images = torch.randint(0, 256, (2, 3, 48, 48), dtype=torch.uint8)
    other = images.contiguous(memory_format=torch.channels_last)
    assert torch.equal(network(images)["race"], network(other)["race"])


def test_a_batch_of_one_gives_what_it_gives_in_company(network, images):
    alone, together = network(images[:1]), network(images)
    for task in alone:
        torch.testing.assert_close(alone[task], together[task][:1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("mean", [(0.5,), (0.485, 0.456, 0.406)])
def test_normalisation_is_that_of_the_formula(mean):
    std = tuple(0.2 + value / 10 for value in mean)
    network = MultiTaskNetwork(Keep(), {"pixels": Keep()}, mean=mean, std=std)
    images = torch.randint(0, 256, (2, 3, 5, 7), dtype=torch.uint8)
    means, stds = torch.tensor(mean).view(-1, 1, 1), torch.tensor(std).view(-1, 1, 1)
    expected = (images.float() / 255 - means) / stds
    actual = network(images)["pixels"]
    torch.testing.assert_close(actual, expected)
    assert actual.is_contiguous(memory_format=torch.channels_last)


def test_the_callers_images_stay_as_they_are(network, images):
    floats = images.float()
    before = floats.clone()
    network(floats)
    assert torch.equal(floats, before)


def test_every_convolution_works_in_channels_last(network, images):
    weights = [m.weight for m in network.modules() if isinstance(m, nn.Conv2d)]
    assert all(w.is_contiguous(memory_format=torch.channels_last) for w in weights)
    formats = []
    hooks = [
        module.register_forward_hook(
            lambda _module, _inputs, output: formats.append(
                output.is_contiguous(memory_format=torch.channels_last)
            )
        )
        for module in network.modules()
        if isinstance(module, nn.Conv2d)
    ]
    network(images)
    for hook in hooks:
        hook.remove()
    assert formats == [True] * 8


def test_normalisation_is_not_in_the_state_dict(network):
    assert {name.split(".")[0] for name in network.state_dict()} == {"backbone", "heads"}


def test_gradients_reach_every_parameter_and_the_pixels(images):
    torch.manual_seed(0)
    backbone = FacialNet(batch_norm=True)
    heads = {"age": MLPHead(features=backbone.features, classes=8)}
    network = MultiTaskNetwork(backbone, heads)
    pixels = images.float().requires_grad_()
    network(pixels)["age"].square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())
    assert pixels.grad is not None
    assert pixels.grad.abs().sum() > 0
