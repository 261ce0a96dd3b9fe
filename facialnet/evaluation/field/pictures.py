"""Pictures of accuracy against cost, as files that stand beside a page."""

import math
import re
from pathlib import Path

from facialnet.evaluation.field.gather import Group
from facialnet.evaluation.field.rivals import front
from facialnet.evaluation.report.charts import CostPoint, chart_axes, draw_costs, svg_of

_STYLE = Path(__file__).parent.parent / "report" / "style.css"
_PIXELS = 4 / 3  # of a point
_COST = "multiply_adds"


def slug(text: str) -> str:
    """Return a title as part of a file's name: ``utkface, holdout`` becomes ``utkface_holdout``."""
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")


def cost_picture(group: Group, task: str) -> str | None:
    """Return an SVG file of a task's accuracy against multiply-adds; None of fewer than two points.

    Those on the Pareto front are filled, as in the report.
    """
    on_front = {system.name for system in front(group.systems, task, _COST)}
    points = [
        CostPoint(system.name, cost, system.accuracy(task), system.name in on_front)
        for system in group.ranked(task)
        if math.isfinite(cost := system.cost(_COST))
    ]
    if len(points) < 2:
        return None
    title = f"{task} on {group.footing.title}: accuracy against cost"
    axes = chart_axes(title, size=(7.6, 4.4))
    draw_costs(axes, points, unit="multiply-adds for an image")
    return standalone(svg_of(axes, title))


def standalone(svg: str) -> str:
    """Return a page's SVG as a file of its own, with the page's colours for light and dark."""
    style = _STYLE.read_text(encoding="utf-8")
    colours = style[: style.index("* {")]
    opening, rest = svg.split(">", 1)
    box = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', opening)
    assert box is not None
    wide, high = (round(float(side) * _PIXELS) for side in box.groups())
    return (
        f'{opening} width="{wide}" height="{high}">\n'
        f"<style>{colours}svg {{ font-family: system-ui, sans-serif; }}</style>\n"
        f'<rect width="100%" height="100%" style="fill: var(--card)"/>{rest}'
    )
