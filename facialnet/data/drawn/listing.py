"""List the pictures of a drawn data set: people, albums, folds, labels and their dirt."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from facialnet.data.drawn.people import Person, make_person
from facialnet.errors import UserError

FOLDS = 5
MIN_IMAGES = 100

# Adience's string, youngest and oldest in years, share of the pictures.
_GROUPS = (
    ("(0, 2)", 0, 2, 0.13),
    ("(4, 6)", 4, 6, 0.11),
    ("(8, 12)", 8, 12, 0.12),
    ("(15, 20)", 15, 20, 0.10),
    ("(25, 32)", 25, 32, 0.25),
    ("(38, 43)", 38, 43, 0.13),
    ("(48, 53)", 48, 53, 0.065),
    ("(60, 100)", 60, 85, 0.065),
)
_SINGLE_YEARS = (35, 13, 22, 34, 23, 45, 55, 36, 57, 3)
_SINGLE_SHARE = 0.04
_AGE_DIRT = (
    ("None", 0.03, None),
    ("(25, 23)", 0.004, "(25, 32)"),
    ("(27, 32)", 0.004, "(25, 32)"),
    ("(38, 42)", 0.003, "(38, 43)"),
    ("(38, 48)", 0.001, "(38, 43)"),
    ("(8, 23)", 0.0005, "(15, 20)"),
)  # string, share of the pictures, group that it replaces (None: any)
_GENDER_DIRT = (("u", 0.03), ("", 0.02))
_PEOPLE_SHARE = 0.175  # people for one picture
_MIN_PEOPLE = 80
_SKEW = 0.8  # spread of the logarithm of how many pictures a person has
_ALBUM_PEOPLE = 6
_SHARED_PHOTOS = 0.06


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One row of the lists: the ``number``-th picture of a person, from 1.

    ``face_id`` is the person's place in the listing, from 1; ``flaw`` says what is
    wrong with its file: missing, empty, truncated, not_an_image or nothing (an empty string).
    """

    fold: int
    album: str
    photo: str
    face_id: int
    number: int
    age: str
    gender: str
    flaw: str = ""
    listed_twice: bool = False


@dataclass(frozen=True)
class Listing:
    """Everything that a tree is drawn from; ``people[face_id - 1]`` is on a picture."""

    people: list[Person]
    pictures: list[Picture]


def make_listing(*, images: int, seed: int) -> Listing:
    """List the people and pictures of a drawn data set; the same arguments give the same listing.

    No person, album or photo is in two folds. Raises UserError for fewer than MIN_IMAGES images
    or a negative seed.
    """
    if images < MIN_IMAGES:
        raise UserError(f"data.source.images={images}: at least {MIN_IMAGES} are needed")
    if seed < 0:
        raise UserError(f"data.source.seed={seed}: must be 0 or more")
    # A stream of its own: people draw from [seed, person], pictures from [seed, person, photo].
    rng = np.random.default_rng([seed])
    members = _choose_members(rng, images)
    counts = 1 + rng.multinomial(images - len(members), _shares(rng, members))
    people = [
        make_person(seed, face_id, gender=member.gender, years=member.years)
        for face_id, member in enumerate(members, start=1)
    ]
    pictures = []
    for fold in range(FOLDS):
        faces = [place for place, member in enumerate(members) if member.fold == fold]
        for album in _split_albums(rng, faces):
            pictures += _list_album(rng, members, counts, album)
    pictures.sort(key=lambda picture: (picture.fold, picture.album, picture.photo, picture.face_id))
    return Listing(people, _add_flaws(rng, _add_label_dirt(rng, pictures)))


@dataclass(frozen=True)
class _Member:
    fold: int
    gender: str
    years: float
    age: str  # Adience's string
    share: float  # of the pictures, of all people of the same age group


