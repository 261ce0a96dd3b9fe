"""Paint one drawn face: background, body, head, features, light and sensor noise."""

import cv2
import numpy as np
from numpy.typing import NDArray

from facialnet.data.drawn.canvas import (
    Array,
    Canvas,
    ellipse,
    mirrored,
    mix,
    shade,
    spline,
)
from facialnet.data.drawn.extras import paint_beard, paint_extras
from facialnet.data.drawn.features import (
    paint_brow,
    paint_eye,
    paint_mouth,
    paint_nose,
    paint_wrinkles,
)
from facialnet.data.drawn.hair import paint_back_hair, paint_hair
from facialnet.data.drawn.people import Person
from facialnet.data.drawn.shot import Shot
from facialnet.data.drawn.view import View

_SUPERSAMPLING = 2
_UNIT = 0.25  # half the width of a face, in shares of the picture, at scale 1


def draw_face(person: Person, shot: Shot, side: int) -> NDArray[np.uint8]:
    """Draw a photo of a person as RGB [side, side, 3]; the same arguments give the same pixels."""
    rng = np.random.default_rng(shot.noise_seed)
    size = side * _SUPERSAMPLING
    canvas = Canvas(
        _background(shot, size, rng),
        unit=_UNIT * size * shot.scale,
        x=shot.x * size,
        y=shot.y * size,
        tilt=shot.tilt,
    )
    outline = _head_outline(person, shot)
    view = View(person, shot, canvas, outline, canvas.mask(outline))
    paint_back_hair(view)
    _paint_body(view)
    _paint_head(view)
    paint_wrinkles(view)
    paint_beard(view)
    for sign in (-1, 1):
        paint_eye(view, sign)
        paint_brow(view, sign)
    paint_nose(view)
    paint_mouth(view)
    paint_hair(view)
    paint_extras(view)
    return _photograph(canvas.pixels, shot, side, rng)


def _background(shot: Shot, size: int, rng: np.random.Generator) -> NDArray[np.float32]:
    first, second = (np.asarray(colour, dtype=np.float32) for colour in shot.background)
    ramp = np.linspace(0, 1, size, dtype=np.float32)
    angle = rng.uniform(0, 2 * np.pi)
    share = (ramp - 0.5) * np.cos(angle) + (ramp[:, None] - 0.5) * np.sin(angle) + 0.5
    if shot.texture == "clouds":
        coarse = rng.uniform(0, 1, (6, 6)).astype(np.float32)
        share = cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC)
    elif shot.texture == "stripes":
        share = 0.5 + 0.5 * np.clip(6 * np.sin(share * rng.uniform(12, 40)), -1, 1)
    pixels: NDArray[np.float32] = first + (second - first) * np.clip(share, 0, 1)[..., None]
    pixels = np.ascontiguousarray(pixels, dtype=np.float32)
    if shot.texture == "lights":
        canvas = Canvas(pixels, unit=size, x=0, y=0, tilt=0)
        for x, y, radius in rng.uniform((0, 0, 0.03), (1, 1, 0.13), (12, 3)):
            canvas.fill(ellipse(x, y, radius, radius), shot.background[1], alpha=0.5, blur=0.01)
    return pixels


def _head_outline(person: Person, shot: Shot) -> Array:
    shape = person.shape
    top, cheek = shape.top_y, shape.cheek
    half = [
        (0.0, top),
        (0.55 * cheek, top + 0.13),
        (0.9 * cheek, top + 0.5),
        (cheek, -0.2),
        (0.97 * cheek, 0.28),
        (shape.jaw, shape.mouth_y),
        (shape.chin, shape.chin_y - 0.07),
        (0.0, shape.chin_y),
    ]
    outline = spline(mirrored(half))
    # The chin follows a turn of the head, the skull hardly does.
    outline[:, 0] += 0.4 * np.sin(shot.yaw) * np.clip(outline[:, 1], 0, None) / shape.chin_y
    outline[:, 1] += 0.5 * shot.pitch * np.clip(outline[:, 1], 0, None)
    return outline


