import pytest
import torch
import torchvision
from systems import compose, keras_count, shape_of
from torch import nn

from facialnet.errors import UserError
from facialnet.models.backbones.torchvision_model import TorchvisionBackbone


def test_inception_v3_has_the_papers_parameters_but_for_the_norms_scales():
    """Adience comparison, section 2.2. Keras' InceptionV3 builds its norms without a scale."""
    network = shape_of("+system=inception_v3", "tasks=gender")
    norms = [m for m in network.backbone.modules() if isinstance(m, nn.BatchNorm2d)]
    scales = sum(norm.weight.numel() for norm in norms)
    assert scales == 17_216
    assert keras_count(network.backbone) - scales == 21_802_784
    assert keras_count(network) - scales == 24_572_705


def test_the_dense_head_is_the_papers_layer_by_layer():
    head = shape_of("+system=inception_v3", "tasks=gender").heads["gender"]
    layers = [m for m in head.modules() if isinstance(m, nn.Linear | nn.BatchNorm1d)]
    assert [keras_count(layer) for layer in layers] == [
        *(8192, 2098176, 4096, 524800, 2048, 131328, 1024, 257)
    ]


def test_every_kind_of_classifier_is_taken_off_behind_the_last_features():
    lengths = {
        "resnet18": 512,
        "mobilenet_v3_small": 1024,
        "squeezenet1_1": 512,
        "convnext_tiny": 768,
        "swin_t": 768,
    }
    with torch.device("meta"):
        for name, length in lengths.items():
            network = TorchvisionBackbone(name=name, pretrained=False, size=64)
            assert network.features == length, name
        assert TorchvisionBackbone(name="vit_b_32", pretrained=False, size=64).features == 768


@pytest.fixture(scope="module")
def published():
    torch.manual_seed(1)
    return torchvision.models.resnet18(num_classes=7).eval()


@pytest.mark.parametrize("kind", ["pth", "safetensors"])
def test_features_are_what_the_classifier_of_the_file_gets(published, tmp_path, kind, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("a file comes before a download")

    monkeypatch.setattr(torchvision.models.ResNet18_Weights, "get_state_dict", refuse)
    path = tmp_path / f"weights.{kind}"
    if kind == "pth":
        torch.save(published.state_dict(), path)
    else:
        from safetensors.torch import save_file

        save_file(published.state_dict(), path)
    network = TorchvisionBackbone(name="resnet18", weights=str(path), size=64).eval()
    images = torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(published.fc(network(images)), published(images))


def test_torchvisions_own_weights_are_its_first_version(published, monkeypatch):
    asked = []

    def answer(weights, **options):
        asked.append((weights, options["check_hash"]))
        return published.state_dict()

    monkeypatch.setattr(torchvision.models.ResNet18_Weights, "get_state_dict", answer)
    network = TorchvisionBackbone(name="resnet18", size=64)
    assert asked == [(torchvision.models.ResNet18_Weights.IMAGENET1K_V1, True)]
    assert torch.equal(network.model.conv1.weight, published.conv1.weight)


@pytest.mark.slow
def test_auxiliary_classifiers_in_a_file_are_ignored(tmp_path):
    torch.manual_seed(0)
    whole = torchvision.models.googlenet(aux_logits=True, init_weights=False)
    torch.save(whole.state_dict(), tmp_path / "googlenet.pth")
    network = TorchvisionBackbone(
        name="googlenet", weights=str(tmp_path / "googlenet.pth"), size=64
    )
    assert torch.equal(network.model.conv1.conv.weight, whole.conv1.conv.weight)
    features = network(torch.rand(2, 3, 64, 64))  # in training, where the others would answer too
    assert features.shape == (2, network.features) == (2, 1024)


def test_inceptions_pixels_lie_between_minus_one_and_one_whatever_its_weights():
    backbone = shape_of("+system=inception_v3", "tasks=gender").backbone
    model = compose("+system=inception_v3", "tasks=gender").model
    mean, std = (torch.tensor(list(v)).view(3, 1, 1) for v in (model.mean, model.std))
    pixels = torch.rand(2, 3, 5, 5)
    seen = backbone.model._transform_input((pixels - mean) / std)
    torch.testing.assert_close(seen, 2 * pixels - 1)  # Keras' preprocess_input


def test_what_cannot_be_is_refused():
    with pytest.raises(UserError, match=r"name=inceptionv3: torchvision .* inception_v3"):
        TorchvisionBackbone(name="inceptionv3")
    with torch.device("meta"), pytest.raises(UserError, match=r"size=74: inception_v3 cannot"):
        TorchvisionBackbone(name="inception_v3", pretrained=False, size=74)
