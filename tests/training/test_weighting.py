"""Sums of losses, and weights that are learnt by the optimiser; GradNorm is in test_gradnorm."""

import math

import pytest
import torch
from test_module import TASKS, batches, loader, module, trainer

from facialnet.labels import IGNORE
from facialnet.training.callbacks.last_checkpoint import LastCheckpoint
from facialnet.training.gradnorm import GradNorm
from facialnet.training.weighting import TaskWeighting, Uncertainty

WEIGHTS = {"gender": 2.0, "age": 0.5}


def losses(gender, age):
    """Two losses with a way back, in another order than the weights."""
    return {
        "age": torch.tensor(age, requires_grad=True),
        "gender": torch.tensor(gender, requires_grad=True),
    }


def test_fixed_weights_are_a_sum():
    given = losses(0.7, 2.1)
    for shared in (None, torch.zeros(3, 3)):
        assert TaskWeighting(weights=WEIGHTS)(given, shared).item() == pytest.approx(2.45)
    assert TaskWeighting(weights=WEIGHTS).scores() == {}


@pytest.mark.parametrize("kind", [Uncertainty, GradNorm])
def test_outside_of_training_fixed_weights_hold(kind):
    weighting = kind(weights=WEIGHTS)
    for value in (*weighting.parameters(), *weighting.buffers()):
        if value is not weighting.fixed:
            value.data = torch.tensor([0.3, 1.7])
    assert weighting.eval()(losses(0.7, 2.1), None).item() == pytest.approx(2.45)


def test_uncertainty_equals_the_formula():
    weighting = Uncertainty(weights=WEIGHTS)
    with torch.no_grad():
        weighting.log_variances.copy_(torch.tensor([0.4, -0.9]))
    given = losses(0.7, 2.1)
    total = weighting(given, None)
    expected = 2 * (math.exp(-0.4) * 0.7 + 0.2) + 0.5 * (math.exp(0.9) * 2.1 - 0.45)
    assert total.item() == pytest.approx(expected)
    total.backward()
    assert given["gender"].grad.item() == pytest.approx(2 * math.exp(-0.4))
    assert given["age"].grad.item() == pytest.approx(0.5 * math.exp(0.9))
    by_hand = [2 * (0.5 - math.exp(-0.4) * 0.7), 0.5 * (0.5 - math.exp(0.9) * 2.1)]
    assert weighting.log_variances.grad.tolist() == pytest.approx(by_hand)
    assert weighting.scores() == pytest.approx(
        {"gender": 2 * math.exp(-0.4), "age": 0.5 * math.exp(0.9)}
    )


def test_uncertainty_comes_to_rest_where_the_weight_is_half_the_inverse_loss():
    weighting = Uncertainty(weights={"gender": 1.0, "age": 3.0})
    optimizer = torch.optim.SGD(weighting.parameters(), lr=0.1)
    for _ in range(500):
        optimizer.zero_grad()
        weighting(losses(0.25, 2.0), None).backward()
        optimizer.step()
    assert weighting.scores() == pytest.approx({"gender": 2.0, "age": 0.75}, rel=1e-3)


def test_a_task_without_labels_does_not_train_its_variance():
    weighting = Uncertainty(weights=WEIGHTS)
    total = weighting(losses(0.0, 2.1), None)
    total.backward()  # all parameters have a gradient, as DDP demands
    assert weighting.log_variances.grad[0].item() == 0
    assert weighting.log_variances.grad[1].item() != 0
    assert weighting(losses(0.0, 0.0), None).item() == 0


def test_a_loss_that_is_not_finite_is_not_hidden():
    assert Uncertainty(weights=WEIGHTS)(losses(float("nan"), 1.0), None).isnan()


def test_uncertainty_is_trained_by_the_optimiser_of_the_network(tmp_path):
    face = module(weighting=Uncertainty(weights=WEIGHTS))
    groups = face.configure_optimizers().param_groups
    own = face.weighting.log_variances
    (home,) = [group for group in groups if any(p is own for p in group["params"])]
    assert home["weight_decay"] == 0
    runner = trainer(tmp_path, max_epochs=1)
    runner.fit(face, loader(batches()), loader(batches(seed=1)))
    moved = face.weighting.log_variances.tolist()
    assert all(value != 0 for value in moved)
    for name in TASKS:
        logged = float(runner.callback_metrics[f"weight/{name}"])
        assert logged == pytest.approx(face.weighting.scores()[name])


def test_a_run_without_labels_of_a_task_leaves_its_variance_alone(tmp_path):
    items = batches()
    for item in items:
        item["targets"]["age"] = torch.full_like(item["targets"]["age"], IGNORE)
    face = module(weighting=Uncertainty(weights=WEIGHTS))
    trainer(tmp_path, max_epochs=1).fit(face, loader(items), loader(items))
    gender, age = face.weighting.log_variances.tolist()
    assert gender != 0
    assert age == 0


@pytest.mark.parametrize("kind", [Uncertainty, GradNorm])
def test_a_frozen_backbone_is_no_obstacle(kind, tmp_path):
    face = module(weighting=kind(weights=WEIGHTS))
    face.network.backbone.requires_grad_(False)
    trainer(tmp_path, max_epochs=1).fit(face, loader(batches()), loader(batches()))
    learnt = face.weighting.scores()
    assert (learnt == WEIGHTS) == (kind is GradNorm)


@pytest.mark.parametrize("kind", [Uncertainty, GradNorm])
def test_a_resumed_run_goes_on_with_its_weights(kind, tmp_path):
    last = tmp_path / "last.ckpt"
    ends = []
    for epochs in ((2,), (1, 2)):
        for number, limit in enumerate(epochs):
            face = module(weighting=kind(weights=WEIGHTS))
            runner = trainer(tmp_path, LastCheckpoint(str(last)), max_epochs=limit)
            resumed = str(last) if number else None
            runner.fit(face, loader(batches()), loader(batches(seed=1)), ckpt_path=resumed)
        ends.append(torch.cat([v.flatten() for v in face.state_dict().values()]))
        assert face.weighting.scores() != WEIGHTS
    assert torch.equal(*ends)
