"""The people of the drawn data set: what of a face shows age and gender, and how strongly."""

import math
from dataclasses import dataclass

import numpy as np

from facialnet.data.drawn.canvas import Colour, mix, shade

_SKINS: tuple[Colour, ...] = (
    (250, 220, 196),
    (240, 198, 164),
    (222, 172, 130),
    (192, 136, 96),
    (146, 96, 66),
    (104, 68, 48),
)
_HAIRS: tuple[Colour, ...] = (
    (38, 30, 28),
    (70, 46, 34),
    (112, 74, 46),
    (136, 70, 42),
    (172, 132, 84),
    (214, 176, 112),
)
_IRISES: tuple[Colour, ...] = ((70, 44, 28), (98, 70, 40), (84, 110, 70), (84, 120, 160))
_GREY: Colour = (196, 194, 192)
_LIPSTICK: Colour = (186, 44, 62)


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Sizes and places in units of half a face; the eyes lie at y = 0, y points down."""

    cheek: float
    jaw: float
    chin: float
    chin_y: float
    top_y: float
    eye_x: float
    eye_size: float
    eye_open: float
    eye_slant: float
    brow_y: float
    brow_thick: float
    brow_arch: float
    nose_y: float
    nose_width: float
    mouth_y: float
    mouth_width: float
    lips: float
    ear: float
    neck: float
    neck_length: float
    shoulders: float


@dataclass(frozen=True, kw_only=True)
class Hair:
    """How the hair is worn; receding is 0 to 1, part -1 to 1, the others in face units."""

    style: str  # bald, fuzz, crown, short, curly, tied, tails, long
    colour: Colour
    volume: float
    length: float
    fringe: bool
    receding: float
    part: float


@dataclass(frozen=True, kw_only=True)
class Looks:
    """Colours, marks and habits; strengths and chances are 0 to 1."""

    skin: Colour
    iris: Colour
    lip: Colour
    blush: float
    lashes: float
    wrinkles: float
    bags: float
    beard: str  # none, stubble, moustache, full
    freckles: bool
    glasses: float  # chance to wear them in a shot
    round_glasses: bool
    hat: float  # chance to wear one in a shot
    earrings: bool
    bow: bool


@dataclass(frozen=True, kw_only=True)
class Person:
    """One drawn person; nothing of it changes from shot to shot."""

    gender: str  # male or female
    years: float
    shape: Shape
    hair: Hair
    looks: Looks


def make_person(seed: int, index: int, *, gender: str, years: float) -> Person:
    """Make the person with this index (from 1); the same arguments give the same person."""
    rng = np.random.default_rng([seed, index])
    sign = 1.0 if gender == "female" else -1.0
    grown = min(years / 22, 1.0) ** 0.85
    # Children's faces differ less by gender; puberty brings the difference out.
    femininity = sign * (0.65 + 0.35 * _ramp(years, 9, 18)) + rng.normal(0, 0.25)
    shape = _make_shape(rng, femininity, grown, years)
    looks = _make_looks(rng, gender, femininity, years)
    hair = _make_hair(rng, gender, years, looks.skin)
    return Person(gender=gender, years=years, shape=shape, hair=hair, looks=looks)


def _ramp(value: float, low: float, high: float) -> float:
    return min(max((value - low) / (high - low), 0.0), 1.0)


def _make_shape(rng: np.random.Generator, femininity: float, grown: float, years: float) -> Shape:
    def vary(value: float, spread: float) -> float:
        return float(value + spread * np.clip(rng.normal(), -2, 2))

    old = _ramp(years, 40, 80)
    chin_y = vary(0.84 + 0.53 * grown - 0.045 * femininity + 0.03 * old, 0.035)
    nose_y = vary(0.27 + 0.31 * grown + 0.05 * old - 0.012 * femininity, 0.025)
    size = vary(0.335 - 0.135 * grown + 0.014 * femininity, 0.009)
    return Shape(
        cheek=vary(1.0 + 0.02 * (1 - grown), 0.02),
        jaw=vary(0.9 - 0.13 * grown - 0.055 * femininity + 0.05 * old, 0.025),
        chin=vary(0.36 - 0.03 * grown - 0.05 * femininity, 0.02),
        chin_y=chin_y,
        top_y=vary(-1.38 + 0.18 * grown, 0.025),
        eye_x=vary(0.45 - 0.02 * grown, 0.015),
        eye_size=size,
        eye_open=size * vary(0.66 - 0.16 * grown + 0.04 * femininity - 0.1 * old, 0.04),
        eye_slant=vary(0.005 + 0.015 * femininity - 0.05 * old, 0.02),
        brow_y=vary(-0.33 - 0.035 * femininity + 0.02 * grown, 0.02),
        brow_thick=max(vary(0.035 + 0.045 * grown - 0.024 * femininity, 0.01), 0.02),
        brow_arch=vary(0.05 + 0.02 * femininity, 0.015),
        nose_y=nose_y,
        nose_width=vary(0.13 + 0.085 * grown - 0.02 * femininity + 0.02 * old, 0.015),
        mouth_y=nose_y + (chin_y - nose_y) * vary(0.41, 0.02),
        mouth_width=vary(0.21 + 0.15 * grown - 0.01 * femininity, 0.02),
        lips=max(vary(0.075 + 0.018 * femininity - 0.035 * old, 0.01), 0.03),
        ear=vary(0.24 + 0.03 * grown - 0.01 * femininity + 0.04 * old, 0.02),
        neck=vary(0.36 + 0.21 * grown - 0.09 * femininity * grown, 0.02),
        neck_length=0.12 + 0.32 * grown,
        shoulders=vary(0.85 + 0.82 * grown - 0.16 * femininity * grown, 0.08),
    )


def _make_looks(rng: np.random.Generator, gender: str, femininity: float, years: float) -> Looks:
    female, adult = gender == "female", years >= 17
    place = rng.uniform(0, len(_SKINS) - 1.001)
    skin = mix(_SKINS[int(place)], _SKINS[int(place) + 1], place % 1)
    lip = mix(shade(skin, 0.86), (176, 70, 78), rng.uniform(0.3, 0.5))
    if rng.random() < (0.5 if female and years >= 15 else 0.01):
        lip = mix(lip, _LIPSTICK, rng.uniform(0.4, 0.8))
    beard = "none"
    if not female and adult:
        chances = [0.38, 0.27, 0.13, 0.22] if years > 22 else [0.65, 0.27, 0.05, 0.03]
        beard = str(rng.choice(["none", "stubble", "moustache", "full"], p=chances))
    iris = _IRISES[int(rng.choice(4, p=[0.45, 0.25, 0.12, 0.18]))]
    wears_glasses = rng.random() < (
        0.01 if years < 4 else 0.06 if years < 12 else 0.22 if years < 45 else 0.45
    )
    return Looks(
        skin=skin,
        iris=iris if sum(skin) > 450 else _IRISES[0],
        lip=lip,
        blush=float(rng.uniform(0.1, 0.3) + (0.12 if years < 8 else 0)),
        lashes=float(np.clip(0.4 + 0.45 * femininity + rng.normal(0, 0.2), 0, 1)),
        wrinkles=float(np.clip((years - 25) / 37 + rng.normal(0, 0.05) * adult, 0, 1)),
        bags=float(np.clip((years - 18) / 34 + rng.normal(0, 0.07) * adult, 0, 1)),
        beard=beard,
        freckles=bool(rng.random() < (0.4 if 8 <= years < 22 else 0.05 if years > 4 else 0)),
        glasses=0.85 if wears_glasses else 0.03,
        round_glasses=bool(rng.random() < 0.5),
        hat=float(rng.choice([0.02, 0.25], p=[0.85, 0.15])),
        earrings=bool(rng.random() < ((0.4 if female else 0.06) if years > 5 else 0.03)),
        bow=bool(years < 13 and rng.random() < (0.5 if female else 0.02)),
    )


def _make_hair(rng: np.random.Generator, gender: str, years: float, skin: Colour) -> Hair:
    female = gender == "female"
    colour = _HAIRS[int(rng.integers(0, len(_HAIRS) if sum(skin) > 420 else 3))]
    colour = mix(colour, _HAIRS[int(rng.integers(0, 3))], rng.uniform(0, 0.35))
    dyed = rng.random() < (0.3 if female else 0.08)
    greyness = 1 / (1 + math.exp(-(years - 47 + rng.normal(0, 3)) / 4))
    colour = mix(colour, _GREY, float(0.12 if dyed else 0.95) * greyness)
    style = _choose_style(rng, female, years)
    receding = 0.0
    if not female and years > 22:
        receding = float(np.clip(_ramp(years, 22, 70) * rng.uniform(0.2, 1.5), 0, 1))
    lengths = [0.15, 0.35, 0.5] if years < 33 else [0.55, 0.3, 0.15]
    return Hair(
        style=style,
        colour=colour,
        volume=float(rng.uniform(0.07, 0.17) + (0.1 if style in ("curly", "long") else 0)),
        length=float(rng.choice([1.1, 1.6, 2.3], p=lengths) + rng.normal(0, 0.12)),
        fringe=bool(rng.random() < (0.4 if female or years < 14 else 0.15)),
        receding=receding,
        part=float(rng.uniform(-1, 1)),
    )


def _choose_style(rng: np.random.Generator, female: bool, years: float) -> str:
    styles = ("bald", "fuzz", "crown", "short", "curly", "tied", "tails", "long")
    if years < 2.9:
        chances = [0.2, 0.62, 0, 0.14, 0.02, 0.01, 0, 0.01]
        if female:
            chances = [0.12, 0.5, 0, 0.14, 0.03, 0.1, 0.1, 0.01]
    elif female:
        short = 0.1 + 0.35 * _ramp(years, 35, 65)
        tails = 0.25 if years < 14 else 0.01
        chances = [0, 0, 0, short, 0.1, 0.17, tails, 0.63 - short - tails]
    else:
        crown = 0.5 * _ramp(years, 36, 68)
        bald = 0.01 + 0.12 * _ramp(years, 25, 60)
        chances = [bald, 0.06, crown, 0.72 - crown - bald, 0.11, 0.01, 0, 0.09]
    return str(rng.choice(styles, p=np.array(chances) / sum(chances)))
