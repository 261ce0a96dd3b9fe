"""The cosine between the tasks' gradients: right, logged, and without a trace in the training."""

import pytest
import torch
from test_module import batches, loader, module, trainer
from torch.nn import functional

from facialnet.labels import IGNORE
from facialnet.training.callbacks.gradients import GradientCosine


def by_hand(network, batch):
    """Cosine of both gradients on the backbone, by plain backward passes."""
    flat = []
    network.eval()
    for name in ("gender", "age"):
        network.zero_grad()
        logits = network(batch["images"])[name]
        functional.cross_entropy(logits, batch["targets"][name], ignore_index=IGNORE).backward()
        flat.append(torch.cat([p.grad.flatten() for p in network.backbone.parameters()]))
    network.zero_grad()
    return float(functional.cosine_similarity(*flat, dim=0))


def test_equals_plain_backward_passes_and_changes_nothing(tmp_path):
    items = batches()
    expected = by_hand(module().network, items[0])
    trained = []
    for callbacks in ((), (GradientCosine(every_n_steps=1000),)):
        face = module()
        runner = trainer(tmp_path, *callbacks, max_epochs=1)
        runner.fit(face, loader(items), loader(items))
        trained.append(torch.cat([p.detach().flatten() for p in face.parameters()]))
    assert float(runner.callback_metrics["gradient_cosine/gender_age"]) == pytest.approx(
        expected, abs=1e-5
    )
    assert torch.equal(*trained)


def test_a_batch_with_labels_for_one_task_alone_is_passed_over(tmp_path):
    items = batches()
    for item in items:
        item["targets"]["gender"] = torch.full_like(item["targets"]["gender"], IGNORE)
    runner = trainer(tmp_path, GradientCosine(every_n_steps=1), max_epochs=1)
    runner.fit(module(), loader(items), loader(items))
    assert "gradient_cosine/gender_age" not in runner.callback_metrics
