import re
import xml.etree.ElementTree as ET
from itertools import combinations

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from facialnet.evaluation.report.charts import (
    HALO,
    CostPoint,
    bars_chart,
    chart_axes,
    cost_chart,
    draw_costs,
)

# Fifteen systems as crowded as those of a comparison: a third of them at nearly the same cost.
CROWD = [
    CostPoint("facialnet", 174e6, 0.765, False),
    CostPoint("facialnet_bn", 175e6, 0.8, True),
    CostPoint("chained", 176e6, 0.788, False),
    CostPoint("mobilenet_v2", 300e6, 0.775, False),
    CostPoint("levi_hassner", 550e6, 0.77, False),
    CostPoint("efficientnet_v2", 1.1e9, 0.805, True),
    CostPoint("vgg16", 2.9e9, 0.83, True),
    CostPoint("vgg19", 3.4e9, 0.828, False),
    CostPoint("resnet50_v2", 4.1e9, 0.838, True),
    CostPoint("inception_v3", 5.7e9, 0.84, True),
    CostPoint("lfw_cnn", 100e6, 0.732, True),
    CostPoint("seven_layer_cnn", 90e6, 0.702, True),
    CostPoint("local_patches", 25e6, 0.685, True),
    CostPoint("compact4", 3e6, 0.662, True),
    CostPoint("efficientnet_lite0", 390e6, 0.797, False),
]


def test_names_beside_points_cover_neither_each_other_nor_a_point():
    axes = chart_axes("t", size=(7.6, 4.4))
    draw_costs(axes, CROWD, unit="multiply-adds")
    canvas = FigureCanvasAgg(axes.figure)
    canvas.draw()
    boxes = [text.get_window_extent(canvas.get_renderer()) for text in axes.texts]
    assert len(boxes) == len(CROWD)
    assert not [(a, b) for a, b in combinations(boxes, 2) if a.overlaps(b)]
    places = axes.transData.transform([(point.cost, point.accuracy) for point in CROWD])
    assert not [place for place in places for box in boxes if box.contains(*place)]
    frame = axes.get_window_extent()
    assert all(frame.x0 < box.x0 and box.x1 < frame.x1 for box in boxes)


def test_names_stay_letters_with_a_rim_in_the_colour_of_the_ground():
    chart = cost_chart(CROWD, title="t", unit="u")
    root = ET.fromstring(chart)
    texts = {"".join(e.itertext()).strip() for e in root.iter() if e.tag.endswith("text")}
    assert {point.name for point in CROWD} <= texts
    assert f'id="{HALO}"' not in chart
    assert "paint-order: stroke; stroke: var(--card)" in chart


def test_bars_are_as_long_as_their_shares_and_say_them():
    chart = bars_chart({"lr": 0.75, "drop_out$": 0.25}, title="share")
    for text in ("lr", "drop_out$", "75 %", "25 %"):
        assert f">{text}<" in chart
    bars = re.findall(r"M ([\d.]+) [\d.]+ \nL ([\d.]+) [\d.]+ \nL [^z]*z\n\" clip", chart)
    first, second = (float(right) - float(left) for left, right in bars)
    assert first == pytest.approx(3 * second, rel=1e-3)
