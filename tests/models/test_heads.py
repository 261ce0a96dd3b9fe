import math

import pytest
import torch
from torch import nn

from facialnet.errors import UserError
from facialnet.models.heads import MLPHead


@pytest.mark.parametrize("classes", [2, 8])
def test_layers_are_those_of_tables_2_and_3(classes):
    head = MLPHead(features=2048, classes=classes, dropout=(0.4, 0.2))
    linears = [m for m in head.modules() if isinstance(m, nn.Linear)]
    assert [(m.in_features, m.out_features) for m in linears] == [
        (2048, 512),
        (512, 64),
        (64, classes),
    ]
    assert [m.p for m in head.modules() if isinstance(m, nn.Dropout)] == [0.4, 0.2]
    assert sum(p.numel() for p in head.parameters()) == 2049 * 512 + 513 * 64 + 65 * classes
    assert head(torch.zeros(3, 2048)).shape == (3, classes)


def test_a_head_may_have_no_hidden_layer():
    head = MLPHead(features=10, classes=3, hidden=(), dropout=())
    assert sum(p.numel() for p in head.parameters()) == 33
    assert head(torch.zeros(1, 10)).shape == (1, 3)


def test_logits_are_not_rectified_and_dropout_rests_in_evaluation():
    torch.manual_seed(0)
    head = MLPHead(features=32, classes=8).eval()
    features = torch.rand(16, 32)
    logits = head(features)
    assert (logits < 0).any()
    assert torch.equal(logits, head(features))


def test_initial_loss_is_that_of_an_even_guess():
    torch.manual_seed(0)
    head = MLPHead(features=2048, classes=8, init="he")
    targets = torch.randint(0, 8, (256,))
    loss = nn.functional.cross_entropy(head(torch.randn(256, 2048)), targets)
    assert loss.item() == pytest.approx(math.log(8), abs=0.05)


def test_lengths_must_match():
    with pytest.raises(UserError, match=r"head\.hidden has 2 widths and head\.dropout 1 shares"):
        MLPHead(features=8, classes=2, dropout=(0.5,))


def test_unknown_init_is_refused():
    with pytest.raises(UserError, match=r"head\.init=zeros: allowed values are he, glorot"):
        MLPHead(features=8, classes=2, init="zeros")


@pytest.mark.parametrize("norm", ["before", "after"])
def test_norms_lie_where_the_papers_have_them(norm):
    head = MLPHead(features=20, classes=2, hidden=(10, 5), dropout=(0.1, 0.2), norm=norm)
    kinds = {"BatchNorm1d": "norm", "Linear": "dense", "ReLU": "relu", "Dropout": "dropout"}
    layers = [(kinds[type(m).__name__], m) for m in head.layers]
    hidden = {
        "before": ["norm", "dense", "relu", "dropout"],
        "after": ["dense", "norm", "relu", "dropout"],
    }[norm]
    last = ["norm", "dense"] if norm == "before" else ["dense"]
    assert [kind for kind, _ in layers] == 2 * hidden + last
    widths = [m.num_features for kind, m in layers if kind == "norm"]
    assert widths == ([20, 10, 5] if norm == "before" else [10, 5])


def test_unknown_norm_is_refused():
    with pytest.raises(UserError, match=r"head\.norm=layer: allowed values are none, before, aft"):
        MLPHead(features=8, classes=2, norm="layer")


def test_one_dropout_serves_all_widths():
    head = MLPHead(features=8, classes=2, hidden=(4, 4, 4), dropout=0.25)
    assert [m.p for m in head.modules() if isinstance(m, nn.Dropout)] == [0.25] * 3
    assert len(MLPHead(features=8, classes=2, hidden=(), dropout=0.25).layers) == 1


@pytest.mark.parametrize("share", [1, 1.5, -0.1, float("nan")])
def test_dropout_out_of_range_is_refused(share):
    with pytest.raises(UserError, match=r"head\.dropout=.*from 0 to below 1"):
        MLPHead(features=8, classes=2, hidden=(4,), dropout=share)


def test_one_output_under_a_sigmoid_answers_two_classes():
    torch.manual_seed(0)
    head = MLPHead(features=16, classes=2, hidden=(), dropout=(), sigmoid=True)
    assert sum(p.numel() for p in head.parameters()) == 17
    features = torch.randn(5, 16)
    outputs = head(features)
    probabilities = head.log_probabilities(outputs).exp()
    expected = head.layers(features).sigmoid()[:, 0]
    torch.testing.assert_close(probabilities[:, 1], expected)
    targets = torch.tensor([0, 1, 1, 0, 1])
    torch.testing.assert_close(
        nn.functional.cross_entropy(outputs, targets),
        nn.functional.binary_cross_entropy(expected, targets.float()),
    )


def test_sigmoid_leaves_tasks_of_more_classes_alone():
    head = MLPHead(features=16, classes=8, sigmoid=True)
    assert head(torch.zeros(2, 16)).shape == (2, 8)


@pytest.mark.parametrize("coding", ["coral", "or_cnn", "corn"])
@pytest.mark.parametrize("init", ["he", "glorot", "pytorch"])
def test_codings_by_thresholds_have_one_output_less(coding, init):
    head = MLPHead(features=16, classes=8, hidden=(4,), dropout=0, coding=coding, init=init)
    outputs = head(torch.randn(3, 16))
    assert outputs.shape == (3, 7)
    assert head.log_probabilities(outputs).shape == (3, 8)


def test_thresholds_of_coral_share_one_slope_and_start_in_order():
    torch.manual_seed(0)
    head = MLPHead(features=16, classes=8, hidden=(), dropout=(), coding="coral")
    assert sum(p.numel() for p in head.parameters()) == 16 + 7
    outputs = head(torch.randn(5, 16))
    steps = outputs[:, 1:] - outputs[:, :-1]
    assert (steps < 0).all()
    torch.testing.assert_close(steps, steps[:1].expand_as(steps))


def test_unknown_coding_is_refused():
    with pytest.raises(UserError, match=r"head\.coding=rank: allowed values are softmax"):
        MLPHead(features=8, classes=4, coding="rank")


def test_a_norm_is_not_trained_on_one_row():
    head = MLPHead(features=4, classes=2, hidden=[3], dropout=0.0, norm="before")
    with pytest.raises(UserError, match=r"data\.batch_size must be at least 2"):
        head(torch.zeros(1, 4))
    assert head.eval()(torch.zeros(1, 4)).shape == (1, 2)
