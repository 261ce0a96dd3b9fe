"""Explanations of one face: classes, what is refused, words, figures and pictures."""

import json
import math

import numpy as np
import pytest
import torch
from tiny import TASKS, images, network

from facialnet.errors import UserError
from facialnet.explanation.deletion import SHARES, Curves
from facialnet.explanation.explainer import Explainer, Explanation
from facialnet.explanation.figures import explanation_figure, maps_figure
from facialnet.explanation.verdict import completeness_error, figures, verdict

FALLING = np.linspace(0.9, 0.1, len(SHARES))
STEEP = np.concatenate([[0.9], np.full(len(SHARES) - 1, 0.1)])


@pytest.fixture(scope="module")
def explained():
    explainer = Explainer(network("corn"), TASKS, orders=2)
    return explainer.explain(images(1).to(torch.uint8))


def made(deletion, random, method="gradcam"):
    def of(curve):
        return Curves(np.array(curve), np.array(curve)[::-1])

    return Explanation(
        task=TASKS["gender"],
        probabilities=np.array([0.1, 0.9]),
        explained=1,
        rise=2.0,
        maps={method: np.zeros((8, 8), np.float32)},
        curves={method: of(deletion)},
        random=[of(curve) for curve in random],
        central=of(FALLING),
        layer=None,
    )


def test_the_answer_is_explained_unless_a_class_is_named(explained):
    explainer = Explainer(network("corn"), TASKS, methods=["occlusion"], orders=1)
    image = images(1)
    own = {name: values[0] for name, values in explainer.probabilities(image).items()}
    for name, explanation in explained.items():
        assert explanation.explained == int(own[name].argmax())
        assert explanation.answer == explanation.explained_class
        np.testing.assert_allclose(explanation.probabilities, own[name], atol=1e-6)
    least = TASKS["age"].classes[int(own["age"].argmin())]
    (only,) = explainer.explain(image, {"age": least}).values()
    assert only.explained_class == least != only.answer
    assert only.probability == pytest.approx(float(own["age"].min()))
    assert only.layer is None
    assert not np.allclose(only.maps["occlusion"], explained["age"].maps["occlusion"])


def test_unknown_tasks_and_classes_are_refused():
    explainer = Explainer(network(), TASKS, methods=["occlusion"])
    with pytest.raises(UserError, match="there is no task mood; the network answers gender, age"):
        explainer.explain(images(1), {"mood": ""})
    with pytest.raises(UserError, match="age has no class female; its classes are young, middle"):
        explainer.explain(images(1), {"age": "female"})
    with pytest.raises(UserError, match="orders=0"):
        Explainer(network(), TASKS, orders=0)


def test_a_temperature_reaches_the_curves():
    warm = Explainer(network(), TASKS, methods=["occlusion"], temperatures={"age": 3.0}, orders=1)
    plain = Explainer(network(), TASKS, methods=["occlusion"], orders=1)
    image = images(1)
    one, other = warm.explain(image), plain.explain(image)
    assert one["gender"].probability == pytest.approx(other["gender"].probability)
    expected = other["age"].probabilities ** (1 / 3)
    np.testing.assert_allclose(one["age"].probabilities, expected / expected.sum(), atol=1e-6)
    assert one["age"].random[0].deletion[0] == pytest.approx(one["age"].probability, abs=1e-6)


def test_the_verdict_compares_with_random_orders():
    says = verdict(made(STEEP, [FALLING, FALLING]), "gradcam")
    assert says.startswith(
        "gender female, gradcam: deleting the map's first 20 % takes p from 0.90 to 0.10; random "
        "order: 0.50; from the middle outwards: 0.50."
    )
    assert says.endswith("The map means something: better than all 2 random orders")
    slow = np.concatenate([np.full(len(SHARES) - 1, 0.9), [0.1]])
    between = (FALLING + slow) / 2
    says = verdict(made(between, [slow, slow]), "gradcam")
    assert "Better than all 2 random orders, but not than beginning in the middle" in says
    says = verdict(made(FALLING, [STEEP, FALLING]), "gradcam")
    assert says.endswith("The map may mean nothing: better than 0 of 2 random orders")
    flat = np.full(len(SHARES), 0.88)
    says = verdict(made(flat, [flat]), "gradcam")
    assert says.endswith("Little to explain: without any face, p is 0.88")


def test_figures_are_plain_data(explained):
    for name, explanation in explained.items():
        found = json.loads(json.dumps(figures(explanation)))
        assert found["answer"] == explanation.answer
        assert sum(found["probabilities"].values()) == pytest.approx(1, abs=1e-6)
        assert set(found["methods"]) == {"gradcam", "integrated_gradients", "occlusion"}
        assert found["gradcam_layer"] == "layers.relu2"
        assert len(found["random_orders"]) == 2
        for method in found["methods"].values():
            assert method["deletion_area"] == pytest.approx(
                np.trapezoid(method["deletion"], found["shares"])
            )
            assert name in method["verdict"]


def test_the_completeness_error_is_what_the_steps_miss(explained):
    for explanation in explained.values():
        error = completeness_error(explanation)
        before, after = explanation.random[0].deletion[-1], explanation.probability
        rise = math.log(after / (1 - after)) - math.log(before / (1 - before))
        total = float(explanation.maps["integrated_gradients"].sum())
        assert error == pytest.approx(total - rise, abs=1e-3)
        assert abs(error) < 0.05 * abs(rise) + 0.005
    assert completeness_error(made(STEEP, [FALLING])) is None


def test_the_picture_shows_every_head_with_its_answer(explained, tmp_path):
    face = images(1)[0].permute(1, 2, 0).to(torch.uint8).numpy()
    figure = explanation_figure(face, explained, "a $name$ with 100%")
    assert len(figure.axes) == 2 * (1 + 3 + 2)
    titles = [axes.get_title() for axes in figure.axes]
    for name, explanation in explained.items():
        assert f"{name}: {explanation.answer} {explanation.probability:.2f}" in titles
    for method in ("Grad-CAM", "integrated gradients", "occlusion"):
        assert titles.count(method) == 2
    curve = next(axes for axes in figure.axes if axes.get_title().startswith("deletion"))
    labels = [line.get_label() for line in curve.get_lines()]
    assert {"random order", "from the middle", "Grad-CAM", "occlusion"} <= set(labels)
    line = next(line for line in curve.get_lines() if line.get_label() == "Grad-CAM")
    expected = explained["gender"].curves["gradcam"].deletion
    np.testing.assert_allclose(line.get_ydata(), expected)
    figure.savefig(tmp_path / "explanation.png")


def test_maps_show_what_speaks_for_it_in_warm_colours_and_against_it_in_cold_ones():
    face = np.full((8, 8, 1), 200, np.uint8)
    relevance = np.zeros((1, 8, 8), np.float32)
    relevance[0, 0, 0], relevance[0, 7, 7] = 1, -1
    figure = maps_figure(face[None], {"gradcam": relevance}, ["gender: male 0.70"])
    shown = np.asarray(figure.axes[1].images[1].get_array())
    warm, cold, nothing = shown[0, 0], shown[7, 7], shown[3, 3]
    assert warm[0] > warm[2]
    assert cold[2] > cold[0]
    assert warm[3] == cold[3] > 0.5
    assert nothing[3] == 0
