"""GradNorm against its formulas, worked by automatic differentiation."""

import copy

import pytest
import torch
import torch.multiprocessing
from torch import nn
from torch.nn import functional

from facialnet.errors import UserError
from facialnet.labels import IGNORE
from facialnet.training.gradnorm import GradNorm
from facialnet.training.losses import CrossEntropy, mean_loss
from facialnet.training.weighting import Uncertainty

CLASSES = {"gender": 2, "age": 8, "race": 5}
EVEN = dict.fromkeys(CLASSES, 1.0)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.shared = nn.Linear(6, 10)
        self.heads = nn.ModuleDict({task: nn.Linear(10, n) for task, n in CLASSES.items()})

    def forward(self, images):
        features = self.shared(images).relu()
        return {task: head(features) for task, head in self.heads.items()}


def batch(number, size=12, without=()):
    generator = torch.Generator().manual_seed(number)
    targets = {
        task: torch.full((size,), IGNORE)
        if task in without
        else torch.randint(0, n, (size,), generator=generator)
        for task, n in CLASSES.items()
    }
    return torch.randn(size, 6, generator=generator), targets


def losses_of(net, images, targets):
    logits = net(images)
    return {
        task: mean_loss(*CrossEntropy(classes=n)(logits[task], targets[task]))
        for task, n in CLASSES.items()
    }


class Reference:
    """The paper's equations 1 and 2, differentiated by torch, in a dictionary of numbers."""

    def __init__(self, alpha, lr):
        self.alpha, self.lr = alpha, lr
        self.weights = dict.fromkeys(CLASSES, 1.0)
        self.first = {}

    def step(self, losses, shared):
        here = [task for task in CLASSES if losses[task].item() != 0]
        for task in here:
            self.first.setdefault(task, losses[task].item())
        w = {task: torch.tensor(self.weights[task], requires_grad=True) for task in here}
        norms = {
            task: torch.autograd.grad(
                w[task] * losses[task], shared, retain_graph=True, create_graph=True
            )[0].norm()
            for task in here
        }
        share = {task: losses[task].item() / self.first[task] for task in here}
        mean_share = sum(share.values()) / len(here)
        mean_norm = sum(norm.item() for norm in norms.values()) / len(here)
        distance = sum(
            (norms[task] - mean_norm * (share[task] / mean_share) ** self.alpha).abs()
            for task in here
        )
        slopes = torch.autograd.grad(distance, list(w.values()), retain_graph=True)
        stepped = {
            task: max(self.weights[task] - self.lr * slope.item(), 1e-3)
            for task, slope in zip(here, slopes, strict=True)
        }
        before, after = sum(self.weights[task] for task in here), sum(stepped.values())
        self.weights |= {task: value * before / after for task, value in stepped.items()}


@pytest.mark.parametrize("alpha", [0.0, 0.12, 1.5])
@pytest.mark.parametrize("without", [(), ("age",)])
def test_equals_the_formulas_over_several_steps(alpha, without):
    net, weighting, reference = Net(), GradNorm(weights=EVEN, alpha=alpha, lr=0.3), None
    reference = Reference(alpha, lr=0.3)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.5)
    seen = []
    for number in range(8):
        images, targets = batch(number, without=without if number % 3 == 0 else ())
        losses = losses_of(net, images, targets)
        expected = sum(reference.weights[task] * losses[task] for task in CLASSES)
        reference.step(losses, net.shared.weight)
        total = weighting(losses, net.shared.weight)
        torch.testing.assert_close(total, expected)  # by the weights before the step
        assert weighting.scores() == pytest.approx(reference.weights, rel=1e-4)
        assert sum(weighting.scores().values()) == pytest.approx(3)
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        seen.append(tuple(weighting.scores().values()))
    assert len(set(seen)) == 8  # the weights did move, each time


def test_gradients_are_those_of_the_weighted_sum():
    net, weighting = Net(), GradNorm(weights={"gender": 2.0, "age": 0.5, "race": 1.0}, lr=0.3)
    for number in range(3):
        images, targets = batch(number)
        twin, weights = copy.deepcopy(net), weighting.scores()
        twin_losses = losses_of(twin, images, targets)
        sum(weights[task] * twin_losses[task] for task in CLASSES).backward()
        net.zero_grad()
        weighting(losses_of(net, images, targets), net.shared.weight).backward()
        for one, other in zip(net.parameters(), twin.parameters(), strict=True):
            torch.testing.assert_close(one.grad, other.grad)


def test_saved_weights_go_on_as_if_never_saved():
    net, weighting = Net(), GradNorm(weights=EVEN, lr=0.3)
    for number in range(3):
        weighting(losses_of(net, *batch(number)), net.shared.weight)
    resumed = GradNorm(weights=EVEN, lr=0.3)
    resumed.load_state_dict(weighting.state_dict())
    for number in range(3, 6):
        for each in (weighting, resumed):
            each(losses_of(net, *batch(number)), net.shared.weight)
        assert resumed.scores() == weighting.scores()
    assert resumed.scores() != EVEN


def test_a_task_without_labels_keeps_its_weight_and_its_first_loss_to_come():
    net, weighting = Net(), GradNorm(weights=EVEN, lr=0.3)
    losses = losses_of(net, *batch(0, without=("age",)))
    weighting(losses, net.shared.weight).backward()
    assert weighting.found[1] == 1
    assert weighting.found[0] != 1
    assert weighting.first_losses[1] == 0
    losses = losses_of(net, *batch(1))
    weighting(losses, net.shared.weight)
    assert weighting.first_losses[1] == losses["age"]
    assert weighting.found[1] != 1


