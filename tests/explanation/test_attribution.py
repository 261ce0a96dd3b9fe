"""The three methods against slow versions of their own formulas, for every coding of a head."""

import sys

import numpy as np
import pytest
import torch
from tiny import HEADS, TASKS, images, network

from facialnet.errors import UserError
from facialnet.explanation import attribution
from facialnet.explanation.answer import answer_of, log_odds_of, undisturbed
from facialnet.explanation.attribution import (
    check_methods,
    empty,
    gradcam,
    integrated_gradients,
    occlusion,
    occlusion_window,
)
from facialnet.explanation.map_layer import map_layer
from facialnet.models.chained_head import ChainedHead

CLASSES = torch.tensor([0, 1, 1])


def log_odds(net, task, pixels, classes):
    """By the network's own methods, in evaluation: [N]."""
    net.eval()
    with torch.no_grad():
        logs = net.log_probabilities(net(pixels))[task]
    shares = logs.double().exp()[torch.arange(len(pixels)), classes]
    return (shares.log() - (1 - shares).log()).float()


def score_of(net, task):
    return log_odds_of(answer_of(net, task))


def enlarged(places, side):
    """Straight lines between the centres of places [h, w], pixel by pixel."""
    count = len(places)
    result = np.zeros((side, side))
    for row in range(side):
        for column in range(side):
            y = min(max((row + 0.5) * count / side - 0.5, 0), count - 1)
            x = min(max((column + 0.5) * count / side - 0.5, 0), count - 1)
            top, left = int(y), int(x)
            low, right = min(top + 1, count - 1), min(left + 1, count - 1)
            upper = places[top, left] * (1 - x + left) + places[top, right] * (x - left)
            lower = places[low, left] * (1 - x + left) + places[low, right] * (x - left)
            result[row, column] = upper * (1 - y + top) + lower * (y - top)
    return result


@pytest.mark.parametrize("coding", HEADS)
@pytest.mark.parametrize("task", TASKS)
def test_gradcam_equals_its_formula(task, coding):
    net, pixels = network(coding), images()
    with undisturbed(net):
        found = gradcam(score_of(net, task), pixels, CLASSES, map_layer(net, pixels[:1]))
    net.eval()
    for number in range(len(pixels)):
        with torch.no_grad():
            normal = torch.addcmul(net.shift, pixels[number : number + 1], net.scale)
            maps = net.backbone.layers[:5](normal)
        maps = maps.clone().requires_grad_()
        features = net.backbone.layers[5:](maps).flatten(1)
        outputs = {"gender": net.heads["gender"](features)}
        if coding == "chained":
            given = outputs["gender"].log_softmax(1)
            parts = [answer(features).log_softmax(1) for answer in net.heads["age"].answers]
            logs = sum((part + given[:, k : k + 1]).exp() for k, part in enumerate(parts)).log()
        else:
            logs = net.heads["age"].log_probabilities(net.heads["age"](features))
        if task == "gender":
            logs = outputs["gender"].log_softmax(1)
        share = logs.double().exp()[0, CLASSES[number]]
        (share.log() - (1 - share).log()).backward()
        places = np.zeros((8, 8))
        for channel in range(6):
            weight = maps.grad[0, channel].mean().item()
            places += weight * maps[0, channel].detach().numpy()
        np.testing.assert_allclose(found[number], enlarged(places, 16), atol=1e-5)


@pytest.mark.parametrize("coding", HEADS)
@pytest.mark.parametrize("task", TASKS)
def test_integrated_gradients_add_up_to_the_log_odds(task, coding, monkeypatch):
    net, pixels = network(coding, channels=3), images(channels=3)
    with undisturbed(net):
        found = integrated_gradients(score_of(net, task), pixels, CLASSES)
    assert found.shape == (3, 16, 16)
    rise = log_odds(net, task, pixels, CLASSES) - log_odds(net, task, empty(pixels), CLASSES)
    assert rise.abs().min() > 1e-3
    assert (found.sum((1, 2)) - rise).abs().max() < 0.1 * rise.abs().max()
    monkeypatch.setattr(attribution, "_STEPS", 500)  # the kinks of ReLUs take many
    with undisturbed(net):
        found = integrated_gradients(score_of(net, task), pixels, CLASSES)
    assert (found.sum((1, 2)) - rise).abs().max() < 0.01 * rise.abs().max() + 1e-5


