"""Orders and curves against plain loops, and faces whose evidence lies in a known corner."""

import numpy as np
import pytest
import torch
from tiny import CORNERS, TASKS, images, planted, trained

from facialnet.explanation.deletion import (
    SHARES,
    Curves,
    blurred,
    central_order,
    curves,
    order_of,
    random_orders,
)
from facialnet.explanation.explainer import Explainer


def pixels_of(order, side):
    """The pixels of each cell in the order, by a loop over all pixels."""
    count = min(15, side)
    found = {number: [] for number in range(count * count)}
    for row in range(side):
        for column in range(side):
            found[row * count // side * count + column * count // side].append((row, column))
    return [found[cell] for cell in order]


@pytest.mark.parametrize("side", [8, 16, 75])
def test_cells_go_by_their_mean(side):
    relevance = np.random.default_rng(0).normal(size=(side, side))
    order = order_of(relevance)
    assert sorted(order) == list(range(min(15, side) ** 2))
    means = [np.mean([relevance[place] for place in cell]) for cell in pixels_of(order, side)]
    assert means == sorted(means, reverse=True)


def test_a_map_that_says_nothing_gives_a_random_order():
    order = order_of(np.zeros((75, 75)))
    assert abs(np.corrcoef(order, np.arange(225))[0, 1]) < 0.2
    assert (order == order_of(np.zeros((75, 75)))).all()


def test_random_orders_are_different_and_always_the_same():
    orders = random_orders(75, 4)
    assert all(sorted(order) == list(range(225)) for order in orders)
    assert len({tuple(order) for order in orders}) == 4
    assert (random_orders(75, 2)[1] == orders[1]).all()


def test_the_central_order_begins_in_the_middle():
    order = central_order(75)
    assert order[0] == 7 * 15 + 7
    assert set(order[-4:]) == {0, 14, 210, 224}


def test_curves_equal_a_loop():
    image, order = images(1, channels=3), random_orders(16, 1)[0]
    weights = torch.rand(3, 16, 16)

    def probabilities(pixels):
        share = (pixels * weights).mean((1, 2, 3)) / 255
        return {"gender": torch.stack([1 - share, share], 1)}

    found = curves(probabilities, image, order)["gender"]
    cells, soft, mean = pixels_of(order, 16), blurred(image), image.mean((2, 3))
    for step, share in enumerate(SHARES):
        gone, shown = image.clone(), soft.clone()
        for cell in cells[: round(share * len(cells))]:
            for row, column in cell:
                gone[0, :, row, column] = mean[0]
                shown[0, :, row, column] = image[0, :, row, column]
        expected = float(probabilities(gone)["gender"][0, 1])
        assert found[1].deletion[step] == pytest.approx(expected, abs=1e-6)
        expected = float(probabilities(shown)["gender"][0, 1])
        assert found[1].insertion[step] == pytest.approx(expected, abs=1e-6)
    np.testing.assert_allclose(found[0].deletion, 1 - found[1].deletion, atol=1e-6)


def test_areas_are_those_under_straight_lines():
    falling = Curves(1 - np.array(SHARES), np.full(len(SHARES), 0.25))
    assert falling.deletion_area == pytest.approx(0.5)
    assert falling.insertion_area == pytest.approx(0.25)
    early = Curves((np.array(SHARES) < 0.01).astype(float), np.ones(len(SHARES)))
    assert early.deletion_area == pytest.approx(0.0125)


def test_a_blurred_face_keeps_its_colours_and_loses_its_detail():
    flat = torch.full((1, 3, 16, 16), 99.0)
    torch.testing.assert_close(blurred(flat), flat)
    noise = torch.rand(1, 1, 75, 75) * 255
    assert blurred(noise).std() < 0.1 * noise.std()


@pytest.mark.parametrize(
    ("task", "number", "others"), [("gender", 1, {"age": 0}), ("age", 2, {"gender": 0})]
)
def test_maps_point_at_planted_evidence_and_deleting_it_beats_random_order(
    learnt, task, number, others
):
    pixels, _ = planted(3, 9000, **{task: number}, **others)
    wide = np.zeros((16, 16), bool)
    wide[tuple(slice(max(0, part.start - 2), part.stop + 2) for part in CORNERS[task])] = True
    for image in pixels.split(1):
        explanation = learnt.explain(image)[task]
        assert explanation.explained == number
        assert explanation.probability > 0.8
        random = [each.deletion_area for each in explanation.random]
        for method, relevance in explanation.maps.items():
            speaks_for = relevance.clip(0)
            assert speaks_for[wide].mean() > 4 * speaks_for[~wide].mean(), method
            assert relevance.argmax() in np.flatnonzero(wide), method
            assert explanation.better_than(method) == 9, method
            own = explanation.curves[method]
            assert own.deletion_area < 0.7 * np.mean(random), method
            assert own.insertion_area > np.mean([r.insertion_area for r in explanation.random])


@pytest.fixture(scope="module")
def learnt():
    return Explainer(trained(), TASKS)


def test_a_wrong_map_is_not_taken_for_one_that_means_something(learnt):
    """The map of the other head's corner is no better than chance for this head."""
    image, _ = planted(1, 9000, gender=1, age=2)
    found = learnt.explain(image)
    beaten = 0
    for task, other in (("gender", "age"), ("age", "gender")):
        relevance = np.zeros((16, 16))
        relevance[CORNERS[other]] = 1
        own = curves(learnt.probabilities, image, order_of(relevance))[task]
        area = own[found[task].explained].deletion_area
        beaten += sum(area < each.deletion_area for each in found[task].random)
    assert beaten < 18
