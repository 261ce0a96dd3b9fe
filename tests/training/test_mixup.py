"""Mixed training faces: what they show and which labels they have."""

import pytest
import torch

from facialnet.errors import UserError
from facialnet.training.mixup import Mixup


def plain_batch(size=16):
    """Faces of one value each, which is also their label: a mixture tells what is in it."""
    values = torch.arange(size)
    images = values.to(torch.uint8)[:, None, None, None].expand(-1, 1, 2, 2)
    return {"images": images, "targets": {"face": values.clone()}, "weights": values.float()}


def test_a_face_shows_another_as_far_as_its_label_counts():
    torch.manual_seed(0)
    batch = plain_batch()
    for _ in range(20):
        images, others, share = Mixup(0.4)(batch)
        assert 0 <= share <= 0.5
        other = others["targets"]["face"]
        assert sorted(other.tolist()) == list(range(16))
        expected = (1 - share) * torch.arange(16) + share * other
        assert torch.allclose(images, expected[:, None, None, None].expand(-1, 1, 2, 2), atol=1e-4)
        assert torch.equal(others["weights"], other.float())
    assert images.dtype == torch.float32
    assert torch.equal(batch["images"], plain_batch()["images"])


def test_shares_are_those_of_the_beta_distribution():
    torch.manual_seed(0)
    batch = plain_batch(2)
    for alpha in (0.2, 5.0):
        shares = torch.tensor([Mixup(alpha)(batch)[2] for _ in range(1500)])
        drawn = torch.distributions.Beta(alpha, alpha).sample((100_000,))
        expected = torch.minimum(drawn, 1 - drawn)
        assert shares.mean() == pytest.approx(float(expected.mean()), abs=0.015)


@pytest.mark.parametrize("alpha", [0, -1, float("nan"), "much"])
def test_no_mixture_is_said_by_null(alpha):
    with pytest.raises(UserError, match="give a number above 0, or null"):
        Mixup(alpha)