@pytest.mark.parametrize("without", [("age", "race"), tuple(CLASSES)])
def test_nothing_moves_where_fewer_than_two_tasks_have_labels(without):
    net, weighting = Net(), GradNorm(weights=EVEN, lr=0.3)
    total = weighting(losses_of(net, *batch(0, without=without)), net.shared.weight)
    assert weighting.scores() == pytest.approx(EVEN)
    total.backward()


def test_a_task_of_fixed_weight_0_takes_no_part():
    net, off = Net(), GradNorm(weights=EVEN | {"race": 0.0}, lr=0.3)
    two = GradNorm(weights={"gender": 1.0, "age": 1.0}, lr=0.3)
    for number in range(3):
        losses = losses_of(net, *batch(number))
        totals = [each(losses, net.shared.weight).item() for each in (off, two)]
        assert totals[0] == pytest.approx(totals[1])
    assert off.scores() == pytest.approx(two.scores() | {"race": 0.0})


def test_a_weight_never_falls_to_zero():
    net, weighting = Net(), GradNorm(weights=EVEN, lr=100.0)
    for number in range(5):
        weighting(losses_of(net, *batch(number)), net.shared.weight)
        assert all(value > 0 for value in weighting.scores().values())
        assert sum(weighting.scores().values()) == pytest.approx(3)


def test_a_batch_that_is_not_finite_spoils_no_weight():
    net, weighting = Net(), GradNorm(weights=EVEN, lr=0.3)
    for bad in (float("nan"), float("inf")):
        images, targets = batch(0)
        images[0] = bad
        assert not weighting(losses_of(net, images, targets), net.shared.weight).isfinite()
    weighting(losses_of(net, *batch(1)), net.shared.weight)
    assert weighting.found.isfinite().all()
    assert (weighting.first_losses > 0).all()


def test_a_gradient_that_is_not_finite_is_passed_over():
    shared = torch.ones(4, requires_grad=True)
    weighting = GradNorm(weights=EVEN, lr=0.3)
    sheer = 1 + (shared - 1).sqrt().sum()  # its slope here is infinite
    weighting({"gender": shared.sum(), "age": sheer, "race": 3 * shared.sum()}, shared)
    assert weighting.found[1] == 1
    assert weighting.found.isfinite().all()
    assert weighting.found[0] > 1 > weighting.found[2]


def test_alpha_pushes_the_task_that_lags():
    """Two tasks alike, but one's loss has halved since its first batch."""
    shared = torch.ones(4, requires_grad=True)
    weighting = GradNorm(weights={"quick": 1.0, "slow": 1.0}, alpha=1.0, lr=0.01)
    loss = shared.sum()
    weighting({"quick": loss, "slow": loss}, shared)
    assert weighting.scores() == pytest.approx({"quick": 1.0, "slow": 1.0})
    weighting({"quick": loss - 2, "slow": loss}, shared)
    # both norms are 2, one above its target, the other below: a step of 0.01 * 2 each
    assert weighting.scores() == pytest.approx({"quick": 0.98, "slow": 1.02})


def test_bf16_changes_little():
    found = []
    for enabled in (False, True):
        net, weighting = Net(), GradNorm(weights=EVEN, lr=0.3)
        for number in range(4):
            with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
                weighting(losses_of(net, *batch(number)), net.shared.weight).backward()
        found.append(weighting.scores())
    assert found[0] == pytest.approx(found[1], rel=0.05)
    assert weighting.found.dtype == torch.float32


def test_bad_settings_are_refused():
    with pytest.raises(UserError, match=r"weighting\.alpha=-1: must be 0 or above"):
        GradNorm(weights=EVEN, alpha=-1)
    with pytest.raises(UserError, match=r"weighting\.lr=0: must be above 0"):
        GradNorm(weights=EVEN, lr=0)


KINDS = (GradNorm, Uncertainty)


def train(kind, rank=0, processes=1):
    """Three steps on shares of the batches; age has labels in the first process alone."""
    net, weighting = Net(), kind(weights=EVEN)
    parameters = [*net.parameters(), *weighting.parameters()]
    optimizer = torch.optim.SGD(parameters, lr=0.5)
    for number in range(3):
        images, targets = batch(number)
        targets["age"][6:] = IGNORE
        mine = slice(rank * 12 // processes, (rank + 1) * 12 // processes)
        logits, losses = net(images[mine]), {}
        for task in CLASSES:
            known = (targets[task] != IGNORE).sum() / processes  # mean over the processes
            total = functional.cross_entropy(
                logits[task], targets[task][mine], ignore_index=IGNORE, reduction="sum"
            )
            losses[task] = total / known
        optimizer.zero_grad()
        weighting(losses, net.shared.weight).backward()
        for parameter in parameters if processes > 1 else ():
            torch.distributed.all_reduce(parameter.grad)
            parameter.grad /= processes
        optimizer.step()
    return torch.tensor(list(weighting.scores().values()))


def one_of_two(rank, folder):
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2
    )
    found = [train(kind, rank, 2) for kind in KINDS]
    torch.save(found, f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_two_processes_find_the_weights_of_one(tmp_path):
    torch.multiprocessing.spawn(one_of_two, (str(tmp_path),), nprocs=2)
    one, other = (torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1))
    for number, kind in enumerate(KINDS):
        assert torch.equal(one[number], other[number])
        torch.testing.assert_close(one[number], train(kind))
