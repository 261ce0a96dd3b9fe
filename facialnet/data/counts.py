"""Set numbers of images to train and to test on, for comparison with papers that selected them."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from facialnet.data.grouping import Rows, groups
from facialnet.data.protocol import VAL_SHARE, Split, named
from facialnet.errors import UserError
from facialnet.labels import GENDERS

Numbers = int | Mapping[str, int]
_Counts = NDArray[np.int64]  # one for each gender, or one in all
BY = ("image", "person")


class Counts:
    """Train and test on so many images, taken from people in random order.

    People are shuffled and their images go in the manifest's order (LFW gender CNN, section 4,
    figures 5 to 7: 3,500 + 1,000 to train, 500 + 200 to test). The first that are as many as asked
    for are parted ``by`` image, at random, as the paper does, so that people are on both sides; or
    by person: whole people fill the test part, others the training part, and a person's images
    beyond the number stay unused. People who share an album, a photo, a file's content or a
    look-alike then count as one. Validation images are others, of the training part's genders; by
    person, they are of other people too.

    Args:
        train: images to train on, or how many of each gender.
        test: images to test on, in the same form.
        by: ``image`` or ``person``.
        val_share: images to validate on: below 1, a share of ``train``; from 1 on, how many.
        seed: shuffles people, and images where these are parted.
    """

    def __init__(
        self,
        *,
        train: Numbers,
        test: Numbers,
        by: str = "image",
        val_share: float = VAL_SHARE,
        seed: int = 0,
    ) -> None:
        if by not in BY:
            raise UserError(f"protocol.by={by}: allowed values are {', '.join(BY)}")
        if not 0 < val_share < 0.9 and not (val_share >= 1 and float(val_share).is_integer()):
            raise UserError(
                f"protocol.val_share={val_share} must be a share between 0 and 0.9 or a number of "
                "images"
            )
        self.genders = _genders(train)  # none where the numbers are of all images
        if set(self.genders) != set(_genders(test)):
            raise UserError(
                f"protocol.train={train} and protocol.test={test} must name the same genders, or "
                "both be one number"
            )
        self.train = _numbers("train", train, self.genders)
        self.test = _numbers("test", test, self.genders)
        total = int(self.train.sum())
        wanted = int(val_share) if val_share >= 1 else max(round(val_share * total), 1)
        self.val = _apportioned(wanted, self.train)
        self.by = by
        self.val_share = val_share
        self.seed = seed

    def split(self, manifest: pd.DataFrame) -> Split:
        """Select and part the images; raises UserError where there are too few of them.

        Parted by person, it also raises where nobody is known.
        """
        if self.by == "person" and manifest["subject"].isna().all():
            raise UserError(
                "protocol.by=person: this data set knows no people; use protocol.by=image"
            )
        codes = self._codes(manifest)
        persons = groups(manifest) if self.by == "person" else groups(manifest, ("subject",))
        count = int(persons.max(initial=-1)) + 1
        draw = np.random.default_rng([self.seed, count])
        place = draw.permutation(count)[persons]  # of each row's person in the random order
        order = np.argsort(place, kind="stable").astype(np.int64)
        order = order[codes[order] >= 0]
        have = np.bincount(codes[order], minlength=len(self.train))
        self._check_enough(have)
        if self.by == "image":
            parts = self._by_image(order, codes, draw)
        else:
            people = np.split(order, np.flatnonzero(np.diff(place[order])) + 1)
            parts = self._by_person(people, codes, have)
        train, val, test = map(np.sort, parts)
        return Split(train, val, test, named(self._name(), self.val_share))

    def _codes(self, manifest: pd.DataFrame) -> Rows:
        """Return the number of each row's gender, below 0 where none of it is asked for."""
        if not self.genders:
            return np.zeros(len(manifest), np.int64)
        numbers = {name: number for number, name in enumerate(self.genders)}
        return np.asarray(manifest["gender"].map(numbers).fillna(-1), np.int64)

    def _by_image(
        self, order: Rows, codes: Rows, draw: np.random.Generator
    ) -> tuple[Rows, Rows, Rows]:
        train, val, test = [], [], []
        for gender, (to_train, to_test, to_val) in enumerate(
            zip(self.train, self.test, self.val, strict=True)
        ):
            rows, chosen = order[codes[order] == gender], to_train + to_test
            selected = draw.permutation(rows[:chosen])
            test.append(selected[:to_test])
            train.append(selected[to_test:])
            val.append(rows[chosen : chosen + to_val])
        return np.concatenate(train), np.concatenate(val), np.concatenate(test)

    def _by_person(self, people: list[Rows], codes: Rows, have: _Counts) -> tuple[Rows, Rows, Rows]:
        parts = {}
        for name, wanted in (("test", self.test), ("train", self.train), ("val", self.val)):
            parts[name], people, lacking = _filled(people, codes, wanted)
            if lacking.any():
                gender = int(np.argmax(lacking > 0))
                raise UserError(
                    f"protocol: {wanted[gender]:,}{self._of(gender)} images are asked for in the "
                    f"{name} part, but people who are in no other part have only "
                    f"{wanted[gender] - lacking[gender]:,} of the {have[gender]:,}; ask for fewer"
                )
        return parts["train"], parts["val"], parts["test"]

    def _check_enough(self, have: _Counts) -> None:
        wanted = self.train + self.test + self.val
        if (lacking := wanted > have).any():
            gender = int(np.argmax(lacking))
            raise UserError(
                f"protocol: {self.train[gender]:,} + {self.test[gender]:,} + {self.val[gender]:,}"
                f"{self._of(gender)} images are asked for to train, test and validate, but there "
                f"are {have[gender]:,}; lower protocol.train, test or val_share"
            )

    def _of(self, gender: int) -> str:
        return f" {self.genders[gender]}" if self.genders else ""

    def _name(self) -> str:
        train, test = (
            " + ".join(f"{number}{self._of(gender)}" for gender, number in enumerate(counts))
            for counts in (self.train, self.test)
        )
        return f"counts {train} to train, {test} to test, by {self.by} seed {self.seed}"


