"""Paint what lies on a drawn face: wrinkles, eyes, brows, nose and mouth."""

import numpy as np

from facialnet.data.drawn.canvas import (
    Array,
    Colour,
    Points,
    ellipse,
    mix,
    moved,
    shade,
    spline,
)
from facialnet.data.drawn.view import View

_DARK: Colour = (48, 26, 24)
_WHITE: Colour = (246, 244, 240)


def paint_wrinkles(view: View) -> None:
    """Paint the lines and shadows that come with age, and the folds of a smile."""
    shape, looks = view.person.shape, view.person.looks
    strength = looks.wrinkles
    for count in range(3):
        y = shape.brow_y - 0.14 - 0.12 * count
        line = [(-0.5, y + 0.04), (-0.25, y), (0.0, y + 0.02), (0.25, y), (0.5, y + 0.04)]
        _crease(view, line, strength * (0.9 - 0.12 * count), 0.04)
    wing, corner = shape.nose_width + 0.05, shape.mouth_width + 0.12
    nose, mouth = shape.nose_y, shape.mouth_y
    middle = ((wing + corner) / 2 + 0.06, (nose + mouth) / 2)
    fold = np.array([(wing, nose - 0.04), middle, (corner, mouth + 0.06)])
    folded = min(0.1 * max(view.shot.smile, 0) + 0.85 * strength, 0.9)
    marionette = np.array([(corner - 0.06, mouth + 0.1), (corner, mouth + 0.25)])
    frown = np.array([(0.06, -0.3), (0.05, -0.16)])
    bag = np.array([(-0.75, 0.1), (-0.1, 0.24), (0.75, 0.13)]) * (shape.eye_size, 1)
    bag = moved(bag, shape.eye_x, shape.eye_open * 0.45)
    edge = shape.eye_x + shape.eye_size
    sagging = 0.35 * max(strength - 0.3, 0)
    for sign in (-1, 1):
        _crease(view, fold * (sign, 1), folded, 0.045)
        _crease(view, marionette * (sign, 1), 0.8 * max(strength - 0.35, 0), 0.035)
        _crease(view, frown * (sign, 1), 0.7 * strength, 0.035)
        _crease(view, bag * (sign, 1), 0.75 * looks.bags, 0.04)
        for rise in (-0.09, 0.0, 0.09):
            foot = np.array([(edge + 0.05, 0.02 + rise / 2), (edge + 0.2, 0.02 + rise * 1.5)])
            _crease(view, foot * (sign, 1), 0.8 * strength, 0.025)
        jowl = ellipse(sign * shape.jaw * 0.72, mouth + 0.12, 0.1, 0.16)
        view.fill(jowl, shade(looks.skin, 0.5), alpha=sagging, blur=0.05)


def _crease(view: View, points: Points, alpha: float, width: float) -> None:
    colour = shade(view.person.looks.skin, 0.48)
    line = spline(points, closed=False)
    view.line(line, colour, width=width, alpha=min(alpha, 0.9), blur=0.008)


def paint_eye(view: View, sign: int) -> None:
    """Paint one eye with its lids and lashes; sign is -1 on the left of the picture, else 1."""
    shape, looks = view.person.shape, view.person.looks
    wide, drop = shape.eye_size, -shape.eye_slant
    high = shape.eye_open * (1 - view.shot.squint - 0.15 * max(view.shot.smile, 0))

    def at_eye(points: Points) -> Array:
        return moved(points, shape.eye_x, 0) * (float(sign), 1.0)

    upper = np.array(
        [
            (-wide, 0.03),
            (-0.45 * wide, -0.85 * high),
            (0.1 * wide, -high),
            (0.65 * wide, drop / 2 - 0.68 * high),
            (wide, drop),
        ]
    )
    lower = np.array([(0.5 * wide, drop / 2 + 0.55 * high), (-0.35 * wide, 0.6 * high)])
    eye = at_eye(spline(np.concatenate([upper, lower])))
    view.fill(eye, _WHITE)
    _paint_iris(view, sign, eye, -0.08 * high)
    lid = at_eye(spline(upper, closed=False))
    lash = mix(_DARK, looks.skin, 0.35 * (1 - looks.lashes))
    view.line(lid, lash, width=0.028 + 0.03 * looks.lashes)
    if looks.lashes > 0.55:
        tip = [(0.75 * wide, drop - 0.4 * high), (1.2 * wide, drop - 0.07), (wide, drop + 0.01)]
        view.fill(at_eye(tip), lash, alpha=looks.lashes)
    crease = moved(lid * (1, 1.15), 0, -0.06)
    view.line(crease, shade(looks.skin, 0.55), width=0.022, alpha=0.5, blur=0.008)
    rim = at_eye(spline(lower, closed=False))
    view.line(rim, shade(looks.skin, 0.5), width=0.02, alpha=0.5)


def _paint_iris(view: View, sign: int, eye: Array, y: float) -> None:
    iris, wide = view.person.looks.iris, view.person.shape.eye_size
    inside = view.canvas.mask(view.turn(eye))
    x = sign * view.person.shape.eye_x + view.shot.gaze
    radius = 0.105 + 0.22 * max(wide - 0.2, 0)
    for place, share, colour in (
        ((x, y), 1.0, shade(iris, 0.7)),
        ((x, y + 0.01), 0.79, shade(iris, 1.25)),
        ((x, y), 0.48, (14, 12, 14)),
        ((x - 0.035, y - 0.045), 0.26, (255, 255, 255)),
    ):
        view.fill(ellipse(*place, radius * share, radius * share), colour, within=inside)
    shadow = eye[eye[:, 1] < y]
    view.line(moved(shadow, 0, 0.03), _DARK, width=0.06, alpha=0.35, blur=0.02, within=inside)


