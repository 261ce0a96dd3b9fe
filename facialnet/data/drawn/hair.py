"""Paint the hair of a drawn person."""

import numpy as np

from facialnet.data.drawn.canvas import (
    Array,
    Mask,
    ellipse,
    mirrored,
    mix,
    moved,
    shade,
    spline,
)
from facialnet.data.drawn.view import View


def paint_back_hair(view: View) -> None:
    """Paint the hair that lies behind the neck, and buns and tails."""
    hair, canvas, top = view.person.hair, view.canvas, view.person.shape.top_y
    dark, wide = shade(hair.colour, 0.72), 1.08 + hair.volume
    if hair.style == "long":
        half = [
            (0.0, top - hair.volume * 0.7),
            (0.8, top + 0.2),
            (wide, -0.4),
            (wide + 0.06, 0.5),
            (wide + 0.02, hair.length),
            (0.6, hair.length + 0.12),
            (0.0, hair.length + 0.05),
        ]
        canvas.fill(spline(mirrored(half)), dark)
    elif hair.style == "tied":
        bun = ellipse(0.5 * hair.part, top - 0.2, 0.42, 0.36)
        canvas.fill(bun, shade(hair.colour, 0.85))
        canvas.fill(
            ellipse(0.5 * hair.part, top - 0.28, 0.2, 0.12),
            shade(hair.colour, 1.3),
            alpha=0.5,
            blur=0.07,
        )
    elif hair.style == "tails":
        for sign in (-1, 1):
            tail = [(0.95, -0.5), (1.35, -0.45), (1.5, 0.2), (1.25, 0.75), (1.1, 0.25)]
            canvas.fill(spline(np.array(tail) * (sign, 1)), shade(hair.colour, 0.9))
            canvas.line(
                [(sign * 1.08, -0.56), (sign * 1.12, -0.34)], view.shot.hat_colour, width=0.1
            )
    elif hair.style == "curly":
        for angle in np.linspace(0.05, np.pi - 0.05, 13):
            x, y = 1.02 * np.cos(angle), -0.15 + (top + 0.12) * np.sin(angle)
            canvas.fill(ellipse(x, y, 0.2 + hair.volume, 0.2 + hair.volume), dark)


def paint_hair(view: View) -> None:
    """Paint the hair that lies on the head."""
    hair, canvas = view.person.hair, view.canvas
    if hair.style == "bald":
        return
    if hair.style == "crown":
        for sign in (-1, 1):
            side = [
                (0.94, 0.1),
                (1.08, -0.1),
                (1.12, -0.5),
                (0.9, -0.86),
                (0.84, -0.5),
                (0.92, -0.2),
            ]
            canvas.fill(spline(np.array(side) * (sign, 1)), hair.colour, blur=0.02)
        return
    cap = _cap(view)
    if hair.style == "fuzz":
        canvas.fill(cap, hair.colour, alpha=0.55, blur=0.035)
        return
    shadow = shade(view.person.looks.skin, 0.5)
    canvas.fill(moved(cap, 0, 0.07), shadow, alpha=0.4, blur=0.04, within=view.head)
    canvas.fill(cap, hair.colour)
    inside = canvas.mask(cap)
    _paint_strands(view, inside)
    if hair.style == "curly":
        volume = 0.14 + hair.volume * 0.5
        for angle in np.linspace(-0.1, np.pi + 0.1, 15):
            x, y = 0.92 * np.cos(angle), -0.3 + (view.person.shape.top_y + 0.35) * np.sin(angle)
            colour = shade(hair.colour, 1.0 + 0.14 * np.sin(7 * angle))
            canvas.fill(ellipse(x, y, volume, volume), colour, blur=0.015)
    if hair.style == "long":
        _paint_locks(view)