@pytest.mark.parametrize("coding", HEADS)
def test_occlusion_equals_hiding_window_by_window(coding):
    net, pixels = network(coding, channels=3), images(channels=3)
    with undisturbed(net):
        found = occlusion(score_of(net, "age"), pixels, CLASSES)
    window, step = occlusion_window(16)
    assert (window, step) == (3, 1)
    before = log_odds(net, "age", pixels, CLASSES)
    total, times = torch.zeros(3, 16, 16), torch.zeros(16, 16)
    for top in range(0, 16 - window + 1, step):
        for left in range(0, 16 - window + 1, step):
            place = (slice(top, top + window), slice(left, left + window))
            hidden = pixels.clone()
            for number in range(3):
                for channel in range(3):
                    hidden[(number, channel, *place)] = pixels[number, channel].mean()
            fall = before - log_odds(net, "age", hidden, CLASSES)
            total[(slice(None), *place)] += fall[:, None, None]
            times[place] += 1
    torch.testing.assert_close(found, total / times, atol=1e-5, rtol=1e-4)


def test_windows_that_do_not_fit_the_side_reach_its_end():
    net = network()
    with undisturbed(net):
        found = occlusion(lambda x: x[:, 0, -1, -1:] / 255, images(), torch.tensor([0, 0, 0]))
    assert (found[:, -1, -1].abs() > 0).all()
    assert occlusion_window(75) == (12, 6)
    assert occlusion_window(8) == (2, 1)


@pytest.mark.parametrize("coding", HEADS)
def test_a_network_is_left_as_it_was(coding):
    net, pixels = network(coding), images()
    net.backbone.layers.norm1.eval()  # as a frozen part in training
    for parameter in net.backbone.parameters():
        parameter.requires_grad_(False)
    modes = [module.training for module in net.modules()]
    state = {name: value.clone() for name, value in net.state_dict().items()}
    random = torch.get_rng_state()
    hooks = sum(len(module._forward_hooks) for module in net.modules())
    layer = map_layer(net, pixels[:1])
    with torch.no_grad(), undisturbed(net):
        for task in TASKS:
            assert gradcam(score_of(net, task), pixels, CLASSES, layer).any()
            assert integrated_gradients(score_of(net, task), pixels, CLASSES).any()
            assert occlusion(score_of(net, task), pixels, CLASSES).any()
    assert [module.training for module in net.modules()] == modes
    assert all(torch.equal(state[name], value) for name, value in net.state_dict().items())
    assert all(parameter.grad is None for parameter in net.parameters())
    assert torch.equal(torch.get_rng_state(), random)
    assert sum(len(module._forward_hooks) for module in net.modules()) == hooks
    assert not pixels.requires_grad
    heads = [head for head in net.modules() if isinstance(head, ChainedHead)]
    assert not any(head.given_gradient for head in heads)


def test_an_error_inside_leaves_the_network_as_it_was_too():
    net = network("chained")

    def fail():
        with undisturbed(net), undisturbed(net):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert net.training
    assert not net.heads["age"].given_gradient


def test_the_whole_way_of_a_chained_answer_is_on_inside_alone():
    net = network("chained")
    with undisturbed(net):
        with undisturbed(net):
            pass
        assert net.heads["age"].given_gradient
    assert not net.heads["age"].given_gradient


def test_an_answer_that_is_sure_is_explained_as_one_that_is_not():
    """Where p is 1 but for 1e-15, the gradient of log p is nothing but rounding."""
    net, pixels = network(), images()
    found = {}
    for bias in (35.0, 2.0):
        with torch.no_grad():
            net.heads["gender"].layers.output.bias.copy_(torch.tensor([0.0, bias]))
        layer = map_layer(net, pixels[:1])
        with undisturbed(net):
            found[bias] = gradcam(score_of(net, "gender"), pixels, torch.ones(3).long(), layer)
    torch.testing.assert_close(found[35.0], found[2.0], rtol=1e-3, atol=1e-5)


def test_a_temperature_calibrates_what_is_explained():
    net, pixels = network(), images()
    with undisturbed(net), torch.no_grad():
        plain = answer_of(net, "age")(pixels).exp()
        warm = answer_of(net, "age", temperature=2.0)(pixels).exp()
    expected = plain.sqrt() / plain.sqrt().sum(1, keepdim=True)
    torch.testing.assert_close(warm, expected)


def test_wrong_methods_are_named():
    with pytest.raises(UserError, match=r"--methods=gradcam,lime: choose from gradcam, integrated"):
        check_methods(["gradcam", "lime"], "--methods")
    with pytest.raises(UserError, match=r"--methods=: choose from"):
        check_methods([], "--methods")


def test_without_captum_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "captum.attr", None)
    with pytest.raises(UserError, match=r"captum: pip install 'facialnet\[explain\]'"):
        check_methods(["gradcam"], "--methods")
