import socket
import time

import pytest
import timm
import torch
from huggingface_hub import constants
from safetensors.torch import save_file
from systems import keras_count, shape_of
from torch import nn

from facialnet.errors import UserError
from facialnet.models import pretrained
from facialnet.models.backbones.timm_model import TimmBackbone


def test_resnet50_v2_has_the_papers_parameters_but_for_biases():
    """Adience comparison, section 2.3.

    Keras' ResNet50V2 gives a bias to its first convolution, to the last of every block and to every
    shortcut; timm's has none.
    """
    network = shape_of("+system=resnet50_v2", "tasks=gender")
    biased = [
        layer
        for name, layer in network.backbone.named_modules()
        if isinstance(layer, nn.Conv2d)
        and name.endswith(("stem.conv", ".conv3", ".downsample.conv"))
    ]
    assert len(biased) == 1 + 16 + 4
    assert all(layer.bias is None for layer in biased)
    biases = sum(layer.out_channels for layer in biased)
    assert biases == 19_008
    assert keras_count(network.backbone) + biases == 23_564_800
    assert keras_count(network) + biases == 26_334_721


@pytest.fixture(scope="module")
def published():
    torch.manual_seed(1)
    return timm.create_model("test_resnet", num_classes=7).eval()


def test_features_are_what_the_published_classifier_gets(published, tmp_path):
    save_file(published.state_dict(), tmp_path / "model.safetensors")
    network = TimmBackbone(
        name="test_resnet", weights=str(tmp_path / "model.safetensors"), size=64
    ).eval()
    images = torch.randn(2, 3, 64, 64)
    features = network(images)
    assert features.shape == (2, network.features)
    torch.testing.assert_close(published.get_classifier()(features), published(images))
    grey = images[:, :1]
    torch.testing.assert_close(network(grey), network(grey.repeat(1, 3, 1, 1)))


def test_a_transformer_is_made_for_the_size():
    with torch.device("meta"):
        network = TimmBackbone(name="test_vit", pretrained=False, size=96)
        assert network(torch.empty(1, 3, 96, 96)).shape == (1, network.features)


def test_without_network_and_file_one_line_says_the_ways_on_at_once(monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("facialnet.models.backbones.timm_model.unreachable", _remember(asked))
    start = time.perf_counter()
    with pytest.raises(UserError) as refusal:
        TimmBackbone(name="test_resnet", size=64)
    assert time.perf_counter() - start < 3  # its library would try again for most of a minute
    assert asked == [constants.ENDPOINT]
    assert not constants.HF_HUB_OFFLINE
    for part in ("test_resnet", "model.backbone.weights=FILE", "model.backbone.pretrained=false"):
        assert part in str(refusal.value)
    assert "\n" not in str(refusal.value)


def _remember(asked):
    def unreachable(url):
        asked.append(url)
        return True

    return unreachable


def test_a_server_that_answers_is_asked(monkeypatch):
    offline = []

    def create_model(*_, **__):
        offline.append(constants.HF_HUB_OFFLINE)
        return nn.Identity()

    backbone = "facialnet.models.backbones.timm_model"
    monkeypatch.setattr(f"{backbone}.unreachable", lambda url: False)
    monkeypatch.setattr(f"{backbone}.output_shape", lambda *_, **__: torch.Size([1, 4]))
    monkeypatch.setattr(timm, "create_model", create_model)
    assert TimmBackbone(name="test_resnet").features == 4
    assert offline == [False, False]


def test_an_address_is_unreachable_only_where_nothing_answers(monkeypatch):
    monkeypatch.setattr(pretrained, "getproxies", dict)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert not pretrained.unreachable(f"http://127.0.0.1:{port}")
    assert pretrained.unreachable(f"http://127.0.0.1:{port}")
    monkeypatch.setattr(pretrained, "getproxies", lambda: {"https": "http://proxy:1"})
    assert not pretrained.unreachable(f"http://127.0.0.1:{port}")


@pytest.mark.parametrize(
    ("name", "hint"),
    [("resnetv2_5o", "resnetv2_50"), ("resnetv2_50.a1h", "resnetv2_50.a1h_in1k"), ("x.y", "")],
)
def test_an_unknown_name_gets_the_nearest_ones(name, hint):
    with pytest.raises(UserError, match=rf"model\.backbone\.name={name}: timm has no .*{hint}"):
        TimmBackbone(name=name)


def test_a_network_without_published_weights_says_so():
    name = next(
        n for n in timm.list_models("resnet*") if not timm.get_pretrained_cfg(n).has_weights
    )
    with torch.device("meta"), pytest.raises(UserError, match=f"{name}: timm has no weights"):
        TimmBackbone(name=name, size=64)