def _genders(numbers: Numbers) -> tuple[str, ...]:
    return tuple(numbers) if isinstance(numbers, Mapping) else ()


def _numbers(name: str, numbers: Numbers, genders: tuple[str, ...]) -> _Counts:
    """Return one part's numbers in the order of the genders; raises UserError for wrong ones."""
    given: dict[str, int]
    if isinstance(numbers, Mapping):
        given = {f".{gender}": numbers[gender] for gender in genders}
    else:
        given = {"": numbers}
    for gender, number in given.items():
        if gender and gender[1:] not in GENDERS:
            raise UserError(f"protocol.{name}{gender}: allowed are {', '.join(GENDERS)}")
        if isinstance(number, bool) or not isinstance(number, int) or number < 1:
            raise UserError(f"protocol.{name}{gender}={number} must be a whole number from 1 on")
    return np.array(list(given.values()), np.int64)


def _apportioned(total: int, shares: _Counts) -> _Counts:
    """Part a number in proportion to others, by the largest remainders."""
    exact = total * shares / shares.sum()
    parts: _Counts = np.floor(exact).astype(np.int64)
    rest = total - int(parts.sum())
    parts[np.argsort(parts - exact, kind="stable")[:rest]] += 1
    return parts


def _filled(people: list[Rows], codes: Rows, wanted: _Counts) -> tuple[Rows, list[Rows], _Counts]:
    """Fill one part person by person.

    Returns the rows taken, the people of whom none was, and how many rows are lacking.
    """
    lacking = wanted.copy()
    taken: list[int] = []
    others: list[Rows] = []
    for rows in people:
        before = len(taken)
        for row in rows:
            if lacking[codes[row]] > 0:
                lacking[codes[row]] -= 1
                taken.append(int(row))
        if len(taken) == before:
            others.append(rows)
    return np.array(taken, np.int64), others, lacking