def _paint_body(view: View) -> None:
    shape, canvas, shot = view.person.shape, view.canvas, view.shot
    skin = view.person.looks.skin
    chin, neck, width = shape.chin_y, shape.neck, shape.shoulders
    base = chin + shape.neck_length
    clothes = [
        (0.0, base + 0.1),
        (neck + 0.1, base - 0.04),
        (0.75 * width, base + 0.14),
        (width, base + 0.42),
        (width + 0.2, base + 1.6),
        (width, 4.5),
        (0.0, 4.5),
    ]
    canvas.fill(spline(mirrored(clothes)), shot.clothes)
    canvas.line(
        [(width - 0.3, base + 0.9), (width - 0.36, 4)], shade(shot.clothes, 0.7), width=0.04
    )
    canvas.line(
        [(0.3 - width, base + 0.9), (0.36 - width, 4)], shade(shot.clothes, 0.7), width=0.04
    )
    depth = {"round": 0.16, "v": 0.62, "shirt": 0.42}[shot.collar]
    throat = [(neck, 0.4), (neck, base - 0.1), (neck + 0.12, base), (0.0, base + depth)]
    outline = np.concatenate([throat, np.array(throat[-2::-1]) * (-1, 1)])
    neckline = spline(outline) if shot.collar == "round" else outline
    canvas.fill(neckline, shade(skin, 0.86))
    shadow = view.outline * (0.82, 1) + (0, 0.16)
    canvas.fill(shadow, shade(skin, 0.5), alpha=0.5, blur=0.07, within=canvas.mask(neckline))
    if shot.collar == "shirt":
        for sign in (-1, 1):
            flap = np.array(
                [(neck, base - 0.14), (neck + 0.24, base), (0.3, base + 0.55), (0, 0.4 + base)]
            )
            canvas.fill(flap * (sign, 1), shade(shot.clothes, 1.15))
            canvas.line(flap[1:] * (sign, 1), shade(shot.clothes, 0.7), width=0.02)


def _paint_head(view: View) -> None:
    shape, canvas, looks = view.person.shape, view.canvas, view.person.looks
    skin, blush = looks.skin, mix(looks.skin, (214, 84, 78), 0.75)
    turn = np.sin(view.shot.yaw)
    for sign in (-1, 1):
        # The ear on the far side slips behind the head.
        x, y = sign * (shape.cheek + 0.02) - 0.2 * turn, 0.12 + view.shot.pitch
        canvas.fill(ellipse(x, y, 0.13, shape.ear), shade(skin, 0.9))
        canvas.fill(ellipse(x, y, 0.07, shape.ear * 0.65), shade(skin, 0.68), alpha=0.6, blur=0.02)
    canvas.fill(view.outline, shade(skin, 0.87))
    towards = 0.1 * np.array([np.cos(view.shot.light_angle), np.sin(view.shot.light_angle)])
    glow = view.outline * (0.78, 0.82) + towards + (0.1 * turn, 0.0)
    canvas.fill(glow, shade(skin, 1.05), blur=0.12, within=view.head)
    hollow = 0.5 * min(max((view.person.years - 9) / 22, 0.0), 1.0)
    for sign in (-1, 1):
        bone = np.array([(0.95, 0.22), (0.5, 0.62), (0.62, 0.8), (0.92, 0.6)]) * (sign, 1)
        view.fill(bone, shade(skin, 0.66), alpha=hollow, blur=0.06)
        view.fill(ellipse(sign * 0.6, 0.46, 0.24, 0.17), blush, alpha=looks.blush + 0.08, blur=0.09)
        view.fill(
            ellipse(sign * shape.eye_x, -0.03, 0.3, 0.2), shade(skin, 0.7), alpha=0.3, blur=0.08
        )
    view.fill(ellipse(0, shape.top_y * 0.6, 0.42, 0.16), shade(skin, 1.15), alpha=0.35, blur=0.12)
    chin = (shape.chin_y + shape.mouth_y) / 2 + 0.1
    view.fill(ellipse(0, chin, 0.16, 0.08), shade(skin, 1.12), alpha=0.45, blur=0.05)
    if looks.freckles:
        for x in (-0.62, -0.5, -0.4, -0.28, 0.24, 0.37, 0.49, 0.6):
            for y in (0.24, 0.42):
                spot = ellipse(x + 0.1 * y, y + 0.05 * np.sin(37 * x), 0.034, 0.03)
                view.fill(spot, mix(skin, (120, 50, 30), 0.5), alpha=0.6)


def _photograph(
    pixels: NDArray[np.float32], shot: Shot, side: int, rng: np.random.Generator
) -> NDArray[np.uint8]:
    small = cv2.resize(pixels, (side, side), interpolation=cv2.INTER_AREA)
    ramp = np.linspace(-1, 1, side, dtype=np.float32)
    slope = ramp * np.cos(shot.light_angle) + ramp[:, None] * np.sin(shot.light_angle)
    lit = small * (1 + shot.light * slope[..., None])
    lit = (lit - 128) * shot.contrast + 128 + shot.brightness
    lit = lit * np.array([1 + shot.warmth, 1, 1 - shot.warmth])
    if shot.blur:
        lit = cv2.GaussianBlur(lit, (0, 0), shot.blur * side / 160)
    lit = lit + rng.standard_normal(lit.shape) * shot.noise
    photo: NDArray[np.uint8] = np.clip(lit, 0, 255).astype(np.uint8)
    return photo
