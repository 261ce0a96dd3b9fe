"""Explaining one face: maps of every head, and whether they mean anything."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facialnet.errors import UserError
from facialnet.explanation import attribution
from facialnet.explanation.answer import Answer, answer_of, log_odds_of, undisturbed
from facialnet.explanation.attribution import METHODS, check_methods
from facialnet.explanation.deletion import (
    Curves,
    central_order,
    curves,
    order_of,
    random_orders,
)
from facialnet.explanation.map_layer import MapLayer, map_layer
from facialnet.labels import Task
from facialnet.models.multitask import MultiTaskNetwork

ORDERS = 9  # random ones: a map without meaning beats all nine one time in ten


@dataclass(frozen=True)
class Explanation:
    """Why a network gives one class of one task its probability, for one face.

    Attributes:
        task: the head that was asked.
        probabilities: float64 [classes].
        explained: number of the class that the maps explain.
        rise: of the class's log-odds, from the empty picture to the face.
        maps: method to map, float32 [H, W]; above 0 speaks for the class, below 0 against it.
        curves: method to the curves of its order.
        random: curves of random orders.
        central: curves of the order from the middle outwards.
        layer: the layer that Grad-CAM looked at, None without it.
    """

    task: Task
    probabilities: NDArray[np.float64]
    explained: int
    rise: float
    maps: dict[str, NDArray[np.float32]]
    curves: dict[str, Curves]
    random: list[Curves]
    central: Curves
    layer: str | None

    @property
    def answer(self) -> str:
        """The most probable class."""
        return self.task.classes[int(self.probabilities.argmax())]

    @property
    def explained_class(self) -> str:
        """The class that the maps explain."""
        return self.task.classes[self.explained]

    @property
    def probability(self) -> float:
        """That of the explained class, 0 to 1."""
        return float(self.probabilities[self.explained])

    def better_than(self, method: str) -> int:
        """Return how many random orders a method's order beats by the deletion area."""
        area = self.curves[method].deletion_area
        return sum(area < other.deletion_area for other in self.random)


class Explainer:
    """Explain the answers of one network.

    Args:
        network: on any device, in any mode; it is left as it was, to the last bit.
        tasks: task name to task, those of the network's heads.
        methods: of METHODS.
        temperatures: task name to the temperature that calibrates it; 1 where it is not named.
        orders: random orders that every map is compared with.

    Raises:
        UserError: captum is missing, a method is unknown, or there are no random orders.
    """

    def __init__(
        self,
        network: MultiTaskNetwork,
        tasks: Mapping[str, Task],
        *,
        methods: Sequence[str] = METHODS,
        temperatures: Mapping[str, float] | None = None,
        orders: int = ORDERS,
    ) -> None:
        check_methods(tuple(methods), "methods")
        if orders < 1:
            raise UserError(f"orders={orders}: at least one random order is needed to compare with")
        self.network = network
        self.tasks = dict(tasks)
        self.methods = tuple(dict.fromkeys(methods))
        self.orders = orders
        self.answers: dict[str, Answer] = {
            name: answer_of(network, name, temperature=(temperatures or {}).get(name, 1.0))
            for name in tasks
        }
        self._layer: MapLayer | None = None

    def layer(self, image: Tensor) -> MapLayer | None:
        """Return Grad-CAM's layer for pictures like [1, C, H, W], None where it is not asked for.

        Raises UserError where the network has none.
        """
        if self._layer is None and "gradcam" in self.methods:
            self._layer = map_layer(self.network, image)
        return self._layer

    def probabilities(self, images: Tensor) -> dict[str, Tensor]:
        """Return each task's probabilities, float32 [N, classes], of images, [N, C, H, W]."""
        with undisturbed(self.network), torch.no_grad():
            return {task: answer(images).exp() for task, answer in self.answers.items()}

    def maps(self, images: Tensor, task: str, classes: Tensor) -> dict[str, Tensor]:
        """Return every method's maps of one class for each face, float32 [N, H, W].

        Args:
            images: uint8 or float from 0 to 255, [N, C, H, W], on the network's device.
            task: name of the head.
            classes: int64 [N], what is explained.
        """
        score, pixels = log_odds_of(self.answers[task]), images.float()
        layer = self.layer(pixels[:1])
        found = {}
        with undisturbed(self.network):
            for method in self.methods:
                if method == "gradcam":
                    assert layer is not None
                    found[method] = attribution.gradcam(score, pixels, classes, layer)
                elif method == "occlusion":
                    found[method] = attribution.occlusion(score, pixels, classes)
                else:
                    found[method] = attribution.integrated_gradients(score, pixels, classes)
        return found

    def rise(self, image: Tensor, task: str, number: int) -> float:
        """Return a class's log-odds for one face less those for the empty picture."""
        score, pixels = log_odds_of(self.answers[task]), image.float()
        with undisturbed(self.network), torch.no_grad():
            whole, nothing = score(torch.cat([pixels, attribution.empty(pixels)]))[:, number]
        return float(whole - nothing)

    def explain(
        self, image: Tensor, classes: Mapping[str, str] | None = None
    ) -> dict[str, Explanation]:
        """Explain every task's answer to one face.

        Args:
            image: uint8 or float from 0 to 255, [1, C, H, W], on the network's device.
            classes: task name to the class to explain, for those named alone; an empty text: the
                answer. None: the answers of all tasks.

        Raises:
            UserError: there is no such task or class, or no layer for Grad-CAM.
        """
        return _Face(self, image.float(), classes).explanations()