def _cap(view: View) -> Array:
    """Return the outline [n, 2] of the hair on the skull: around the head, back on the hairline."""
    hair, shape = view.person.hair, view.person.shape
    top, side = shape.top_y, -0.25 if hair.style in ("tied", "tails", "fuzz") else 0.05
    volume = 0.03 if hair.style == "fuzz" else hair.volume * (0.7 if hair.style == "tied" else 1)
    half = [
        (0.0, top - volume),
        (0.55, top + 0.1 - volume * 0.9),
        (0.92 + volume * 0.5, top + 0.45),
        (1.03 + volume * 0.6, -0.35),
        (1.02, side),
    ]
    right = np.array(half)
    left = right[:0:-1] * (-1, 1)
    outer = np.concatenate([left, right])
    line = 0.6 * top
    if hair.fringe and hair.receding < 0.4 and hair.style != "fuzz":
        sweep = 0.1 * hair.part
        front = [
            (0.9, side),
            (0.84, -0.4),
            (0.5, -0.46 - sweep),
            (0.0, -0.5),
            (-0.5, -0.46 + sweep),
            (-0.84, -0.4),
            (-0.9, side),
        ]
    else:
        back = hair.receding
        sweep, peak = 0.12 * hair.part, 0.32 * hair.part * (1 - back)
        front = [
            (0.92, side),
            (0.87, -0.42),
            (0.66, line + 0.12 - sweep - 0.42 * back),
            (0.36 + peak * 0.3, line - 0.06 - sweep - 0.4 * back),
            (peak, line - 0.1 - 0.2 * back),
            (-0.36 + peak * 0.3, line - 0.06 + sweep - 0.4 * back),
            (-0.66, line + 0.12 + sweep - 0.42 * back),
            (-0.87, -0.42),
            (-0.92, side),
        ]
    inner = view.turn(front)
    inner[[0, -1], 0] = front[0][0], front[-1][0]  # sideburns stay at the ears
    return np.concatenate([spline(outer, closed=False), spline(inner, closed=False)])


def _paint_strands(view: View, inside: Mask) -> None:
    hair, canvas, top = view.person.hair, view.canvas, view.person.shape.top_y
    origin = (0.35 * hair.part, top - 0.05)
    for place in np.linspace(-1, 1, 11):
        end = (1.05 * np.sin(1.5 * place), -0.1 - 0.75 * np.cos(1.5 * place))
        middle = ((origin[0] + end[0]) / 2 + 0.2 * place, top * 0.92)
        tone = 0.72 if round(place * 5) % 2 else 1.22
        strand = spline([origin, middle, end], closed=False)
        canvas.line(
            strand, shade(hair.colour, tone), width=0.03, alpha=0.5, blur=0.012, within=inside
        )
    shine = ellipse(0.3 - 0.6 * (np.cos(view.shot.light_angle) < 0), top + 0.12, 0.4, 0.09)
    canvas.fill(shine, mix(hair.colour, (255, 250, 240), 0.5), alpha=0.4, blur=0.07, within=inside)


def _paint_locks(view: View) -> None:
    hair, canvas = view.person.hair, view.canvas
    wide = 1.08 + hair.volume
    lock = np.array(
        [
            (0.84, -0.55),
            (wide - 0.04, -0.45),
            (wide + 0.08, 0.3),
            (wide + 0.02, hair.length),
            (wide - 0.25, hair.length + 0.06),
            (0.88, 0.6),
            (0.92, 0.0),
        ]
    )
    for sign in (-1, 1):
        shape = spline(lock * (sign, 1))
        canvas.fill(moved(shape, 0, 0.03), (30, 22, 22), alpha=0.25, blur=0.04)
        canvas.fill(shape, hair.colour)
        for x in (0.3, 0.65):
            strand = lock[[0, 6, 5, 4]] * (1 - x) + lock[[1, 2, 2, 3]] * x
            tone = 0.75 if x < 0.5 else 1.2
            canvas.line(
                spline(strand * (sign, 1), closed=False),
                shade(hair.colour, tone),
                width=0.035,
                alpha=0.5,
                blur=0.012,
            )
