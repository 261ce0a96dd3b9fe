"""Paint beards, and what a drawn person wears: glasses, hats, earrings, bows."""

import numpy as np

from facialnet.data.drawn.canvas import Colour, ellipse, mirrored, moved, shade, spline
from facialnet.data.drawn.view import View


def paint_beard(view: View) -> None:
    """Paint stubble, a moustache or a full beard."""
    looks, shape = view.person.looks, view.person.shape
    if looks.beard == "none":
        return
    colour = shade(view.person.hair.colour, 0.85)
    nose, mouth = shape.nose_y, shape.mouth_y
    if looks.beard != "moustache":
        half = [
            (0.0, nose + 0.12),
            (0.3, nose + 0.16),
            (shape.mouth_width + 0.16, mouth),
            (0.78, 0.3),
            (0.95, 0.05),
            (1.2, 0.4),
            (1.0, 1.2),
            (0.5, 1.7),
            (0.0, 1.8),
        ]
        strength, soft = (0.85, 0.03) if looks.beard == "full" else (0.27, 0.06)
        area = spline(mirrored(half))
        view.fill(area, colour, alpha=strength, blur=soft)
        if looks.beard == "full":
            below = view.outline[view.outline[:, 1] > 0.35] * (0.99, 1.06)
            view.canvas.fill(
                below, colour, alpha=0.9, blur=0.03, within=view.canvas.mask(view.turn(area))
            )
    if looks.beard in ("moustache", "full"):
        half = [
            (0.0, nose + 0.09),
            (0.2, nose + 0.1),
            (shape.mouth_width + 0.08, mouth + 0.05),
            (0.2, mouth - 0.03),
            (0.0, mouth - 0.06),
        ]
        view.fill(spline(mirrored(half)), shade(colour, 0.9), alpha=0.9, blur=0.015)


def paint_extras(view: View) -> None:
    """Paint what says little about age and gender: hats, glasses, earrings, bows."""
    looks, shot, canvas, shape = view.person.looks, view.shot, view.canvas, view.person.shape
    turn = 0.2 * np.sin(shot.yaw)
    if looks.earrings:
        for sign in (-1, 1):
            x = sign * (shape.cheek + 0.07) - turn
            canvas.fill(ellipse(x, 0.16 + shape.ear, 0.055, 0.07), (236, 206, 120))
    if shot.hat:
        _paint_hat(view, shot.hat_colour)
    elif looks.bow:
        for sign in (-1, 1):
            wing = [(0.0, 0.0), (0.32, -0.18), (0.36, 0.16)]
            placed = moved(spline(np.array(wing) * (sign, 1)), 0.45, shape.top_y + 0.05)
            canvas.fill(placed, shot.hat_colour)
        canvas.fill(ellipse(0.45, shape.top_y + 0.05, 0.09, 0.09), shade(shot.hat_colour, 0.7))
    if shot.glasses:
        _paint_glasses(view)


def _paint_hat(view: View, colour: Colour) -> None:
    top = view.person.shape.top_y
    half = [
        (0.0, top - 0.34),
        (0.6, top - 0.18),
        (1.05, -0.85),
        (1.16, -0.5),
        (0.6, -0.56),
        (0.0, -0.6),
    ]
    hat = spline(mirrored(half))
    view.canvas.fill(hat, colour)
    inside = view.canvas.mask(hat)
    band = [(-1.3, -0.6), (0.0, -0.7), (1.3, -0.6)]
    view.canvas.line(spline(band, closed=False), shade(colour, 0.75), width=0.26, within=inside)
    view.canvas.fill(
        ellipse(0.2, top, 0.4, 0.14), shade(colour, 1.3), alpha=0.4, blur=0.1, within=inside
    )


def _paint_glasses(view: View) -> None:
    shape, canvas = view.person.shape, view.canvas
    frame: Colour = (46, 40, 42)
    half_width, half_height = 0.31, 0.27 if view.person.looks.round_glasses else 0.22
    for sign in (-1, 1):
        x = sign * (shape.eye_x + 0.01)
        rim = ellipse(x, 0.04, half_width, half_height)
        if not view.person.looks.round_glasses:
            corners = np.array(
                [(-1, -0.9), (0, -1), (1, -0.9), (1, 0.5), (0.6, 1), (-0.6, 1), (-1, 0.5)]
            )
            rim = moved(spline(corners * (half_width, half_height)), x, 0.04)
        rim = view.turn(rim, 1.1)
        canvas.fill(rim, (225, 235, 240), alpha=0.12)
        canvas.line(np.concatenate([rim, rim[:1]]), frame, width=0.045)
        arm = [(x + sign * half_width, 0.0), (sign * 1.05, -0.04)]
        canvas.line(view.turn(arm, 1.05), frame, width=0.045)
    inner = shape.eye_x - half_width
    canvas.line(view.turn([(-inner, 0.0), (0, -0.04), (inner, 0.0)], 1.1), frame, width=0.045)