def _choose_members(rng: np.random.Generator, images: int) -> list[_Member]:
    total = max(_MIN_PEOPLE, round(images * _PEOPLE_SHARE))
    members: list[_Member] = []

    def add(years: float, age: str, share: float) -> None:
        # Dealt out one by one: ten people in a row fill every fold with both genders.
        place = len(members)
        gender = ("female", "male")[place % 2]
        members.append(_Member(place % FOLDS, gender, years, age, share))

    for age, youngest, oldest, share in _GROUPS:
        for _ in range(max(2 * FOLDS, round(total * share * (1 - _SINGLE_SHARE)))):
            add(float(rng.uniform(youngest, oldest + 0.9)), age, share)
    for place in range(max(2, round(total * _SINGLE_SHARE))):
        years = _SINGLE_YEARS[place % len(_SINGLE_YEARS)]
        add(float(years), str(years), _SINGLE_SHARE)
    return [members[place] for place in rng.permutation(len(members))]


def _shares(rng: np.random.Generator, members: list[_Member]) -> NDArray[np.float64]:
    # Few people have many pictures, as in Adience, where a hundred of 2,284 have nearly half.
    weights = np.exp(rng.normal(0, _SKEW, len(members)))
    groups = [
        (member.age if member.age.startswith("(") else "single", member.gender)
        for member in members
    ]
    sums: dict[tuple[str, str], float] = {}
    for group, weight in zip(groups, weights, strict=True):
        sums[group] = sums.get(group, 0) + weight
    wanted = np.array([member.share for member in members])
    shares = wanted * weights / np.array([sums[group] for group in groups])
    normalised: NDArray[np.float64] = shares / shares.sum()
    return normalised


def _split_albums(rng: np.random.Generator, faces: list[int]) -> list[list[int]]:
    count = max(1, round(len(faces) / _ALBUM_PEOPLE))
    bounds = np.sort(rng.choice(np.arange(1, len(faces)), count - 1, replace=False))
    return [part.tolist() for part in np.split(np.array(faces), bounds)]


def _list_album(
    rng: np.random.Generator, members: list[_Member], counts: NDArray[np.int64], album: list[int]
) -> list[Picture]:
    name = f"{rng.integers(10**7, 10**8)}@N{rng.integers(0, 10):02d}"
    pictures: list[Picture] = []
    earlier: list[str] = []  # photos of the album's people so far that show one person
    for place in album:
        own: list[str] = []
        for number in range(1, int(counts[place]) + 1):
            shared = earlier and rng.random() < _SHARED_PHOTOS
            photo = earlier.pop() if shared else f"{_digits(rng)}_{rng.bytes(5).hex()}_o.jpg"
            if not shared:
                own.append(photo)
            member = members[place]
            pictures.append(
                Picture(
                    fold=member.fold,
                    album=name,
                    photo=photo,
                    face_id=place + 1,
                    number=number,
                    age=member.age,
                    gender=member.gender[0],
                )
            )
        earlier += own
    return pictures


def _digits(rng: np.random.Generator) -> int:
    return int(rng.integers(8 * 10**9, 13 * 10**9))


def _add_label_dirt(rng: np.random.Generator, pictures: list[Picture]) -> list[Picture]:
    dirty = list(pictures)
    for text, share, group in _AGE_DIRT:
        places = [
            place
            for place, picture in enumerate(dirty)
            if picture.age == group or (group is None and picture.age.startswith("("))
        ]
        for place in _choose(rng, places, share * len(pictures)):
            dirty[place] = replace(dirty[place], age=text)
    for text, share in _GENDER_DIRT:
        places = [place for place, picture in enumerate(dirty) if picture.gender in ("f", "m")]
        for place in _choose(rng, places, share * len(pictures)):
            dirty[place] = replace(dirty[place], gender=text)
    return dirty


def _add_flaws(rng: np.random.Generator, pictures: list[Picture]) -> list[Picture]:
    flawed = list(pictures)
    missing = max(1, len(pictures) // 500)
    flaws = ["missing"] * missing + ["empty", "truncated", "not_an_image"]
    twice = max(2, len(pictures) // 400)
    places = rng.choice(len(pictures), len(flaws) + twice, replace=False)
    for place, flaw in zip(places, flaws, strict=False):
        flawed[place] = replace(flawed[place], flaw=flaw)
    for place in places[len(flaws) :]:
        flawed[place] = replace(flawed[place], listed_twice=True)
    return flawed


def _choose(rng: np.random.Generator, places: list[int], count: float) -> list[int]:
    chosen: list[int] = rng.choice(places, max(1, round(count)), replace=False).tolist()
    return chosen
