"""What differs between two pictures of one drawn person: pose, light, mood, background."""

from dataclasses import dataclass

import numpy as np

from facialnet.data.drawn.canvas import Colour, mix
from facialnet.data.drawn.people import Person


@dataclass(frozen=True, kw_only=True)
class Shot:
    """What changes from picture to picture; angles in radians, places in shares of the picture."""

    yaw: float
    pitch: float
    tilt: float
    scale: float
    x: float
    y: float
    smile: float
    mouth_open: float
    squint: float
    gaze: float
    light_angle: float
    light: float
    brightness: float
    contrast: float
    warmth: float
    background: tuple[Colour, Colour]
    texture: str  # plain, lights, stripes, clouds
    clothes: Colour
    collar: str  # round, v, shirt
    glasses: bool
    hat: bool
    hat_colour: Colour
    blur: float  # pixels of a picture 160 wide
    noise: float  # standard deviation, 0 to 255
    noise_seed: int


def make_shot(seed: int, index: int, photo: int, person: Person) -> Shot:
    """Make the circumstances of a person's photo (both numbers from 1)."""
    rng = np.random.default_rng([seed, index, photo])

    def colour(low: float, high: float, strength: float) -> Colour:
        red, green, blue = rng.uniform(low, high, 3).tolist()
        grey = (red + green + blue) / 3
        return mix((grey, grey, grey), (red, green, blue), strength)

    base = colour(15, 240, 0.45)
    child = person.years < 4
    return Shot(
        yaw=float(np.clip(rng.normal(0, 0.16), -0.4, 0.4)),
        pitch=float(np.clip(rng.normal(0, 0.04), -0.09, 0.09)),
        tilt=float(np.clip(rng.normal(0, 0.12), -0.35, 0.35)),
        scale=float(rng.uniform(0.86, 1.18)),
        x=0.5 + float(rng.uniform(-0.07, 0.07)),
        y=0.47 + float(rng.uniform(-0.06, 0.06)),
        smile=float(rng.uniform(-0.15, 1.2)),
        mouth_open=float(max(rng.normal(-0.2, 0.5), 0) + (0.15 if child else 0)),
        squint=float(rng.uniform(0, 0.3)),
        gaze=float(rng.normal(0, 0.03)),
        light_angle=float(rng.uniform(0, 2 * np.pi)),
        light=float(rng.uniform(0, 0.36)),
        brightness=float(rng.uniform(-28, 22)),
        contrast=float(rng.uniform(0.72, 1.12)),
        warmth=float(rng.normal(0, 0.05)),
        background=(base, mix(base, colour(15, 240, 0.45), rng.uniform(0.2, 0.9))),
        texture=str(rng.choice(["plain", "lights", "stripes", "clouds"])),
        clothes=colour(25, 230, 0.7),
        collar=str(rng.choice(["round", "v", "shirt"])),
        glasses=bool(rng.random() < person.looks.glasses),
        hat=bool(rng.random() < person.looks.hat),
        hat_colour=colour(25, 230, 0.7),
        blur=float(rng.choice([0, 0.5, 0.8])),
        noise=float(rng.uniform(1, 4)),
        noise_seed=int(rng.integers(0, 2**31)),
    )