class _Face:
    """One face while it is being explained; orders that no map decides serve all tasks."""

    def __init__(
        self, explainer: Explainer, image: Tensor, classes: Mapping[str, str] | None
    ) -> None:
        self.explainer = explainer
        self.image = image
        self.classes = dict.fromkeys(explainer.tasks, "") if classes is None else dict(classes)
        for name, label in self.classes.items():
            _check_class(explainer.tasks, name, label)

    def explanations(self) -> dict[str, Explanation]:
        own = self.explainer.probabilities(self.image)
        return {
            name: self._explanation(name, label, own[name][0].double().cpu().numpy())
            for name, label in self.classes.items()
        }

    def _explanation(
        self, name: str, label: str, probabilities: NDArray[np.float64]
    ) -> Explanation:
        task = self.explainer.tasks[name]
        number = task.classes.index(label) if label else int(probabilities.argmax())
        wanted = torch.tensor([number], device=self.image.device)
        maps = {
            method: found[0].cpu().numpy()
            for method, found in self.explainer.maps(self.image, name, wanted).items()
        }
        layer = self.explainer.layer(self.image)
        return Explanation(
            task=task,
            probabilities=probabilities,
            explained=number,
            rise=self.explainer.rise(self.image, name, number),
            maps=maps,
            curves={
                method: self._curves(order_of(found))[name][number]
                for method, found in maps.items()
            },
            random=[every[name][number] for every in self._random],
            central=self._central[name][number],
            layer=layer.name if layer else None,
        )

    @cached_property
    def _random(self) -> list[dict[str, list[Curves]]]:
        side = self.image.shape[-1]
        return [self._curves(order) for order in random_orders(side, self.explainer.orders)]

    @cached_property
    def _central(self) -> dict[str, list[Curves]]:
        return self._curves(central_order(self.image.shape[-1]))

    def _curves(self, order: NDArray[np.int64]) -> dict[str, list[Curves]]:
        return curves(self.explainer.probabilities, self.image, order)


def _check_class(tasks: Mapping[str, Task], name: str, label: str) -> None:
    if name not in tasks:
        raise UserError(f"there is no task {name}; the network answers {', '.join(tasks)}")
    if label and label not in tasks[name].classes:
        raise UserError(
            f"{name} has no class {label}; its classes are {', '.join(tasks[name].classes)}"
        )
