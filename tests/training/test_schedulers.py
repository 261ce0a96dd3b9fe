import io
import math

import pytest
import torch
from torch import nn

from facialnet.errors import UserError
from facialnet.training import schedulers

RATE = 0.1


def optimizer():
    return torch.optim.SGD(nn.Linear(2, 1).parameters(), lr=RATE)


def curve(config, steps):
    """Return the rate that each of so many steps would use, as a share of the full rate."""
    scheduler = config["scheduler"]
    rates = []
    for _ in range(steps):
        rates.append(scheduler.optimizer.param_groups[0]["lr"] / RATE)
        scheduler.optimizer.step()
        scheduler.step()
    return rates


def test_cosine_rises_and_falls():
    config = schedulers.cosine(optimizer(), total_steps=100, monitor="", warmup=0.1, final=0.02)
    rates = curve(config, 120)
    assert config["interval"] == "step"
    assert rates[:11] == pytest.approx([(step + 1) / 11 for step in range(11)])
    for step in range(10, 100):
        wave = (1 + math.cos(math.pi * (step - 10) / 90)) / 2
        assert rates[step] == pytest.approx(0.02 + 0.98 * wave)
    assert rates[55] == pytest.approx(0.51)
    assert rates[100:] == pytest.approx([0.02] * 20)


@pytest.mark.parametrize(("total_steps", "warmup"), [(1, 0.05), (1, 1.0), (10, 0.0), (10, 1.0)])
def test_cosine_of_very_short_runs_stays_in_range(total_steps, warmup):
    config = schedulers.cosine(optimizer(), total_steps=total_steps, monitor="", warmup=warmup)
    assert all(0 < rate <= 1 + 1e-9 for rate in curve(config, total_steps + 2))


@pytest.mark.parametrize("total_steps", [math.inf, -1, 0])
def test_cosine_needs_the_length_of_the_run(total_steps):
    with pytest.raises(UserError, match=r"trainer\.max_epochs"):
        schedulers.cosine(optimizer(), total_steps=total_steps, monitor="")


def test_keras_decay_divides():
    config = schedulers.keras_decay(optimizer(), total_steps=50, monitor="", decay=0.01)
    assert config["interval"] == "step"
    assert curve(config, 50) == pytest.approx([1 / (1 + 0.01 * step) for step in range(50)])


def test_step_multiplies_after_so_many_epochs():
    config = schedulers.step(optimizer(), total_steps=1, monitor="", every_epochs=3, gamma=0.5)
    assert config["interval"] == "epoch"
    assert curve(config, 10) == pytest.approx([0.5 ** (epoch // 3) for epoch in range(10)])


def test_plateau_cuts_after_its_patience():
    config = schedulers.plateau(
        optimizer(), total_steps=1, monitor="val/loss", factor=0.5, patience=2, min_lr=0.02
    )
    assert (config["interval"], config["monitor"]) == ("epoch", "val/loss")
    scheduler = config["scheduler"]
    rates = []
    for loss in (3, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1):
        scheduler.step(torch.tensor(float(loss)))
        rates.append(scheduler.optimizer.param_groups[0]["lr"])
    # best at the second epoch, a cut at every third without progress, never below min_lr
    expected = [0.1] * 4 + [0.05] * 3 + [0.025] * 3 + [0.02] * 3
    assert rates == pytest.approx(expected)


def test_none_has_no_schedule():
    assert schedulers.none(optimizer(), total_steps=10, monitor="val/loss") is None


@pytest.mark.parametrize("name", ["plateau", "step", "cosine", "keras_decay"])
def test_state_goes_through_a_safe_checkpoint_and_continues_the_curve(name):
    def build():
        return getattr(schedulers, name)(optimizer(), total_steps=60, monitor="val/loss")

    def advance(scheduler, steps):
        rates = []
        for _ in range(steps):
            scheduler.optimizer.step()
            scheduler.step(*([torch.tensor(1.0)] if name == "plateau" else []))
            rates.append(scheduler.optimizer.param_groups[0]["lr"])
        return rates

    first = build()["scheduler"]
    advance(first, 25)
    file = io.BytesIO()
    torch.save([first.state_dict(), first.optimizer.state_dict()], file)
    file.seek(0)
    scheduler_state, optimizer_state = torch.load(file, weights_only=True)
    second = build()["scheduler"]
    second.optimizer.load_state_dict(optimizer_state)
    second.load_state_dict(scheduler_state)
    assert second.state_dict() == first.state_dict()
    assert advance(second, 35) == advance(first, 35)
