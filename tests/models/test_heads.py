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