def paint_brow(view: View, sign: int) -> None:
    """Paint one brow; sign is -1 on the left of the picture, else 1."""
    shape, person = view.person.shape, view.person
    y, thick, arch = shape.brow_y, shape.brow_thick, shape.brow_arch
    inner, outer = shape.eye_x - 0.26, shape.eye_x + 0.3
    peak = inner + 0.62 * (outer - inner)
    between = (inner + peak) / 2
    brow = [
        (inner, y - 0.01),
        (between, y - arch * 0.6 - thick * 0.45),
        (peak, y - arch - thick * 0.4),
        (outer, y + 0.04),
        (peak, y - arch + thick * 0.6),
        (between, y - arch * 0.6 + thick * 0.6),
        (inner + 0.02, y - 0.01 + thick),
    ]
    colour = mix(shade(person.hair.colour, 0.75), person.looks.skin, 0.15)
    alpha = 0.45 if person.years < 2.5 else 0.9
    view.fill(spline(brow) * (sign, 1), colour, alpha=alpha, blur=0.012)


def paint_nose(view: View) -> None:
    """Paint the nose by its shadows and lights; its tip stands out when the head turns."""
    skin, y, wide = view.person.looks.skin, view.person.shape.nose_y, view.person.shape.nose_width
    dark = -1 if np.cos(view.shot.light_angle) > 0 else 1
    side = np.array([(0.1, -0.1), (0.13, y * 0.5), (wide, y - 0.05), (0.04, y * 0.6)])
    side = spline(side * (dark, 1))
    view.fill(side, shade(skin, 0.62), alpha=0.5, blur=0.045, depth=1.25)
    base = ellipse(0, y + 0.03, wide * 0.95, 0.05)
    view.fill(base, shade(skin, 0.6), alpha=0.55, blur=0.03, depth=1.35)
    bridge = ellipse(0, y * 0.45, 0.05, y * 0.4)
    view.fill(bridge, shade(skin, 1.18), alpha=0.5, blur=0.035, depth=1.25)
    tip = ellipse(0, y - 0.08, wide * 0.5, 0.07)
    view.fill(tip, shade(skin, 1.18), alpha=0.55, blur=0.035, depth=1.4)
    wing = np.array([(wide * 0.85, y - 0.12), (wide * 1.05, y - 0.03), (wide * 0.8, y + 0.03)])
    for sign in (-1, 1):
        nostril = ellipse(sign * wide * 0.45, y + 0.02, wide * 0.24, 0.026)
        view.fill(nostril, shade(skin, 0.36), alpha=0.85, blur=0.008, depth=1.35)
        line = spline(wing * (sign, 1), closed=False)
        view.line(line, shade(skin, 0.55), width=0.024, alpha=0.6, blur=0.008, depth=1.3)


def paint_mouth(view: View) -> None:
    """Paint the lips, and teeth and tongue where the mouth is open."""
    lips, lip = view.person.shape.lips, view.person.looks.lip
    smile, y = view.shot.smile, view.person.shape.mouth_y
    wide = view.person.shape.mouth_width * (1 + 0.16 * smile)
    gap = min(view.shot.mouth_open, 1.2) * 0.17
    corner, sag = -0.09 * smile, 0.05 * smile
    bow = [(-0.5, -0.8), (-0.16, -1.0), (0.0, -0.8), (0.16, -1.0), (0.5, -0.8)]
    top = np.array([(-wide, corner), *((x * wide, z * lips) for x, z in bow), (wide, corner)])
    edge = np.array([(0.5 * wide, sag * 0.7), (0.0, sag), (-0.5 * wide, sag * 0.7)])
    bottom = moved(edge, 0, gap) + np.array([(0, 0.95), (0, 1.35), (0, 0.95)]) * (1, lips)
    whole = moved(spline(np.concatenate([top, bottom])), 0, y)
    view.fill(moved(whole, 0, 0.1), shade(view.person.looks.skin, 0.6), alpha=0.3, blur=0.04)
    view.fill(whole, lip, blur=0.008)
    upper = moved(spline(np.concatenate([top, edge])), 0, y)
    view.fill(upper, shade(lip, 0.8), blur=0.008)
    gloss = ellipse(0, y + sag + gap + 0.7 * lips, wide * 0.35, lips * 0.25)
    view.fill(gloss, shade(lip, 1.3), alpha=0.45, blur=0.02)
    ends = np.array([(-wide, corner), (wide, corner)])
    if gap > 0.03:
        lower_edge = moved(edge, 0, gap)
        around = np.concatenate([0.92 * ends[1:], lower_edge, 0.92 * ends[:1], edge[::-1]])
        _paint_open_mouth(view, moved(spline(around), 0, y), y + sag, wide, gap)
    seam = spline(np.concatenate([ends[:1], edge[::-1], ends[1:]]), closed=False)
    view.line(moved(seam, 0, y), mix(_DARK, lip, 0.3), width=0.028, alpha=0.8)


def _paint_open_mouth(view: View, opening: Array, y: float, wide: float, gap: float) -> None:
    view.fill(opening, (92, 30, 34))
    inside = view.canvas.mask(view.turn(opening))
    if view.person.years > 1:
        teeth = ellipse(0, y - 0.06, wide * 0.75, 0.06 + 0.45 * gap)
        view.fill(teeth, (240, 236, 226), within=inside)
    view.fill(ellipse(0, y + gap * 1.1, wide * 0.45, gap * 0.4), (190, 84, 88), within=inside)
