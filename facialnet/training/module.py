"""The LightningModule: what happens in a step, and what is measured."""

import hashlib
import math
from collections.abc import Callable, Mapping
from typing import Any

import lightning as L
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim import Optimizer

from facialnet.errors import UserError
from facialnet.labels import Task
from facialnet.models.multitask import MultiTaskNetwork
from facialnet.training.losses import LossSum, mean_loss
from facialnet.training.metrics import StageMetrics
from facialnet.training.mixup import Mixup
from facialnet.training.optim import parameter_groups
from facialnet.training.views import Single, Views
from facialnet.training.weighting import TaskWeighting

OptimizerFactory = Callable[[list[dict[str, Any]]], Optimizer]
SchedulerFactory = Callable[..., dict[str, Any] | None]


class FaceModule(L.LightningModule):
    """Train a multi-task network on rows that may lack labels.

    Args:
        network: images to logits of every task.
        tasks: task name to task; the names are those of the network's heads.
        losses: task name to a loss that returns a LossSum.
        weighting: makes one loss of them; None: each times its task's weight.
        optimizer: parameter groups to optimiser.
        scheduler: ``(optimizer, total_steps=, monitor=)`` to Lightning's scheduler configuration.
        weight_decay: on weights of convolutions and dense layers.
        backbone_lr: learning rate of the backbone as a share of the optimiser's.
        total_steps: optimiser steps of the whole run.
        seed: seed of the run; dropout and mixup follow from it.
        mixup: mixes the faces of a training batch; None: they stay apart.
        views: how test faces are shown to the network.
        card: plain data that goes into every checkpoint; see ``facialnet.training.checkpoint``.
    """

    def __init__(
        self,
        network: MultiTaskNetwork,
        *,
        tasks: Mapping[str, Task],
        losses: Mapping[str, nn.Module],
        weighting: TaskWeighting | None = None,
        optimizer: OptimizerFactory,
        scheduler: SchedulerFactory,
        weight_decay: float = 0.0,
        backbone_lr: float = 1.0,
        total_steps: float = float("inf"),
        seed: int = 0,
        mixup: Mixup | None = None,
        views: Views | None = None,
        card: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.tasks = dict(tasks)
        self.losses = nn.ModuleDict(losses)
        fixed = {name: task.weight for name, task in tasks.items()}
        self.weighting = weighting or TaskWeighting(weights=fixed)
        self.stages = nn.ModuleDict(
            {f"{stage}_stage": StageMetrics(tasks) for stage in ("train", "val", "test")}
        )
        self.optimizer = optimizer
        self.scheduler = scheduler
        self.weight_decay = weight_decay
        self.backbone_lr = backbone_lr
        self.total_steps = total_steps
        self.seed = seed
        self.mixup = mixup
        self.views = views or Single()
        self.card = card or {}
        self.confusions: dict[str, dict[str, Tensor]] = {}
        self._answers: list[tuple[Tensor, dict[str, Tensor]]] = []

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Return the outputs of every task; see MultiTaskNetwork."""
        outputs: dict[str, Tensor] = self.network(images)
        return outputs

    def configure_optimizers(self) -> Any:
        """Return optimiser and schedule."""
        groups = parameter_groups(
            self.network, self.weight_decay, backbone_lr=self.backbone_lr, others=self.weighting
        )
        optimizer = self.optimizer(groups)
        for group in optimizer.param_groups:
            group["lr"] *= group.pop("lr_share")
        schedule = self.scheduler(optimizer, total_steps=self.total_steps, monitor="val/loss")
        return optimizer if schedule is None else {"optimizer": optimizer, "lr_scheduler": schedule}

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Seed dropout and mixup from seed, epoch, step and rank: a resumed run draws the same."""
        key = f"{self.seed} {self.current_epoch} {batch_idx} {self.global_rank}".encode()
        torch.manual_seed(int.from_bytes(hashlib.blake2b(key, digest_size=7).digest()))

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Return the weighted sum of the tasks' losses."""
        images, others, share = batch["images"], None, 0.0
        if self.mixup is not None:
            images, others, share = self.mixup(batch)
        outputs = self(images)
        answers = self.network.log_probabilities(outputs)
        loss = self._measure("train", outputs, answers, batch, others, share)
        # Looking at a number on a GPU waits for it; there, every 50th step is enough.
        if (loss.device.type == "cpu" or batch_idx % 50 == 0) and not torch.isfinite(loss):
            rate = self.trainer.optimizers[0].param_groups[0]["lr"]
            raise UserError(
                f"the loss is {loss.item()} at epoch {self.current_epoch}, step {batch_idx}: lower "
                f"optimizer.lr (now {rate:.3g}) or set trainer.gradient_clip_val=1; the last saved "
                "state is checkpoints/last.ckpt"
            )
        self.log("loss", loss, prog_bar=True, logger=False, on_step=True, on_epoch=False)
        return loss

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """Measure one validation batch."""
        outputs = self(batch["images"])
        self._measure("val", outputs, self.network.log_probabilities(outputs), batch)

    def test_step(self, batch: Any, batch_idx: int) -> None:
        """Measure one test batch and keep its answers."""
        outputs, answers = self._answer(batch)
        self._measure("test", outputs, answers, batch)

    def predict_step(self, batch: Any, batch_idx: int) -> None:
        """Answer one batch as in the test, without measuring it."""
        self._answer(batch)

    def _answer(self, batch: Any) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Keep the mean probabilities over all views of a batch.

        Returns what the losses take, and the probabilities' logarithms.
        """
        size = int(self.card["preprocess"]["size"]) if self.views.margin else 0
        outputs = [self(view) for view in self.views(batch["images"], size)]
        views = [self.network.log_probabilities(each) for each in outputs]
        answers = {
            name: torch.stack([view[name] for view in views]).logsumexp(0).sub(math.log(len(views)))
            for name in self.tasks
        }
        probabilities = {name: answer.exp().cpu() for name, answer in answers.items()}
        self._answers.append((batch["rows"].cpu(), probabilities))
        measured = {
            name: answers[name]
            if self.network.head(name).coding == "softmax"
            else torch.stack([each[name] for each in outputs]).mean(0)
            for name in self.tasks
        }
        return measured, answers

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Log the training scores after the last batch, before callbacks look at the epoch."""
        if self.trainer.is_last_batch:
            self._report("train")

    def on_validation_epoch_end(self) -> None:
        """Log the validation scores and tell schedules that watch the loss."""
        loss = self._report("val")
        if self.trainer.state.fn == "fit" and loss is not None:
            for config in self.trainer.lr_scheduler_configs:
                if config.reduce_on_plateau:
                    config.scheduler.step(loss)  # type: ignore[arg-type]

    def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
        """Step schedules that do not watch the loss.

        Lightning would step the others after the epoch's checkpoint is written, and not at all in
        an epoch that was resumed: a run that goes on would miss a step of them.
        """
        if metric is None:
            scheduler.step()

    def on_test_epoch_start(self) -> None:
        """Forget earlier answers."""
        self._answers.clear()

    def on_predict_epoch_start(self) -> None:
        """Forget earlier answers."""
        self._answers.clear()

    def on_test_epoch_end(self) -> None:
        """Log the test scores."""
        self._report("test")

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Put what is needed to use the weights beside them."""
        checkpoint["facialnet"] = self.card

    def answers(self) -> tuple[NDArray[np.int64], dict[str, NDArray[np.float32]]]:
        """Return the rows that were tested or predicted last and each task's probabilities.

        Rows are int64 [N], probabilities float32 [N, classes], in the manifest's order and over all
        processes; call it in every process.
        """
        rows = torch.cat([rows for rows, _ in self._answers])
        parts = {name: torch.cat([p[name] for _, p in self._answers]) for name in self.tasks}
        if torch.distributed.is_initialized():
            gathered: list[Any] = [None] * torch.distributed.get_world_size()
            torch.distributed.all_gather_object(gathered, (rows, parts))
            rows = torch.cat([rows for rows, _ in gathered])
            parts = {name: torch.cat([p[name] for _, p in gathered]) for name in self.tasks}
        order = rows.argsort()
        return rows[order].numpy(), {name: part[order].numpy() for name, part in parts.items()}

    def _measure(
        self,
        stage: str,
        outputs: dict[str, Tensor],
        answers: dict[str, Tensor],
        batch: Any,
        others: Any = None,
        share: float = 0.0,
    ) -> Tensor:
        """Measure a batch, whose rows also show others to a share; return the step's loss."""
        metrics = self._stage(stage)
        metrics.answers.update(answers, batch["targets"])
        sums = self._loss_sums(outputs, batch)
        if others is not None:
            mixed = self._loss_sums(outputs, others)
            sums = {
                name: (value.lerp(mixed[name][0], share), weight.lerp(mixed[name][1], share))
                for name, (value, weight) in sums.items()
            }
        shares = self._over_processes({name: weight for name, (_, weight) in sums.items()}, stage)
        means = {}
        for name, (value, weight) in sums.items():
            means[name] = mean_loss(value, shares[name])
            metrics.losses[name].update(mean_loss(value, weight).detach(), weight)
        total: Tensor = self.weighting(means, self._shared if stage == "train" else None)
        return total

    def _loss_sums(self, outputs: dict[str, Tensor], batch: Any) -> dict[str, LossSum]:
        targets, weights = batch["targets"], batch.get("weights")
        return {
            name: loss(outputs[name], targets[name], weights) for name, loss in self.losses.items()
        }

    @property
    def _shared(self) -> Tensor | None:
        """The last weights of the backbone that are trained, which all tasks share."""
        trained = [p for p in self.network.backbone.parameters() if p.requires_grad and p.ndim > 1]
        return trained[-1] if trained else None

    def _over_processes(self, weights: dict[str, Tensor], stage: str) -> dict[str, Tensor]:
        """Return the mean of each weight over the processes; see mean_loss."""
        if stage != "train" or self.trainer.world_size == 1:
            return weights
        stacked = torch.stack(list(weights.values()))
        torch.distributed.all_reduce(stacked)
        return dict(zip(weights, stacked / self.trainer.world_size, strict=True))

    def _report(self, stage: str) -> float | None:
        """Log ``stage/task/score``, ``stage/loss`` and ``stage/accuracy``, the mean over tasks.

        Returns the loss, or None where nothing had a label.
        """
        metrics = self._stage(stage)
        self.confusions[stage] = metrics.answers.confusions()
        scores = {f"{stage}/{name}": value for name, value in metrics.answers.compute().items()}
        for name, mean in metrics.losses.items():
            scores[f"{stage}/{name}/loss"] = float(mean.compute())
            mean.reset()
        metrics.answers.reset()
        answered = [name for name in self.tasks if scores[f"{stage}/{name}/accuracy"] >= 0]
        if answered:
            scores[f"{stage}/loss"] = sum(
                self.tasks[name].weight * scores[f"{stage}/{name}/loss"] for name in answered
            )
            accuracies = [scores[f"{stage}/{name}/accuracy"] for name in answered]
            scores[f"{stage}/accuracy"] = sum(accuracies) / len(accuracies)
        if stage == "train":
            scores |= {f"weight/{name}": value for name, value in self.weighting.scores().items()}
        known = {name: value for name, value in scores.items() if value == value}
        self.log_dict(known, on_step=False, on_epoch=True)
        return known.get(f"{stage}/loss")

    def _stage(self, stage: str) -> Any:
        return self.stages[f"{stage}_stage"]
